"""The known data sets, and the contents of one on this machine."""

import dataclasses
import textwrap
from collections import Counter
from typing import Any

from jaxloc.data.annotations.problems import summarize
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.datasets import ADAPTERS, Dataset, Info, open_dataset, set_names, unknown
from jaxloc.report.tables import text_table

_CLASSES_SHOWN = 30
_NAMES, _WIDTH = 18, 96


@dataclasses.dataclass
class Counts:
    """Counts over the images of a split or of a class.

    Attributes:
        images: how many there are.
        used: of a class, those that co-localisation is run on.
        boxes: boxes in them; of a class, those of the class.
        difficult: of these boxes, those that do not count.
        truncated: of these boxes, those that leave the image.
        crowds: of these boxes, those that hold many objects.
        masked: images with a mask, of their own or of an object.
        without_box: images without a box of the class they belong to, or of any.
    """

    images: int = 0
    used: int = 0
    boxes: int = 0
    difficult: int = 0
    truncated: int = 0
    crowds: int = 0
    masked: int = 0
    without_box: int = 0

    def add(self, image: Annotated, category: str | None = None) -> None:
        """Count an image, or its annotations of one class."""
        told = [one for one in image.annotations if category in (None, one.category)]
        self.images += 1
        self.used += category in set_names(image) if category else bool(set_names(image))
        self.boxes += len(told)
        self.difficult += sum(one.difficult for one in told)
        self.truncated += sum(one.truncated for one in told)
        self.crowds += sum(one.crowd for one in told)
        self.masked += image.mask is not None or any(one.mask is not None for one in told)
        self.without_box += not told

    def shown(self) -> dict[str, int]:
        """The counts by the names that tables and JSON have for them."""
        return {"pictures" if name == "images" else name: value for name, value in vars(self).items()}


@dataclasses.dataclass(frozen=True)
class Described:
    """What a data set on this machine holds.

    Attributes:
        dataset: the opened data set.
        whole: counts over all images.
        splits: by split; an image may be in several.
        classes: by class; an image may be in several.
        keypoints: points of objects, and of them the visible ones.
        parts: boxes of parts.
    """

    dataset: Dataset
    whole: Counts
    splits: dict[str, Counts]
    classes: dict[str, Counts]
    keypoints: tuple[int, int]
    parts: int


def describe(spec: str) -> Described:
    """Open a data set and count its images and annotations, all of which are read.

    Raises:
        UsageError: it cannot be opened.
    """
    dataset = open_dataset(spec)
    whole = Counts()
    splits: dict[str, Counts] = {}
    classes: dict[str, Counts] = {}
    points: Counter[bool] = Counter()
    parts = 0
    for image in dataset.images.values():
        whole.add(image)
        for split in image.splits:
            splits.setdefault(split, Counts()).add(image)
        for category in sorted({one.category for one in image.annotations} | set(set_names(image))):
            classes.setdefault(category, Counts()).add(image, category)
        for one in image.annotations:
            points.update(point.visible for point in one.keypoints)
            parts += len(one.parts)
    return Described(dataset, whole, splits, dict(sorted(classes.items())), (points.total(), points[True]), parts)


