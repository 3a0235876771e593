"""Give freed memory back to the system, where the C library would keep it."""

import ctypes
import functools
import gc
import sys
from collections.abc import Callable


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
