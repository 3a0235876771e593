"""The known data sets, and the contents of one on this machine."""

import dataclasses
import textwrap
from collections import Counter
from typing import Any

from jaxloc.data.annotations.problems import summarize
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.datasets import ADAPTERS, Dataset, Info, open_dataset, set_names, unknown
from jaxloc.report.tables import text_table
from jaxloc.run.reproduce import TABLES

_CLASSES_SHOWN = 30
_NAMES, _WIDTH = 18, 96


def _counts(image: Annotated, category: str | None = None) -> dict[str, int]:
    """What an image, or its annotations of one class, add to the counts, by the names that tables and JSON have."""
    told = [one for one in image.annotations if category in (None, one.category)]
    sets = set_names(image)
    return {
        "images": 1,
        "used": int(category in sets if category else bool(sets)),  # of a class, that co-localisation is run on
        "boxes": len(told),
        "difficult": sum(one.difficult for one in told),
        "truncated": sum(one.truncated for one in told),
        "crowds": sum(one.crowd for one in told),
        "masked": int(image.mask is not None or any(one.mask is not None for one in told)),
        "without_box": int(not told),
    }


@dataclasses.dataclass(frozen=True)
class Described:
    """What a data set on this machine holds: counts over all images, by split and by class (an image may have several).

    Attributes:
        keypoints: number of points of objects, and of them the visible ones.
    """

    dataset: Dataset
    whole: Counter[str]
    splits: dict[str, Counter[str]]
    classes: dict[str, Counter[str]]
    keypoints: tuple[int, int]
    parts: int


def describe(spec: str) -> Described:
    """Open a data set and count its images and annotations, all of which are read."""
    dataset = open_dataset(spec)
    whole: Counter[str] = Counter()
    splits: dict[str, Counter[str]] = {}
    classes: dict[str, Counter[str]] = {}
    points: Counter[bool] = Counter()
    parts = 0
    for image in dataset.images.values():
        counts = _counts(image)
        whole.update(counts)
        for split in image.splits:
            splits.setdefault(split, Counter()).update(counts)
        for category in sorted({one.category for one in image.annotations} | set(set_names(image))):
            classes.setdefault(category, Counter()).update(_counts(image, category))
        for one in image.annotations:
            points.update(point.visible for point in one.keypoints)
            parts += len(one.parts)
    return Described(dataset, whole, splits, dict(sorted(classes.items())), (points.total(), points[True]), parts)


def find_info(name: str) -> Info:
    """The description of a known data set; ``UsageError`` if there is none of this name."""
    if name not in ADAPTERS:
        raise unknown(name)
    return ADAPTERS[name].info


def infos() -> list[Info]:
    """The descriptions of all known data sets."""
    return [adapter.info for adapter in ADAPTERS.values()]


def overview() -> str:
    """All data sets, as text."""
    return "\n\n".join(
        [
            *map(_entry, infos()),
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


def tables_of(info: Info) -> list[str]:
    """The papers' tables that are measured on a data set, and the commands that make them."""
    made = [table for table in TABLES.values() if info.name in table.sets]
    return [f"{table.source}: {table.title} (`jaxloc reproduce {table.name}`)" for table in made]


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
        "tables": tables_of(info) or ["none of those that `jaxloc reproduce` makes"],
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
    lines = [f"{dataset.info.title} in {dataset.place}: {whole['images']:,} images, {len(described.classes):,} classes"]
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
        "images": described.whole["images"],
        "all": described.whole,
        "splits": described.splits,
        "classes": described.classes,
        "keypoints": described.keypoints[0],
        "visible_keypoints": described.keypoints[1],
        "parts": described.parts,
        "queries": len(dataset.queries),
        "problems": problems,
    }


def _table(head: str, counted: dict[str, Counter[str]], whole: Counter[str]) -> str:
    """Counts by name, without the columns that are 0 everywhere."""
    columns = [name for name, value in whole.items() if value]
    rows = [[name, *(f"{counts[column]:,}" for column in columns)] for name, counts in counted.items()]
    return text_table([head, *(column.replace("_", " ") for column in columns)], rows)
