"""Moments of several image sets as they grow, and their part files."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy

from jaxloc._files import write_safetensors, write_safetensors_in_parts
from jaxloc.errors import UsageError
from jaxloc.moments import Accumulator, Moments

_FORMAT = "jaxloc-moments-1"


class Sums:
    """The moments of each layer's descriptors, set by set, in float64.

    Args:
        layers: of the network.

    Attributes:
        layers: of the network.
        pictures: how many pictures of each set are summed, by the set's number.
        summed: numbers of the pictures that are, while a shard is not whole.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = tuple(layers)
        self.summed: list[int] = []
        self.pictures: dict[int, int] = {}
        self._sums: dict[tuple[int, str], Accumulator] = {}

    @property
    def sets(self) -> list[int]:
        """Numbers of the sets that have moments."""
        return sorted(self.pictures)

    def add(self, which: int, pictures: int, moments: dict[str, Moments]) -> None:
        """Merge the moments of some pictures of a set."""
        self.pictures[which] = self.pictures.get(which, 0) + pictures
        for layer, values in moments.items():
            if (which, layer) not in self._sums:
                self._sums[which, layer] = Accumulator(len(values.mean))
            self._sums[which, layer].add(values)

    def merge(self, which: int, other: "Sums") -> None:
        """Merge what another has of a set."""
        self.pictures[which] = self.pictures.get(which, 0) + other.pictures[which]
        for layer in self.layers:
            if (which, layer) not in self._sums:
                self._sums[which, layer] = other._sums[which, layer]
            else:
                self._sums[which, layer].merge(other._sums[which, layer])

    def moments(self, which: int) -> dict[str, Moments]:
        """Moments of a set, by layer."""
        return {layer: self._sums[which, layer].moments() for layer in self.layers}

    def drop(self, which: int) -> None:
        """Forget a set."""
        del self.pictures[which]
        for layer in self.layers:
            del self._sums[which, layer]

    def save(self, path: Path, *, whole: bool = True) -> None:
        """Write the sums in one step, a set at a time; the same sums give the same bytes.

        Args:
            path: the file.
            whole: everything is in it, so that nobody need know which pictures are.
        """
        parts = (
            {f"{which}/{layer}/{field}": value for field, value in sums.state().items()}
            for (which, layer), sums in sorted(self._sums.items(), key=lambda item: item[0])
        )
        metadata = {
            "format": _FORMAT,
            "layers": json.dumps(self.layers),
            "pictures": json.dumps([[which, self.pictures[which]] for which in self.sets]),
            "summed": json.dumps([] if whole else self.summed),
        }
        write_safetensors_in_parts(path, parts, metadata)


def load(path: str | os.PathLike[str]) -> Sums:
    """Read sums.

    Raises:
        UsageError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise KeyError("format")
            sums = Sums(json.loads(metadata["layers"]))
            sums.pictures = {int(which): int(number) for which, number in json.loads(metadata["pictures"])}
            sums.summed = [int(number) for number in json.loads(metadata["summed"])]
            for which in sums.pictures:
                for layer in sums.layers:
                    state = {name: file.get_tensor(f"{which}/{layer}/{name}") for name in ("count", "mean", "scatter")}
                    sums._sums[which, layer] = Accumulator.from_state(state)
            return sums
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def split(moments: dict[str, Moments], rows: Sequence[int]) -> list[dict[str, Moments]]:
    """Moments of single sets, out of arrays that hold several along their first axis, on the host."""
    fetched = jax.device_get(moments)
    return [jax.tree.map(lambda values, row=row: values[row], fetched) for row in rows]


def save_counts(path: Path, counts: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Write numbers of cells by set and layer in one step."""
    write_safetensors(path, {f"{which}/{layer}": values for (which, layer), values in counts.items()}, {})


def load_counts(path: str | os.PathLike[str]) -> dict[tuple[int, str], np.ndarray]:
    """What ``save_counts`` wrote.

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
