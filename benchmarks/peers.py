"""What both sides of a benchmark share: the photographs, and commands run as whole processes.

Seconds, processor seconds and peak memory are as the operating system counts them.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """One finished process: wall and processor seconds, peak resident memory in MB, and what it printed."""

    seconds: float
    processor_seconds: float
    peak_mb: float
    output: str


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end; raise with its last lines if it fails."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def link_photos(photos: Path, folder: Path, limit: int | None = None) -> list[Path]:
    """Fill a new folder with numbered links to the JPEGs below another, or to an evenly spaced number of them."""
    found = sorted(photos.rglob("*.jpg"))
    if not found:
        raise SystemExit(f"{photos}: no .jpg here")
    chosen = found[:: max(1, len(found) // limit)][:limit] if limit else found
    folder.mkdir()
    for number, photo in enumerate(chosen):
        (folder / f"{number:05d}.jpg").symlink_to(photo.resolve())
    return chosen
