"""Set up a process before its first run: hosts, compile cache, profiler."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxloc._files import check_writable
from jaxloc.errors import UsageError
from jaxloc.models import cache_folder
from jaxloc.run import distributed as hosts


def compile_cache(folder: str | os.PathLike[str] | None = None) -> None:
    """Keep compiled programs in a folder for later processes.

    Anyone who can write to the folder can run code in the processes that read it, so only its owner may write.

    Args:
        folder: where; ``None`` means ``xla`` in jaxloc's cache folder. JAX opens a remote address (``gs://…``)
            itself; make sure that only you can write there.
    """
    folder = cache_folder() / "xla" if folder is None else folder
    if "://" not in str(folder):
        _make_own(Path(folder))
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _make_own(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise UsageError(f"{folder}: cannot hold compiled programs ({error.strerror}): name another folder") from error
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise UsageError(
            f"{folder}: others may write to this folder, and could so run code as you: make it yours alone with "
            f"chmod 700, or name another one"
        )


@contextlib.contextmanager
def set_up(
    *, distributed: bool | None = None, cache: str | os.PathLike[str] | None = None, profile: Path | None = None
) -> Iterator[None]:
    """Join the other hosts, keep compiled programs, and trace the block; in this order.

    Args:
        distributed: whether this process is one of several, see ``distributed.join``; ``False`` also joins if JAX's
            environment variables are set, ``None`` never joins.
        cache: folder of compiled programs; ``"none"`` keeps none, ``None`` takes JAX's own setting
            (``JAX_COMPILATION_CACHE_DIR``) or else the default.
        profile: folder for a trace of the first minute, see ``traced``.
    """
    if distributed or (distributed is not None and hosts.named()):
        hosts.join()
    if cache is None and jax.config.values["jax_compilation_cache_dir"]:
        cache = "none"  # JAX has its folder already
    if cache != "none":
        try:
            compile_cache(cache)
        except UsageError:
            if cache is not None:
                raise  # asked for; the default is a convenience that a read-only home may go without
    with traced(profile) if profile is not None else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def traced(folder: Path, seconds: float = 60.0) -> Iterator[None]:
    """Trace the first ``seconds`` of a block; ``UsageError`` if the folder cannot be written."""
    try:
        check_writable(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror}): choose another folder with --profile"
        ) from error
    jax.profiler.start_trace(folder)
    timer = threading.Timer(seconds, jax.profiler.stop_trace)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with contextlib.suppress(RuntimeError):  # it has ended
            jax.profiler.stop_trace()
