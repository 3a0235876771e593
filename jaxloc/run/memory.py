"""What memory the system has left, and giving it what the C library would keep."""

import contextlib
import ctypes
import functools
import gc
import re
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
    with contextlib.suppress(OSError):
        if told := re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE):
            return 1024 * int(told[1])
    return None
