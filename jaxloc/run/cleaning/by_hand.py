"""What a person has decided: read from a file of decisions, and put above the rules."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc.errors import UsageError
from jaxloc.report.decisions import FORMAT, UNUSABLE, Decision
from jaxloc.report.text import displayable

_SHOWN = 3


def read_decisions(path: str | os.PathLike[str], pictures: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each picture that the file names is kept.

    Args:
        path: what the page to review handed out, or a whole ``decisions.json``.
        pictures: number and digest of the collection that the decisions must be of.

    Raises:
        UsageError: it is missing, no file of decisions, of another format, or of other pictures.
    """
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
    try:
        number, digest = content["pictures"]["number"], content["pictures"]["digest"]
        entries = [(entry["name"], entry["keep"]) for entry in content["decisions"]]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: a file of decisions that is damaged ({type(error).__name__}: {error})") from error
    if digest != pictures["digest"]:
        raise UsageError(
            f"{path}: decisions on other pictures ({number:,} then, {pictures['number']:,} now, or some have changed): "
            "review this collection's own page"
        )
    decided: dict[str, bool] = {}
    for name, keep in entries:
        if not isinstance(name, str) or not isinstance(keep, bool):
            raise UsageError(f"{path}: the decision on {name!r} is {keep!r}, and must be true or false")
        if name in decided:
            raise UsageError(f"{path}: decides twice on {displayable(name)}")
        decided[name] = keep
    return decided


def apply_decisions(items: Sequence[Decision], decided: Mapping[str, bool], path: str) -> list[Decision]:
    """The decisions with a person's above the rules'; what is decided as the rules would stays theirs.

    Raises:
        UsageError: a name is unknown, or a picture shall be kept that could not be used.
    """
    unknown = sorted(decided.keys() - {item.name for item in items})
    if unknown:
        raise UsageError(f"{path}: decides on {_some(unknown)}, which {_are(unknown)} not in the collection")
    unusable = [item.name for item in items if decided.get(item.name) and item.why in UNUSABLE]
    if unusable:
        raise UsageError(
            f"{path}: keeps {_some(unusable)}, which could not be used ({_reason(items, unusable[0])}): leave it out, "
            "or mend the picture"
        )
    return [
        dataclasses.replace(item, keep=decided[item.name], by_hand=True)
        if decided.get(item.name, item.keep) != item.keep
        else item
        for item in items
    ]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return displayable(", ".join(names[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _reason(items: Sequence[Decision], name: str) -> str:
    return next(item.reason for item in items if item.name == name)
