"""Where one host of a run is asked to end, all of them end, each with what it has written.

The hosts tell each other through the key-value store of JAX's coordination service, which host 0 keeps: the others
abort where it is gone, so it leaves last.
"""

import contextlib
import threading
import time
from typing import Any

from jaxloc import _interrupts
from jaxloc.errors import UsageError

GONE = (
    "another host of this run has stopped, so this one stops too: see what the other printed, and start the same "
    "command on every host again; finished shards are kept"
)
"""What a host says that ends because of another."""

_ASKED, _DONE = "jaxloc: asked to end", "jaxloc: done"
_LOOK = 1
"""Seconds between two looks at whether another host was asked to end."""
_WAIT = 15
"""Seconds that the others have to finish the batch in flight: clouds give 30 in all."""
_LAST = 1
"""Seconds by which host 0 outlives the others."""


def leave_together() -> None:
    """From now on this host ends where another one is asked to, and the others where this one is."""
    _interrupts.take_back()  # JAX takes SIGTERM, for programs whose hosts step together
    if _client() is None:
        return
    _interrupts.on_leaving(_leave)
    threading.Thread(target=_watch, name="jaxloc-hosts", daemon=True).start()


def _service() -> Any:
    """What JAX knows of its coordination service, which has no public name; ``None`` in a version that keeps it apart.

    Hosts end then as if one of them had died.
    """
    try:
        from jax._src import distributed
    except ImportError:
        return None
    return getattr(distributed, "global_state", None)


def _client() -> Any:
    return getattr(_service(), "client", None)


def _watch() -> None:
    while (client := _client()) is not None:
        with contextlib.suppress(RuntimeError):  # nobody was
            client.key_value_try_get(_ASKED)
            _interrupts.request()
            return
        time.sleep(_LOOK)


def _leave(asked: bool) -> None:
    """Tell the others, and wait until all have written.

    Args:
        asked: whether it was this host that got a signal.

    Raises:
        UsageError: it was another one.
    """
    client = _client()

    def wait() -> None:
        with contextlib.suppress(RuntimeError):  # the others are gone, or late
            if client is not None:
                client.key_value_set(_ASKED, "yes", allow_overwrite=True)
                client.wait_at_barrier(_DONE, 1000 * _WAIT)

    waiting = threading.Thread(target=wait, daemon=True)  # so that a second Ctrl-C is noticed
    waiting.start()
    waiting.join()
    if getattr(_service(), "process_id", 0) == 0:
        time.sleep(_LAST)
    if not asked:
        raise UsageError(GONE)