def find_info(name: str) -> Info:
    """The description of a known data set.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in ADAPTERS:
        raise unknown(name)
    return ADAPTERS[name].info


def overview() -> str:
    """All data sets, as text."""
    return "\n\n".join(
        [
            *map(_entry, _infos()),
            "Nothing is downloaded: `jaxloc datasets NAME` tells how to get one and the layout it is read from.\n"
            "Wherever a path can stand, so can NAME:FOLDER, NAME/SPLIT:FOLDER or NAME:tfds\n"
            "(the copy of tensorflow-datasets).",
        ]
    )


def _entry(info: Info) -> str:
    """One data set in a few lines that fit a terminal."""
    lines = [f"{info.title}: {info.size}", f"holds {info.holds}", f"licence: {info.licence}", info.page]
    wrapped = [part for line in lines for part in textwrap.wrap(line, _WIDTH, break_long_words=False)]
    return f"{info.name:<{_NAMES}}" + f"\n{' ' * _NAMES}".join(wrapped)


def explanation(info: Info) -> str:
    """One data set, as text."""
    specs = [f"{info.name}:FOLDER"]
    specs += [f"{info.name}/{info.splits[0]}:FOLDER"] if info.splits else []
    specs += [f"{info.name}:tfds"] if info.tfds else []
    fields = {
        "holds": [info.holds],
        "size": [info.size],
        "licence": [info.licence],
        "page": [info.page],
        "splits": [", ".join(info.splits) or "none"],
        "used by": info.papers or ["–"],
        "notes": info.notes or ["–"],
        "write": specs,
    }
    told = [f"{key if not number else '':9}{line}" for key, some in fields.items() for number, line in enumerate(some)]
    lines = [f"{info.name}: {info.title}", *told, "", "To get it:", *(f"  {line}" for line in info.get)]
    lines += ["", "Expected in FOLDER:", *(f"  {line}" for line in info.layout)]
    return "\n".join(lines)


def description(described: Described) -> str:
    """Contents of a data set on this machine, as text."""
    dataset, whole = described.dataset, described.whole
    lines = [f"{dataset.info.title} in {dataset.place}: {whole.images:,} images, {len(described.classes):,} classes"]
    lines += ["", _table("split", {**described.splits, "all": whole}, whole)]
    shown = dict(list(described.classes.items())[:_CLASSES_SHOWN])
    if shown:
        lines += ["", _table("class", shown, whole)]
    if len(shown) < len(described.classes):
        lines.append(f"The first {len(shown)} of {len(described.classes):,} classes; --json has all of them.")
    if described.keypoints[0]:
        lines += ["", "{:,} points of objects, {:,} of them visible.".format(*described.keypoints)]
    if described.parts:
        lines += ["", f"{described.parts:,} boxes of parts."]
    if dataset.queries:
        judged: Counter[str] = Counter()
        for query in dataset.queries:
            judged.update({kind: len(names) for kind, names in query.judged.items()})
        told = ", ".join(f"{count:,} {kind}" for kind, count in judged.items())
        lines += ["", f"{len(dataset.queries):,} queries; judged images: {told}."]
    found = summarize(dataset.problems)
    lines += ["", "Problems:", *(f"  {line}" for line in found)] if found else ["", "No problem found."]
    return "\n".join(lines)


def to_plain(described: Described) -> dict[str, Any]:
    """A description as plain values for JSON."""
    dataset = described.dataset
    problems: dict[str, dict[str, Any]] = {}
    for problem in dataset.problems:
        one = problems.setdefault(problem.kind, {"count": 0, "example": str(problem)})
        one["count"] += 1
    return {
        "name": dataset.info.name,
        "place": dataset.place,
        "pictures": described.whole.images,
        "all": described.whole.shown(),
        "splits": {name: counts.shown() for name, counts in described.splits.items()},
        "classes": {name: counts.shown() for name, counts in described.classes.items()},
        "keypoints": described.keypoints[0],
        "visible_keypoints": described.keypoints[1],
        "parts": described.parts,
        "queries": len(dataset.queries),
        "problems": problems,
    }


def infos_to_plain(names: list[str] | None = None) -> list[dict[str, Any]]:
    """Descriptions of known data sets as plain values for JSON; of all if no names are given."""
    return [dataclasses.asdict(info) for info in _infos() if names is None or info.name in names]


def _infos() -> list[Info]:
    return [adapter.info for adapter in ADAPTERS.values()]


def _table(head: str, counted: dict[str, Counts], whole: Counts) -> str:
    """Counts by name, without the columns that are 0 everywhere."""
    columns = [name for name, value in whole.shown().items() if value]
    rows = [[name, *(f"{counts.shown()[column]:,}" for column in columns)] for name, counts in counted.items()]
    return text_table([head, *(column.replace("_", " ") for column in columns)], rows)
