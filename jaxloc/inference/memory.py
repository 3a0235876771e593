"""Memory of the system and of devices: how much is left, when it is exhausted, and how freed pages are returned."""

import contextlib
import ctypes
import math
import sys
from pathlib import Path


def release() -> None:
    """Return freed pages to the system; does nothing except on Linux with glibc.

    Each compilation leaves tens of megabytes of freed blocks, which the C library would keep and which would add up
    to the peak.
    """
    if sys.platform.startswith("linux"):
        getattr(ctypes.CDLL(None), "malloc_trim", lambda padding: None)(0)


def is_exhausted(error: Exception) -> bool:
    """Whether an error says that the system or a device is out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def available() -> float:
    """Bytes a process may still take before the system kills one; infinite where the system does not report it."""
    reported = _numbers(Path("/proc/meminfo"))
    if "MemAvailable:" not in reported:
        return math.inf
    left = 1024 * (reported["MemAvailable:"] + reported.get("SwapFree:", 0))
    group = Path("/sys/fs/cgroup")  # a container's own limit
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        left = min(left, limit - used + _numbers(group / "memory.stat").get("inactive_file", 0))
    return left


def _numbers(path: Path) -> dict[str, int]:
    """Numbers by name, of a file with one name and one number in each line."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in path.read_text().splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}
    return {}
