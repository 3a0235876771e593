"""Data sets prepared by tensorflow-datasets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxloc.data.annotations.records import Annotated, Annotation, Box, Mask
from jaxloc.data.archives.tfds import TfdsExample, find_builder, find_source
from jaxloc.data.datasets.gathering import Gathering, Size
from jaxloc.data.images import read_size
from jaxloc.errors import UsageError

TRAIN_TEST = {"train": ("train",), "test": ("test",)}
TRAIN_VAL_TEST = {"train": ("train", "trainval"), "validation": ("val", "trainval"), "test": ("test",)}
"""Names of splits in tensorflow-datasets, and here."""


class Example(NamedTuple):
    """One example: its features (images encoded), its splits here, and its image with rows and columns, if readable."""

    values: Mapping[str, Any]
    splits: tuple[str, ...]
    path: TfdsExample
    size: Size | None
    into: Gathering

    def box(self, relative: Sequence[float], *, first_pixel: int = 0) -> Box:
        """A box in pixels from ymin, xmin, ymax, xmax as shares of the image's sides.

        ``first_pixel`` is 1 if the data set's own boxes count pixels from 1 and include both ends.
        """
        rows, columns = self.size or (1, 1)
        y0, x0, y1, x1 = map(float, relative)
        # Shares are stored in 32 bits; undo their rounding at pixel borders.
        x0, y0, x1, y1 = (_rounded(value) for value in (x0 * columns, y0 * rows, x1 * columns, y1 * rows))
        return x0 - first_pixel, y0 - first_pixel, x1, y1

    def text(self, feature: str) -> str:
        """A text feature."""
        value = self.values[feature]
        return value.decode() if isinstance(value, bytes) else str(value)

    def add(
        self, name: str, category: str | None, annotations: Sequence[Annotation] = (), mask: Mask | None = None
    ) -> None:
        """Add the image to the data set."""
        image = Annotated(name, category, tuple(annotations), splits=self.splits, path=self.path, mask=mask)
        self.into.add(image, where=self.path, size=self.size)


def examples(into: Gathering, splits: Mapping[str, tuple[str, ...]]) -> Iterator[Example]:
    """All examples of the wanted splits, whose names in tensorflow-datasets are given each with the names here."""
    data_set = into.info.tfds or ""
    into.place = f"tfds://{data_set}"
    builder = find_builder(data_set)
    for theirs, ours in splits.items():
        if not into.wants(ours) or theirs not in builder.info.splits:
            continue
        source = find_source(data_set, theirs)
        for number in range(len(source)):
            try:
                values = source[number]
            except Exception as error:  # a truncated or damaged shard can raise anything
                place = f"tfds:{data_set}:{theirs}: example {number}"
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise UsageError(f"{place} cannot be read ({reason}): prepare the set again") from error
            path = TfdsExample(data_set, theirs, "image", number)
            yield Example(values, ours, path, read_size(bytes(values["image"])), into)


def class_names(data_set: str, *feature: str) -> list[str]:
    """Names of the classes of a label, such as ``("label",)`` or ``("objects", "label")``."""
    features: Any = find_builder(data_set).info.features
    for name in feature:
        features = features[name]
    return list(getattr(features, "feature", features).names)


def objects(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of a sequence of objects, which is stored by columns or by rows."""
    found = values["objects"]
    if not isinstance(found, Mapping):
        return list(found)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _rounded(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < 1e-3 else value
