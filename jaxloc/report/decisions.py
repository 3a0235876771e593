"""Decisions about the images of a collection: the input of ``decisions.json`` and of the review page."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxloc._files import write_parts
from jaxloc.report.text import json_lists

FORMAT = "jaxloc-decisions-1"
"""What a file of decisions says of itself: the whole one, and the changes that the page to review hands out."""

KEPT, NOISE, DUPLICATE, CONTRADICTION = "kept", "noise", "duplicate", "contradiction"
BROKEN, TOO_FEW = "broken", "too few"
KEPT_BY_HAND, DROPPED_BY_HAND = "kept by hand", "dropped by hand"
UNUSABLE = (BROKEN, TOO_FEW)
"""Reasons that a person cannot overrule: the image is unreadable, or its class was not processed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """One image, and whether it is kept.

    Attributes:
        name: path relative to what the user pointed at, with forward slashes.
        keep: whether it goes into the data set.
        why: outcome of the rules: ``"kept"``, ``"noise"``, ``"duplicate"``, ``"contradiction"`` (nearly the same image
            stands in another class), ``"broken"`` or ``"too few"`` (of its class, to look for anything).
        reason: the same in words.
        by_hand: a person decided, whatever the rules say.
        width: width of the image as displayed, in pixels; 0 if it could not be read.
        height: height of the image, in the same way.
        box: ``x0, y0, x1, y1`` in pixels, half-open; ``None`` where nothing was found.
        score: in [0, 1), how far the object stands out.
        noise_score: object share: share of cells with a positive indicator; ``None`` if not computed.
        alignment: DDT's, see ``jaxloc.ddt.alignment``; ``None`` if not computed.
        other: name of the image that it repeats or contradicts; of noise, one that it nearly repeats.
        bits: number of bits in which their hashes differ.
        doubt: distance to the opposite decision, most doubtful first; see ``jaxloc.run.cleaning.rules``.
    """

    name: str
    category: str
    keep: bool
    why: str
    reason: str
    by_hand: bool = False
    width: int = 0
    height: int = 0
    box: tuple[float, float, float, float] | None = None
    score: float = 0.0
    noise_score: float | None = None
    alignment: float | None = None
    other: str | None = None
    bits: int | None = None
    doubt: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Threshold:
    """Where the noise of a class ends.

    Attributes:
        value: images whose object share, or alignment, is at or below it are noise; ``None`` if no image was
            processed.
        rule: how it was chosen, in words.
    """

    value: float | None
    rule: str


@dataclasses.dataclass(frozen=True)
class Decisions:
    """The decisions about a whole collection.

    Attributes:
        title: heading, such as the names of the classes.
        images: number of the images, and a digest of their names, classes and sizes in bytes.
        settings: what the decisions depend on, printable, in a fixed order.
        thresholds: by class, in order of name.
        items: by class, and in it in the order of the collection.
    """

    title: str
    images: Mapping[str, Any]
    settings: Mapping[str, str]
    thresholds: Mapping[str, Threshold]
    items: Sequence[Decision]
    warnings: Sequence[str] = ()

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images of each class: kept, dropped by each rule or by hand (these add up), and kept by hand.

        A reason counts only images that are dropped for it; ``"kept by hand"`` is part of ``"kept"``.
        """
        keys = ("images", NOISE, DUPLICATE, CONTRADICTION, BROKEN, TOO_FEW, DROPPED_BY_HAND, KEPT, KEPT_BY_HAND)
        counts = {category: dict.fromkeys(keys, 0) for category in self.thresholds}
        for item in self.items:
            own = counts[item.category]
            own["images"] += 1
            if item.keep:
                own[KEPT] += 1
                own[KEPT_BY_HAND] += item.by_hand
            else:
                own[DROPPED_BY_HAND if item.by_hand else item.why] += 1
        return counts


def write(path: str | os.PathLike[str], decisions: Decisions) -> None:
    """Write the file of decisions in one step: the same bytes for the same decisions, a line for each image."""
    write_parts(path, _parts(decisions))


def _parts(decisions: Decisions) -> Iterator[str]:
    head = {
        "format": FORMAT,
        "images": dict(decisions.images),
        "settings": dict(decisions.settings),
        "warnings": list(decisions.warnings),
    }
    yield json.dumps(head, indent=1).removesuffix("\n}") + ","
    counts = decisions.counts()
    classes = (
        {"class": name, **counts[name], "threshold": threshold.value, "rule": threshold.rule}
        for name, threshold in decisions.thresholds.items()
    )
    yield from json_lists({"classes": classes, "decisions": map(_entry, decisions.items)})


def _entry(item: Decision) -> dict[str, Any]:
    values = dataclasses.asdict(item)
    return {"name": values.pop("name"), "class": values.pop("category"), **values}
