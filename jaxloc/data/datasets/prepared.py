"""Data sets in the copies that tensorflow-datasets prepared."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxloc.data.annotations.records import Box
from jaxloc.data.archives.tfds import TfdsExample, find_builder, find_source
from jaxloc.data.datasets.gathering import Gathering, Size
from jaxloc.data.images import read_size
from jaxloc.data.sources import Record
from jaxloc.errors import UsageError


class Example(NamedTuple):
    """One example.

    Attributes:
        values: of its features; images as they are stored.
        splits: our names of the splits it is in.
        path: of its image.
        size: of its image in rows and columns; ``None`` if it cannot be read.
    """

    values: Mapping[str, Any]
    splits: tuple[str, ...]
    path: TfdsExample
    size: Size | None

    def box(self, relative: Sequence[float], *, first_pixel: int = 0) -> Box:
        """A box in pixels.

        Args:
            relative: ymin, xmin, ymax, xmax, each as a share of the image's side.
            first_pixel: 1 where the data set's own boxes count pixels from 1 and include both ends.
        """
        rows, columns = self.size or (1, 1)
        y0, x0, y1, x1 = map(float, relative)
        # Shares are stored in 32 bits: what is left of a pixel's border by rounding is restored.
        x0, y0, x1, y1 = (_settled(value) for value in (x0 * columns, y0 * rows, x1 * columns, y1 * rows))
        return x0 - first_pixel, y0 - first_pixel, x1, y1


def examples(data_set: str, into: Gathering, splits: Mapping[str, tuple[str, ...]]) -> Iterator[Example]:
    """All examples of the splits wanted.

    Args:
        data_set: as tensorflow-datasets calls it.
        into: says which splits are wanted.
        splits: tensorflow-datasets' names of them, and ours.

    Raises:
        UsageError: tensorflow-datasets is missing, or has not prepared the set.
    """
    builder = find_builder(data_set)
    for theirs, ours in splits.items():
        if not into.wants(ours) or theirs not in builder.info.splits:
            continue
        source = find_source(data_set, theirs)
        for number in range(len(source)):
            values = _read(source, number, f"tfds:{data_set}:{theirs}")
            path = TfdsExample(data_set, theirs, "image", number)
            yield Example(values, ours, path, read_size(_Held(bytes(values["image"]))))


def _read(source: Any, number: int, place: str) -> Mapping[str, Any]:
    try:
        return source[number]
    except Exception as error:  # a truncated or damaged shard can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{place}: example {number} cannot be read ({reason}): prepare the set again") from error


def class_names(data_set: str, *feature: str) -> list[str]:
    """The names of the classes of a label, such as ``("label",)`` or ``("objects", "label")``."""
    features: Any = find_builder(data_set).info.features
    for name in feature:
        features = features[name]
    return list(getattr(features, "feature", features).names)


def objects(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a sequence of objects, which is stored by columns or by rows."""
    found = values["objects"]
    if not isinstance(found, Mapping):
        return list(found)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def text(value: Any) -> str:
    """A text feature, which is stored as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


@dataclasses.dataclass(frozen=True)
class _Held(Record):
    """An image that has been read."""

    data: bytes

    def read(self) -> bytes:
        return self.data


def _settled(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < 1e-3 else value
