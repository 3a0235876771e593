"""The command in a process of its own, with the small network; at a chosen moment it sends itself a signal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[3]
_HEARTBEAT = 6
"""Seconds without a sign of life after which a host is given up: fewer than users get, so that tests are short."""


def start(
    *arguments: object,
    file: str | None = None,
    where: str = "after",
    batch: int | None = None,
    number: int = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen:
    """The process, at work.

    Args:
        arguments: of the command.
        file: the signal is sent at the writing of the file with this name,
        where: when half of it is written (``"half"``), or right after it is complete (``"after"``).
        batch: the signal is sent while the network works on this batch, the first being 1.
        number: the signal.
        environment: beside this process's own.
    """
    moment = {"file": file, "where": where, "batch": batch, "number": int(number)}
    command = [sys.executable, "-m", "tests.run.batches.commanded", json.dumps(moment), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(_ROOT), "TERM": "dumb"} | dict(environment or {}),
    )


def finish(process: subprocess.Popen, seconds: float = 120) -> tuple[int, str]:
    """Wait for the process; returns its exit status and what it wrote to stderr."""
    try:
        _, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, err


def _send_at(moment: Mapping[str, Any]) -> None:
    from jaxloc.inference import Extractor

    replace, features, batches = os.replace, Extractor.features, 0

    def send() -> None:
        signal.raise_signal(moment["number"])

    def replacing(source: Path, target: Path) -> None:
        chosen = Path(target).name == moment["file"]
        if chosen and moment["where"] == "half":
            os.truncate(source, os.path.getsize(source) // 2)
            send()
        replace(source, target)
        if chosen:
            send()

    def counting(engine: Extractor, batch: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == moment["batch"]:
            send()
        return features(engine, batch)

    os.replace = replacing  # type: ignore[assignment]
    Extractor.features = counting  # type: ignore[method-assign]


def _main(moment: Mapping[str, Any], arguments: list[str]) -> None:
    import tests.run.retrieval.small  # noqa: F401  # registers the small network
    from jaxloc.cli import main
    from jaxloc.run import distributed

    _send_at(moment)
    distributed._HEARTBEAT = _HEARTBEAT
    sys.argv = ["jaxloc", *arguments]
    main()


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]), sys.argv[2:])
