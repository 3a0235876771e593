"""Decisions by hand: read from a file, and given precedence over the rules."""

import dataclasses
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc._files import IMAGES, write_text
from jaxloc.errors import UsageError
from jaxloc.report.decisions import FORMAT, KEPT, UNUSABLE, Decision
from jaxloc.report.text import counted, some_of

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
    then, entries = _read(path, "name", "keep")
    if then["digest"] != images["digest"]:
        raise UsageError(
            f"{path}: decisions on other images ({then['number']} then, {images['number']:,} now, or some have "
            "changed): review this collection's own page"
        )
    decided: dict[str, bool] = {}
    for entry in entries:
        name, keep = entry["name"], entry["keep"]
        if not isinstance(name, str) or not isinstance(keep, bool):
            raise UsageError(f"{path}: the decision on {name!r} is {keep!r}, and must be true or false")
        if name in decided:
            raise UsageError(f"{path}: decides twice on {name}")
        decided[name] = keep
    return decided


def _read(path: str | os.PathLike[str], *keys: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The images that a file of decisions is about, and the decisions, which all have the keys."""
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
    _check_keys(path, content, "", IMAGES, "decisions")
    _check_keys(path, content[IMAGES], f" in its {IMAGES!r}", "number", "digest")
    if not isinstance(content["decisions"], list):
        raise UsageError(f"{path}: a damaged file of decisions: 'decisions' is no list: {_CURE}")
    for number, entry in enumerate(content["decisions"], 1):
        _check_keys(path, entry, f" in decision {number:,}", *keys)
    return content[IMAGES], content["decisions"]


def _check_keys(path: str | os.PathLike[str], part: Any, where: str, *keys: str) -> None:
    for key in keys:
        if not isinstance(part, dict) or key not in part:
            raise UsageError(f"{path}: a damaged file of decisions: {key!r} is missing{where}: {_CURE}")


def set_aside(folder: Path, decided: Collection[str], *, asked: bool, images: Mapping[str, Any]) -> list[str]:
    """Save decisions by hand of the last run that were not given to this run, before it writes its own.

    They are saved in ``decisions-before.json``, which ``read_decisions`` reads, and stay pending until a run is
    ``asked`` to apply a file of decisions; ``decided`` names the images that this run was given decisions about.

    Returns:
        a list with a warning if there are such decisions.
    """
    last, before = folder / "decisions.json", folder / BEFORE
    left: list[dict[str, Any]] = []
    if last.exists():
        then, entries = _read(last, "name", "class", "keep", "why")
        left = [
            {key: entry[key] for key in ("name", "class", "keep")}
            for entry in entries
            if entry["keep"] != (entry["why"] == KEPT) and entry["name"] not in decided
        ]
        if left:
            kept = {"format": FORMAT, IMAGES: then, "decisions": left}
            write_text(before, json.dumps(kept, indent=1) + "\n")
    if not left and not asked and before.exists():
        then, left = _read(before)
    if not left:
        return []
    are, they_are = ("are", "they are") if len(left) > 1 else ("is", "it is")
    told = f"{counted(len(left), 'decision')} by hand of the last run {are} not applied; {they_are} in {before}"
    same = then["digest"] == images["digest"]
    return [f"{told}: give it with --decisions" if same else f"{told}, but on other images than these"]


def apply_decisions(items: Sequence[Decision], decided: Mapping[str, bool], path: str) -> list[Decision]:
    """Replace decisions of the rules by those of a person; a person's that agree stay the rules'.

    Raises:
        UsageError: a name is unknown, or an unusable image is to be kept.
    """
    unknown = sorted(decided.keys() - {item.name for item in items})
    if unknown:
        are = "are" if len(unknown) > 1 else "is"
        raise UsageError(f"{path}: decides on {some_of(unknown)}, which {are} not in the collection")
    unusable = [item for item in items if decided.get(item.name) and item.why in UNUSABLE]
    if unusable:
        names = some_of([item.name for item in unusable])
        raise UsageError(
            f"{path}: keeps {names}, which could not be used ({unusable[0].reason}): leave it out, or mend the image"
        )
    return [
        dataclasses.replace(item, keep=decided[item.name], by_hand=True)
        if decided.get(item.name, item.keep) != item.keep
        else item
        for item in items
    ]
