"""What memory the system has left, and giving it what the C library would keep."""

import contextlib
import ctypes
import functools
import gc
import sys
from collections.abc import Callable
from pathlib import Path


@functools.cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back(*, collect: bool = False) -> None:
    """Return freed pages to the system; a no-op but on Linux with glibc.

    Each new bucket's compilation leaves tens of megabytes of holes behind, and each window of sets its moments, which
    would add up to the peak.

    Args:
        collect: look for unreachable cycles first (tracing leaves some that hold arrays).
    """
    if collect:
        gc.collect()
    trim = _trim()
    if trim is not None:
        trim(0)


def available() -> int | None:
    """Bytes that a process may still take before the system kills one; ``None`` where it does not tell."""
    told = _told(Path("/proc/meminfo"))
    if "MemAvailable:" not in told:
        return None
    left = 1024 * (told["MemAvailable:"] + told.get("SwapFree:", 0))
    group = Path("/sys/fs/cgroup")  # a container's own limit
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or used is None:
        return left
    return min(left, limit - used + _told(group / "memory.stat").get("inactive_file", 0))


def _told(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in path.read_text().splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}
    return {}


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None
