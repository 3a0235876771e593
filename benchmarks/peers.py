"""What both sides of a benchmark share: the photographs, and commands run as whole processes.

Seconds, processor seconds and peak memory are as the operating system counts them.
"""

import os
import subprocess
import sys
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


_LAUNCHER = """
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), f"{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}".encode())
sys.exit(status)
"""
"""A small process in between: the system counts the memory of the process that starts another as that one's peak."""


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end; raise with its last lines if it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as usage:
        launched = [sys.executable, "-S", "-c", _LAUNCHER, str(usage.fileno()), *command]
        start = time.perf_counter()
        status = subprocess.call(
            launched,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            pass_fds=[usage.fileno()],
        )
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read()
        usage.seek(0)
        used = usage.read().split()
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-2000:]}")
    return Run(seconds, float(used[0]), float(used[1]), text)


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


def reset_peak() -> float:
    """Let the process's peak memory start from now; the memory held now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
