"""Decisions by hand: read from a file, and given precedence over the rules."""

import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.report.decisions import FORMAT, KEPT, UNUSABLE, Decision
from jaxloc.report.text import some_of

BEFORE = "decisions-before.json"
"""Beside ``decisions.json``: decisions by hand of an earlier run that this one was not given."""

_CURE = "mend it, or download it again from review.html"


def read_decisions(path: str | os.PathLike[str], images: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each image that the file names is kept.

    Args:
        path: a download of the review page, or a whole ``decisions.json``.
        images: number and digest of the collection that the decisions must belong to.

    Raises:
        UsageError: the file is missing, damaged, of another format, or about other images.
    """
    content = _read(path)
    number = _part(path, content, "pictures", "number")
    if _part(path, content, "pictures", "digest") != images["digest"]:
        raise UsageError(
            f"{path}: decisions on other images ({number} then, {images['number']:,} now, or some have changed): "
            "review this collection's own page"
        )
    decided: dict[str, bool] = {}
    for name, keep in _entries(path, content, "name", "keep"):
        if not isinstance(name, str) or not isinstance(keep, bool):
            raise UsageError(f"{path}: the decision on {name!r} is {keep!r}, and must be true or false")
        if name in decided:
            raise UsageError(f"{path}: decides twice on {name}")
        decided[name] = keep
    return decided


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file of decisions") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict) or "format" not in content:
        raise UsageError(f"{path}: not a file of decisions: give one that review.html handed out")
    if content["format"] != FORMAT:
        raise UsageError(
            f"{path}: of format {content['format']!r}, and this jaxloc reads {FORMAT}: make it again from review.html"
        )
    return content


def _part(path: str | os.PathLike[str], content: Any, *keys: str) -> Any:
    """The value at nested keys."""
    for number, key in enumerate(keys):
        if not isinstance(content, dict) or key not in content:
            inside = f" in its {'/'.join(keys[:number])!r}" if number else ""
            raise UsageError(f"{path}: a damaged file of decisions: {key!r} is missing{inside}: {_CURE}")
        content = content[key]
    return content


def _entries(path: str | os.PathLike[str], content: Any, *keys: str) -> Iterator[tuple[Any, ...]]:
    """The values of the keys of every decision."""
    entries = _part(path, content, "decisions")
    if not isinstance(entries, list):
        raise UsageError(f"{path}: a damaged file of decisions: 'decisions' is no list: {_CURE}")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not entry.keys() >= set(keys):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            raise UsageError(
                f"{path}: a damaged file of decisions: {missing[0]!r} is missing in decision {number:,}: {_CURE}"
            )
        yield tuple(entry[key] for key in keys)


def set_aside(folder: Path, decided: Collection[str], *, asked: bool, images: Mapping[str, Any]) -> list[str]:
    """Save decisions by hand of the last run that were not given to this run, before it writes its own.

    They are saved in ``decisions-before.json``, which ``read_decisions`` reads.

    Args:
        folder: folder of the last run's ``decisions.json``, if there is one.
        decided: names of the images that this run was given decisions about.
        asked: whether this run was given a file of decisions; without one, ``decisions-before.json`` is still pending.
        images: number and digest of this run's collection.

    Returns:
        a list with a warning if there are such decisions.

    Raises:
        UsageError: the file of the last run cannot be read.
    """
    last, before = folder / "decisions.json", folder / BEFORE
    left: list[dict[str, Any]] = []
    if last.exists():
        content = _read(last)
        left = [
            {"name": name, "class": category, "keep": keep}
            for name, category, keep, why in _entries(last, content, "name", "class", "keep", "why")
            if keep != (why == KEPT) and name not in decided
        ]
        if left:
            kept = {"format": FORMAT, "pictures": _part(last, content, "pictures"), "decisions": left}
            write_text(before, json.dumps(kept, indent=1) + "\n")
    if not left and not asked and before.exists():
        content = _read(before)
        left = _part(before, content, "decisions")
    if not left:
        return []
    several = len(left) > 1
    told = (
        f"{len(left):,} {'decisions' if several else 'decision'} by hand of the last run {'are' if several else 'is'} "
        f"not applied; {'they are' if several else 'it is'} in {before}"
    )
    same = _part(before, content, "pictures", "digest") == images["digest"]
    return [f"{told}: give it with --decisions" if same else f"{told}, but on other images than these"]


def apply_decisions(items: Sequence[Decision], decided: Mapping[str, bool], path: str) -> list[Decision]:
    """Replace decisions of the rules by those of a person; a person's that agree stay the rules'.

    Raises:
        UsageError: a name is unknown, or an unusable image is to be kept.
    """
    unknown = sorted(decided.keys() - {item.name for item in items})
    if unknown:
        raise UsageError(f"{path}: decides on {some_of(unknown)}, which {_are(unknown)} not in the collection")
    unusable = [item.name for item in items if decided.get(item.name) and item.why in UNUSABLE]
    if unusable:
        raise UsageError(
            f"{path}: keeps {some_of(unusable)}, which could not be used ({_reason(items, unusable[0])}): leave it "
            "out, or mend the image"
        )
    return [
        dataclasses.replace(item, keep=decided[item.name], by_hand=True)
        if decided.get(item.name, item.keep) != item.keep
        else item
        for item in items
    ]


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _reason(items: Sequence[Decision], name: str) -> str:
    return next(item.reason for item in items if item.name == name)
