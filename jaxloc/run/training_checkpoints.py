"""Training state on disk, written by Orbax; a kill loses only the steps since the last checkpoint.

Orbax is an extra: ``pip install 'jaxloc[train]'``. A checkpoint is visible only once it is complete; incomplete ones
are removed at the next start.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxloc.errors import UsageError

_KEPT = 2
"""Number of newest checkpoints that are kept beside the best."""

_log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """A checkpoint that was read: its number, arrays and notes."""

    number: int
    state: Any
    notes: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training, in a folder of their own; a context manager."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import orbax.checkpoint as ocp
            from orbax.checkpoint.checkpoint_managers import preservation_policy as policies
        except ImportError as error:
            raise UsageError("training keeps its checkpoints with Orbax: pip install 'jaxloc[train]'") from error
        self.folder = Path(os.path.abspath(folder))
        self._args = ocp.args
        best = policies.BestN(get_metric_fn=_rank, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(_KEPT), best]),
            enable_async_checkpointing=False,
        )
        try:
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except (OSError, ValueError) as error:
            raise UsageError(f"{folder}: cannot hold checkpoints ({_line(error)}): choose another --out") from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def save(
        self, number: int, state: Any, notes: Mapping[str, Any], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write a checkpoint of arrays and JSON values atomically, and drop those that are no longer needed.

        Of those with ``metrics`` (``quality``, ``loss``, ``epoch``) the one with the highest quality (of equals, the
        lowest loss, then the first) is kept.
        """
        items = self._args.Composite(state=self._args.StandardSave(state), notes=self._args.JsonSave(dict(notes)))
        try:
            if number in self._manager.all_steps():
                self._manager.delete(number)
            self._manager.save(number, args=items, metrics=None if metrics is None else dict(metrics))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self.folder}: the checkpoint cannot be written ({_line(error)}): free some space, then start the "
                "same command again to resume"
            ) from error

    def resume(self, like: Any, check: Callable[[dict[str, Any]], None]) -> Restored | None:
        """Read the newest checkpoint, or an older one if that is damaged; ``None`` if there is none.

        ``check`` may raise ``UsageError`` at its notes, before arrays of the shapes of ``like`` are read.
        """
        error: Exception | None = None
        for number in sorted(self._manager.all_steps(), reverse=True):
            try:
                notes = self._read(number, "notes", self._args.JsonRestore())
                check(notes)
                return Restored(number, self._read(number, "state", self._args.StandardRestore(like)), notes)
            except UsageError:
                raise
            except Exception as reason:  # a damaged file can raise anything in a decoder
                error = reason
                _log.warning("checkpoint %d cannot be read (%s); trying an older one", number, _line(reason))
        if error is not None:
            raise self._damaged(error) from error
        return None

    def read_state(self, number: int, like: Any) -> Any:
        """The arrays of one checkpoint, of the shapes of ``like``; ``UsageError`` if it cannot be read."""
        try:
            return self._read(number, "state", self._args.StandardRestore(like))
        except Exception as error:
            raise self._damaged(error) from error

    def _read(self, number: int, item: str, how: Any) -> Any:
        return self._manager.restore(number, args=self._args.Composite(**{item: how}))[item]

    def _damaged(self, error: Exception) -> UsageError:
        return UsageError(f"{self.folder}: no checkpoint can be read ({_line(error)}): remove the folder to start anew")


def _rank(metrics: Mapping[str, float]) -> tuple[float, float, float]:
    return metrics["quality"], -metrics["loss"], -metrics["epoch"]


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
