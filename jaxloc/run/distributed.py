"""The hosts of one run: JAX's distributed runtime, and a clear message when a host is gone.

Propagate SIGTERM to all hosts; each keeps its finished shards and exits. The hosts tell each other through the
key-value store of JAX's coordination service. Host 0 keeps that store, and the others abort without it, so host 0
exits last.
"""

import concurrent.futures
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc.errors import UsageError

T = TypeVar("T")


# All in seconds.
_HEARTBEAT = 30  # without a sign of life, after which JAX gives a host up
_PATIENCE = 10  # of waiting for the other hosts before a message about it
_GIVE_UP = 280  # of waiting for the other hosts in all; after 300 JAX would abort the process
_LATE = 60  # after which a file that another host has written should be visible to all
_POLL = 1  # between two looks at whether another host was stopped
_EXIT = 15  # that a stopped host waits for the others to exit; clouds give 30 in all
_LAST = 1  # by which host 0 outlives the others

_ASKED, _DONE = "jaxloc: asked to end", "jaxloc: done"
_LAST_PORT = 65535

_WAITING = (
    "waiting for the other hosts: start the same command on each of them, and check that this one can reach the first"
)
_GONE = (
    "another host of this run has stopped, so this one stops too: see what the other printed, and start the same "
    "command on every host again; finished shards are kept"
)


def named() -> bool:
    """Whether JAX's environment variables configure this process as one of several."""
    return "JAX_COORDINATOR_ADDRESS" in os.environ and (_number("JAX_NUM_PROCESSES") or 1) > 1


def join() -> None:
    """Join the hosts of a run; call this before any other use of a device.

    The environment says which: ``JAX_COORDINATOR_ADDRESS`` (``host:port`` of the first process),
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``; JAX detects unset ones from the cluster (Cloud TPU, Slurm,
    Kubernetes, Open MPI).
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address and not re.fullmatch(r".+:\d+", address, re.ASCII):
        raise UsageError(f"JAX_COORDINATOR_ADDRESS={address}: is not HOST:PORT of the first process")
    if address and not 1 <= int(address.rpartition(":")[2]) <= _LAST_PORT:
        raise UsageError(
            f"JAX_COORDINATOR_ADDRESS={address}: no host has such a port: name one from 1 to {_LAST_PORT} that is free "
            "on the first host"
        )
    numbers = {"num_processes": _number("JAX_NUM_PROCESSES"), "process_id": _number("JAX_PROCESS_ID")}
    try:
        _initialize_in_time(heartbeat_timeout_seconds=_HEARTBEAT, **numbers)
    except TimeoutError as error:
        raise UsageError(
            f"the other hosts did not connect within {_GIVE_UP} seconds: start the same command on each of them, and "
            "check that this one can reach the first"
        ) from error
    except (ValueError, RuntimeError, KeyError) as error:
        said = f"{error.args[0]} is not set" if isinstance(error, KeyError) else str(error)
        reason = said.splitlines()[0] if said else type(error).__name__
        raise UsageError(
            f"the hosts could not be joined ({reason}): on a cluster JAX knows, start the same command on every host "
            "with --distributed; elsewhere set JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID as well"
        ) from error
    _stop_together()


def _initialize_in_time(**options: int | None) -> None:
    """Call JAX's ``initialize`` in a thread; raise ``TimeoutError`` after ``_GIVE_UP`` seconds."""
    joined: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run() -> None:
        try:
            jax.distributed.initialize(**options)  # type: ignore[arg-type]
            joined.set_result(None)
        except BaseException as error:  # raised where the result is asked for
            joined.set_exception(error)

    threading.Thread(target=run, name="jaxloc-join", daemon=True).start()
    if not concurrent.futures.wait([joined], _PATIENCE).done:
        tqdm.write(_WAITING, file=sys.stderr)
    joined.result(_GIVE_UP - _PATIENCE)


def _number(variable: str) -> int | None:
    """An environment variable as a whole number; ``None`` if unset, for JAX to detect."""
    value = os.environ.get(variable)
    if value is not None and not value.isdecimal():
        raise UsageError(f"{variable}={value}: not a whole number: set it to one, or unset it on a cluster JAX knows")
    return None if value is None else int(value)


def count() -> int:
    """Number of hosts; 1 without ``join``."""
    return jax.process_count()


def index() -> int:
    """This host's number, from 0."""
    return jax.process_index()


def is_first() -> bool:
    """Whether this host writes the files that exist once."""
    return index() == 0


def share(items: Sequence[T]) -> Sequence[T]:
    """This host's items of a list that all hosts share: every ``count()``-th."""
    return items[index() :: count()]


def wait(place: str) -> None:
    """Return when every host has called this with the same ``place``; ``UsageError`` if one has stopped."""
    if count() > 1:
        with _others_alive():
            multihost_utils.sync_global_devices(place)


def see(path: Path) -> Path:
    """Wait until another host's file is visible here and return its path: shared folders may lag by seconds."""
    end = time.monotonic() + _LATE
    while count() > 1 and not path.exists():
        if time.monotonic() > end:
            raise UsageError(f"{path}: written by another host, and not to be seen here: --out must be a shared folder")
        time.sleep(0.5)
    return path


def agree(what: str, digest: bytes) -> None:
    """Raise ``UsageError`` unless all hosts have the same digest (of 32 bytes)."""
    if count() == 1:
        return
    with _others_alive():
        digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    different = [host for host, other in enumerate(digests) if not np.array_equal(other, digests[0])]
    if different:
        raise UsageError(
            f"host {different[0]} has {what} that is not host 0's: every host must see the same images and the same "
            "--out folder, and get the same options"
        )


@contextlib.contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise UsageError(_GONE) from error


def _stop_together() -> None:
    """Stop every host when one of them is stopped."""
    _interrupts.take_back()  # JAX handles SIGTERM itself, for programs whose hosts step together
    if _client() is None:
        return
    parting = _Parting()
    _interrupts.farewells.append(parting.farewell)
    threading.Thread(target=parting.watch, name="jaxloc-hosts", daemon=True).start()


class _Parting:
    """Tells the other hosts that this one stops, or stops this one because another does."""

    def __init__(self) -> None:
        self._stopping = self._by_another = False

    def watch(self) -> None:
        """Stop this process when another host is stopped."""
        while not self._stopping and (client := _client()) is not None:
            with contextlib.suppress(RuntimeError):  # no host was stopped
                client.key_value_try_get(_ASKED)
                if not self._stopping:
                    self._by_another = True
                    _interrupts.stop()
                return
            time.sleep(_POLL)

    def farewell(self) -> str | None:
        """Notify the other hosts and wait until all exit; return the message if another host was stopped."""
        self._stopping = True
        client = _client()

        def wait() -> None:
            with contextlib.suppress(RuntimeError):  # the others are gone, or late
                if client is not None:
                    client.key_value_set(_ASKED, "yes", allow_overwrite=True)
                    client.wait_at_barrier(_DONE, 1000 * _EXIT)

        waiting = threading.Thread(target=wait, daemon=True)  # a second Ctrl-C interrupts the join
        waiting.start()
        waiting.join()
        if getattr(_service(), "process_id", 0) == 0:
            time.sleep(_LAST)
        return _GONE if self._by_another else None


def _service() -> Any:
    """JAX's coordination service, which has no public name; without it the other hosts end as if this one had died."""
    try:
        from jax._src import distributed
    except ImportError:
        return None
    return getattr(distributed, "global_state", None)


def _client() -> Any:
    return getattr(_service(), "client", None)
