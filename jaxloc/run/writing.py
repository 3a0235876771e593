"""Writing to a folder of results: one writer at a time, and clear errors of the disk."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from jaxloc.data import remote
from jaxloc.errors import UsageError


def result_folder(out: str | os.PathLike[str]) -> Path:
    """The folder of results as a path; ``UsageError`` if it is the address of a remote place."""
    if remote.is_remote(os.fspath(out)):
        raise UsageError(
            f"{out}: results are written to a folder, not to an address: name one with --out (several hosts need one "
            "that all see, such as NFS or a mounted bucket), and copy it afterwards"
        )
    return Path(out)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder against other writers while this process lives; ``UsageError`` if another one holds it."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{folder}: another process is writing to this folder: wait until it is done, or use another one"
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(folder: Path, *, left: str = "the finished shards stay") -> Iterator[None]:
    """Turn a file's ``OSError`` into a one-line ``UsageError`` with the cure and what is ``left`` of the work."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        trouble = "cannot be written" if full else "cannot be read or written"
        raise UsageError(
            f"{error.filename or folder}: {trouble} ({reason}): {'free some space' if full else 'mend that'} and run "
            f"the same command again; {left}"
        ) from error
