"""Decisions by hand: read from a file, and given precedence over the rules."""

import dataclasses
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.report.decisions import FORMAT, KEPT, UNUSABLE, Decision
from jaxloc.report.text import counted, some_of
from jaxloc.run import decision_file

BEFORE = "decisions-before.json"
"""Beside ``decisions.json``: decisions by hand of an earlier run that this one was not given."""


def read_decisions(path: str | os.PathLike[str], images: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each image that the file names is kept.

    Args:
        path: a download of the review page, or a whole ``decisions.json``.
        images: number and digest of the collection that the decisions must belong to.

    Raises:
        UsageError: the file is missing, damaged, of another format, or about other images.
    """
    then, entries = _read(path, "name", "keep")
    decision_file.check_images(path, then, images)
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
    content = decision_file.read(path, *keys, format=FORMAT, page="review.html")
    return content["images"], content["decisions"]


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
            kept = {"format": FORMAT, "images": then, "decisions": left}
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
