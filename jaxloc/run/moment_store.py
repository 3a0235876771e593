"""Moments of several image sets, accumulated in float64, and their checkpoint files."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy

from jaxloc._files import IMAGES, Spec, StoredArrays, readable, write_safetensors, write_safetensors_in_parts
from jaxloc.moments import Accumulator, Moments

_FORMAT = "jaxloc-moments-1"
_STATE = ("count", "mean", "scatter")
_DAMAGED = ("missing or damaged", "delete it and run the same command again")


class MomentStore:
    """The moments of each layer's descriptors, set by set, in float64.

    Attributes:
        images: number of summed images of each set, by the set's number.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self._layers = tuple(layers)
        self.images: dict[int, int] = {}
        self._sums: dict[int, dict[str, Accumulator]] = {}

    def add_rows(self, moments: Mapping[str, Moments], rows: Sequence[tuple[int, int, int]]) -> None:
        """Merge moments from the devices, stacked along their first axis; see ``Steps.moments``."""
        fetched = jax.device_get(moments)
        for row, which, images in rows:
            self.add(which, images, jax.tree.map(lambda values, row=row: values[row], fetched))

    def add(self, which: int, images: int, moments: Mapping[str, Moments]) -> None:
        """Merge the moments of ``images`` images of a set."""
        self.images[which] = self.images.get(which, 0) + images
        sums = self._sums.setdefault(which, {})
        for layer, values in moments.items():
            if layer not in sums:
                sums[layer] = Accumulator(len(values.mean))
            sums[layer].add(values)

    def merge(self, which: int, images: int, others: Mapping[str, Accumulator]) -> None:
        """Merge the accumulators of ``images`` further images of a set; the store takes them over."""
        if which not in self._sums:
            self._sums[which] = dict(others)
        else:
            for layer, other in others.items():
                self._sums[which][layer].merge(other)
        self.images[which] = self.images.get(which, 0) + images

    def of_set(self, which: int) -> Mapping[str, Accumulator]:
        """Accumulators of a set, by layer."""
        return self._sums[which]

    def moments(self, which: int) -> dict[str, Moments]:
        """Moments of a set, by layer."""
        return {layer: self._sums[which][layer].moments() for layer in self._layers}

    def drop(self, which: int) -> None:
        """Forget a set."""
        del self.images[which], self._sums[which]

    def save(self, path: Path) -> None:
        """Write the store atomically, a set at a time; the same moments give the same bytes."""
        specs = ({name: Spec.of(values) for name, values in state.items()} for state in self._states())
        metadata = {
            "format": _FORMAT,
            "layers": json.dumps(self._layers),
            IMAGES: json.dumps(sorted(self.images.items())),
        }
        write_safetensors_in_parts(path, specs, self._states(), metadata)

    def _states(self) -> Iterator[dict[str, np.ndarray]]:
        for which, sums in sorted(self._sums.items()):
            for layer, one in sorted(sums.items()):
                yield {f"{which}/{layer}/{name}": values for name, values in one.state().items()}


class StoredMoments:
    """A file of a ``MomentStore``; the moments of each set are read on access.

    Attributes:
        images: number of summed images of each set, by the set's number.

    Raises:
        UsageError: the file is missing or damaged; also later, when a set is read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        with readable(self._path, *_DAMAGED):
            self._arrays = StoredArrays(path)
            metadata = self._arrays.metadata
            if metadata.get("format") != _FORMAT:
                raise KeyError("format")
            self._layers: tuple[str, ...] = tuple(json.loads(metadata["layers"]))
            self.images = {int(which): int(number) for which, number in json.loads(metadata[IMAGES])}

    def of_set(self, which: int) -> dict[str, Accumulator]:
        """Accumulators of a set, by layer."""
        with readable(self._path, *_DAMAGED):
            return {
                layer: Accumulator.from_state({name: self._arrays[f"{which}/{layer}/{name}"] for name in _STATE})
                for layer in self._layers
            }


def save_counts(path: Path, counts: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Write numbers of cells by set and layer atomically."""
    write_safetensors(path, {f"{which}/{layer}": values for (which, layer), values in counts.items()}, {})


def load_counts(path: str | os.PathLike[str]) -> dict[tuple[int, str], np.ndarray]:
    """Read what ``save_counts`` wrote; ``UsageError`` if the file is missing or damaged."""
    with readable(path, *_DAMAGED):
        arrays = safetensors.numpy.load_file(path)
    return {(int(name.split("/")[0]), name.split("/", 1)[1]): values for name, values in arrays.items()}
