"""The hosts of one run: JAX's own distributed runtime, and a clear word when one of them is gone."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxloc.errors import UsageError

_LATE = 60
"""Seconds after which a file that another host has written should be visible to all."""

T = TypeVar("T")


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


Numbered = TypeVar("Numbered", bound=_Numbered)

_HEARTBEAT = 30
"""Seconds without a sign of life after which JAX gives a host up."""


def join() -> None:
    """Become one of the hosts of a run; before anything else touches a device.

    The environment says which: ``JAX_COORDINATOR_ADDRESS`` (``host:port`` of the first process),
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``; what is not set, JAX finds out from the cluster (Cloud TPU, Slurm,
    Kubernetes, Open MPI).

    Raises:
        UsageError: it cannot be told, or the others did not come.
    """
    number, place = os.environ.get("JAX_NUM_PROCESSES"), os.environ.get("JAX_PROCESS_ID")
    try:
        jax.distributed.initialize(
            num_processes=None if number is None else int(number),
            process_id=None if place is None else int(place),
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"the hosts could not be joined ({reason}): on a cluster JAX knows, start the same command on every host "
            "with --distributed; elsewhere set JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID as well"
        ) from error


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
            multihost_utils.sync_global_devices(place)


def see(path: Path) -> Path:
    """A file that another host has written, once this host sees it: shared folders may be some seconds late.

    Raises:
        UsageError: it does not appear.
    """
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
            f"host {different[0]} has {what} that is not host 0's: every host must see the same pictures and the same "
            "--out folder, and get the same options"
        )


@contextlib.contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            "another host of this run has stopped, so this one stops too: see what the other printed, and start the "
            "same command on every host again; finished shards are kept"
        ) from error
