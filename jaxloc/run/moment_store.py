"""Moments of several image sets, accumulated in float64, and their checkpoint files."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy

from jaxloc._files import Spec, StoredArrays, write_safetensors, write_safetensors_in_parts
from jaxloc.errors import UsageError
from jaxloc.moments import Accumulator, Moments

_FORMAT = "jaxloc-moments-1"
_STATE = ("count", "mean", "scatter")


class MomentStore:
    """The moments of each layer's descriptors, set by set, in float64.

    Args:
        layers: of the network.

    Attributes:
        images: number of summed images of each set, by the set's number.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self._layers = tuple(layers)
        self.images: dict[int, int] = {}
        self._sums: dict[tuple[int, str], Accumulator] = {}

    @property
    def sets(self) -> list[int]:
        """Numbers of the sets that have moments."""
        return sorted(self.images)

    def add(self, which: int, images: int, moments: Mapping[str, Moments]) -> None:
        """Merge the moments of ``images`` images of a set."""
        self.images[which] = self.images.get(which, 0) + images
        for layer, values in moments.items():
            if (which, layer) not in self._sums:
                self._sums[which, layer] = Accumulator(len(values.mean))
            self._sums[which, layer].add(values)

    def merge(self, which: int, images: int, others: Mapping[str, Accumulator]) -> None:
        """Merge the accumulators of ``images`` further images of a set; the store takes them over."""
        self.images[which] = self.images.get(which, 0) + images
        for layer, other in others.items():
            if (which, layer) in self._sums:
                self._sums[which, layer].merge(other)
            else:
                self._sums[which, layer] = other

    def moments(self, which: int) -> dict[str, Moments]:
        """Moments of a set, by layer."""
        return {layer: self._sums[which, layer].moments() for layer in self._layers}

    def drop(self, which: int) -> None:
        """Forget a set."""
        del self.images[which]
        for layer in self._layers:
            del self._sums[which, layer]

    def save(self, path: Path) -> None:
        """Write the store atomically, a set at a time; the same moments give the same bytes."""
        specs = ({name: Spec.of(values) for name, values in state.items()} for state in self._states())
        metadata = {
            "format": _FORMAT,
            "layers": json.dumps(self._layers),
            "pictures": json.dumps([[which, self.images[which]] for which in self.sets]),
        }
        write_safetensors_in_parts(path, specs, self._states(), metadata)

    def _states(self) -> Iterator[dict[str, np.ndarray]]:
        for which, layer in sorted(self._sums):
            yield {f"{which}/{layer}/{name}": values for name, values in self._sums[which, layer].state().items()}


class StoredMoments:
    """A file of a ``MomentStore``; the moments of each set are read on access.

    Args:
        path: the file.

    Attributes:
        images: number of summed images of each set, by the set's number.

    Raises:
        UsageError: the file is missing or damaged; also later, when a set is read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        with self._readable():
            self._arrays = StoredArrays(path)
            metadata = self._arrays.metadata
            if metadata.get("format") != _FORMAT:
                raise KeyError("format")
            self._layers: tuple[str, ...] = tuple(json.loads(metadata["layers"]))
            self.images = {int(which): int(number) for which, number in json.loads(metadata["pictures"])}

    @property
    def sets(self) -> list[int]:
        """Numbers of the sets that have moments."""
        return sorted(self.images)

    def of_set(self, which: int) -> dict[str, Accumulator]:
        """Accumulators of a set, by layer."""
        with self._readable():
            return {
                layer: Accumulator.from_state({name: self._arrays[f"{which}/{layer}/{name}"] for name in _STATE})
                for layer in self._layers
            }

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
            raise _damaged(self._path, error) from error


def split(moments: Mapping[str, Moments], rows: Sequence[int]) -> list[dict[str, Moments]]:
    """Fetch moments of several sets, stacked along their first axis, and return those of single rows, on the host."""
    fetched = jax.device_get(moments)
    return [jax.tree.map(lambda values, row=row: values[row], fetched) for row in rows]


def save_counts(path: Path, counts: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Write numbers of cells by set and layer atomically."""
    write_safetensors(path, {f"{which}/{layer}": values for (which, layer), values in counts.items()}, {})


def load_counts(path: str | os.PathLike[str]) -> dict[tuple[int, str], np.ndarray]:
    """Read what ``save_counts`` wrote.

    Raises:
        UsageError: the file is missing or damaged.
    """
    try:
        arrays = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    return {(int(name.split("/")[0]), name.split("/", 1)[1]): values for name, values in arrays.items()}


def _damaged(path: str | os.PathLike[str], error: Exception) -> UsageError:
    return UsageError(f"{path}: missing or damaged ({error}): delete it and run the same command again")
