"""Memory of the system and of devices: how much is left, when it is exhausted, and how freed pages are returned."""

import contextlib
import ctypes
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


def check_available(needed: int) -> None:
    """Raise ``MemoryError`` where the system would kill the process instead of refusing it ``needed`` bytes."""
    left = available()
    if left is not None and needed > left:
        raise MemoryError(f"{needed / 1e9:.1f} GB are needed and {left / 1e9:.1f} GB are left")


def available() -> int | None:
    """Bytes a process may still take before the system kills one; ``None`` where the system does not report it."""
    reported = _numbers(Path("/proc/meminfo"))
    if "MemAvailable:" not in reported:
        return None
    left = 1024 * (reported["MemAvailable:"] + reported.get("SwapFree:", 0))
    group = Path("/sys/fs/cgroup")  # a container's own limit
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or used is None:
        return left
    return min(left, limit - used + _numbers(group / "memory.stat").get("inactive_file", 0))


def _numbers(path: Path) -> dict[str, int]:
    """Numbers by name, of a file with one name and one number in each line."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in path.read_text().splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}
    return {}


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None
