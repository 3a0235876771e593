"""Moments of several image sets, accumulated in float64, and their checkpoint files."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy

from jaxloc._files import Spec, StoredArrays, readable, renamed, write_safetensors, write_safetensors_in_parts
from jaxloc.moments import Accumulator, Moments

_FORMAT = "jaxloc-moments-1"
_STATE = ("count", "mean", "scatter")
_DAMAGED = ("missing or damaged", "delete it and run the same command again")


class MomentStore:
    """The moments that a method needs, by name (a layer's, or those across two), set by set, in float64.

    Attributes:
        images: number of summed images of each set, by the set's number.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
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
        for name, values in moments.items():
            if name not in sums:
                rows = len(values.scatter)
                sums[name] = Accumulator(rows, below=len(values.mean) - rows)
            sums[name].add(values)

    def merge(self, which: int, images: int, others: Mapping[str, Accumulator]) -> None:
        """Merge the accumulators of ``images`` further images of a set; the store takes them over."""
        sums = self._sums.setdefault(which, {})
        for name, other in others.items():
            if name in sums:
                sums[name].merge(other)
            else:
                sums[name] = other
        self.images[which] = self.images.get(which, 0) + images

    def of_set(self, which: int) -> Mapping[str, Accumulator]:
        """Accumulators of a set, by name."""
        return self._sums[which]

    def moments(self, which: int) -> dict[str, Moments]:
        """Moments of a set, by name; files of earlier versions have none across layers."""
        sums = self._sums[which]
        return {name: sums[name].moments() for name in self._names if name in sums}

    def drop(self, which: int) -> None:
        """Forget a set."""
        del self.images[which], self._sums[which]

    def save(self, path: Path) -> None:
        """Write the store atomically, a set at a time; the same moments give the same bytes."""
        specs = ({name: Spec.of(values) for name, values in state.items()} for state in self._states())
        metadata = {
            "format": _FORMAT,
            "layers": json.dumps(self._names),
            "images": json.dumps(sorted(self.images.items())),
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
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        with readable(self._path, *_DAMAGED):
            self._arrays = StoredArrays(path)
            metadata = renamed(self._arrays.metadata)
            if metadata.get("format") != _FORMAT:
                raise KeyError("format")
            self._names: tuple[str, ...] = tuple(json.loads(metadata["layers"]))
            self.images = {int(which): int(number) for which, number in json.loads(metadata["images"])}

    def of_set(self, which: int) -> dict[str, Accumulator]:
        """Accumulators of a set, by name."""
        with readable(self._path, *_DAMAGED):
            return {name: Accumulator.from_state(self._state(f"{which}/{name}")) for name in self._names}

    def _state(self, prefix: str) -> dict[str, np.ndarray]:
        optional = ["left_out"] if f"{prefix}/left_out" in self._arrays else []
        return {field: self._arrays[f"{prefix}/{field}"] for field in (*_STATE, *optional)}


def save_evidence(path: Path, evidence: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Write what a sign rule saw, by set and layer, atomically."""
    write_safetensors(path, {f"{which}/{layer}": values for (which, layer), values in evidence.items()}, {})


def load_evidence(path: str | os.PathLike[str]) -> dict[tuple[int, str], np.ndarray]:
    """Read what ``save_evidence`` wrote; ``UsageError`` if the file is missing or damaged."""
    with readable(path, *_DAMAGED):
        arrays = safetensors.numpy.load_file(path)
    return {(int(name.split("/")[0]), name.split("/", 1)[1]): values for name, values in arrays.items()}
