"""The hosts of one run: JAX's own distributed runtime, and a clear word when one of them is gone."""

import contextlib
import functools
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc.errors import UsageError
from jaxloc.run.leaving import GONE, leave_together

_LATE = 60
"""Seconds after which a file that another host has written should be visible to all."""

T = TypeVar("T")


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


Numbered = TypeVar("Numbered", bound=_Numbered)

_HEARTBEAT = 30
"""Seconds without a sign of life after which JAX gives a host up."""


_PATIENCE = 10
"""Seconds of waiting for the other hosts before a word about it."""
_WAITING = (
    "waiting for the other hosts: start the same command on each of them, and see that this one can reach the first"
)
_GIVE_UP = 280
"""Seconds of waiting for the other hosts in all; after 300 JAX would abort the process."""

_LAST_PORT = 65535


def named() -> bool:
    """Whether JAX's environment variables say that this process is one of several."""
    return "JAX_COORDINATOR_ADDRESS" in os.environ and (_number("JAX_NUM_PROCESSES") or 1) > 1


def join() -> None:
    """Become one of the hosts of a run; before anything else touches a device.

    The environment says which: ``JAX_COORDINATOR_ADDRESS`` (``host:port`` of the first process),
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``; what is not set, JAX finds out from the cluster (Cloud TPU, Slurm,
    Kubernetes, Open MPI).

    Raises:
        UsageError: it cannot be told, or the others did not come.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address and not re.fullmatch(r".+:\d+", address, re.ASCII):
        raise UsageError(f"JAX_COORDINATOR_ADDRESS={address}: is not HOST:PORT of the first process")
    if address and not 1 <= int(address.rpartition(":")[2]) <= _LAST_PORT:
        raise UsageError(
            f"JAX_COORDINATOR_ADDRESS={address}: no host has such a port: name one from 1 to {_LAST_PORT} that is free "
            "on the first host"
        )
    number, place = _number("JAX_NUM_PROCESSES"), _number("JAX_PROCESS_ID")
    try:
        joining = functools.partial(
            jax.distributed.initialize,
            num_processes=number,
            process_id=place,
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
        with _explained():
            _interrupts.attended(joining, seconds=_GIVE_UP)
    except TimeoutError as error:
        raise UsageError(
            f"the other hosts did not come within {_GIVE_UP} seconds: start the same command on each of them, and see "
            "that this one can reach the first"
        ) from error
    except (ValueError, RuntimeError, KeyError) as error:
        said = f"{error.args[0]} is not set" if isinstance(error, KeyError) else str(error)
        reason = said.splitlines()[0] if said else type(error).__name__
        raise UsageError(
            f"the hosts could not be joined ({reason}): on a cluster JAX knows, start the same command on every host "
            "with --distributed; elsewhere set JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID as well"
        ) from error
    leave_together()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what a process waits for, if it does so for long."""
    timer = threading.Timer(_PATIENCE, tqdm.write, [_WAITING], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _number(variable: str) -> int | None:
    """A variable of the environment as a whole number; ``None`` where it is not set, for JAX to find out."""
    value = os.environ.get(variable)
    if value is not None and not value.isdecimal():
        raise UsageError(f"{variable}={value}: not a whole number: set it to one, or unset it on a cluster JAX knows")
    return None if value is None else int(value)


def count() -> int:
    """Hosts in the run; 1 where nothing was joined."""
    return jax.process_count()


def index() -> int:
    """This host's number, from 0."""
    return jax.process_index()


def is_first() -> bool:
    """Whether this host writes what there is only one of."""
    return index() == 0


def share(items: Sequence[T]) -> Sequence[T]:
    """This host's part of a list that all hosts have: every item is one host's."""
    return items[index() :: count()]


def mine(shards: Sequence[Numbered]) -> list[Numbered]:
    """The shards of a run that are this host's: every n-th of the whole run, wherever a window begins."""
    return [shard for shard in shards if shard.number % count() == index()]


def wait(place: str) -> None:
    """Go on when every host has come to the same place.

    Raises:
        UsageError: a host has stopped.
    """
    if count() > 1:
        with _others_alive():
            _interrupts.attended(lambda: multihost_utils.sync_global_devices(place))


def see(path: Path) -> Path:
    """A file that another host has written, once this host sees it: shared folders may be some seconds late.

    Raises:
        UsageError: it does not appear.
    """
    end = time.monotonic() + _LATE
    while count() > 1 and not path.exists():
        if time.monotonic() > end:
            raise UsageError(f"{path}: written by another host, and not to be seen here: --out must be a shared folder")
        _interrupts.check()
        time.sleep(0.5)
    return path


def agree(what: str, digest: bytes) -> None:
    """Raise ``UsageError`` unless all hosts have the same digest (of 32 bytes)."""
    if count() == 1:
        return
    with _others_alive():
        mine = np.frombuffer(digest, np.uint8)
        digests = _interrupts.attended(lambda: multihost_utils.process_allgather(mine))
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
        raise UsageError(GONE) from error
