"""A page to review which images were kept and dropped, to change decisions and to download them.

It is one HTML file without network access. It shows at most a given number of images, the most doubtful first; the file
of decisions beside it holds all. The download has the same format and holds the images decided by hand.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxloc.report import elements
from jaxloc.report.decisions import DROPPED_BY_HAND, FORMAT, KEPT, KEPT_BY_HAND, UNUSABLE, Decision, Decisions
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted

_ROWS = 1000
"""Rows of the table of classes, and of the unusable images, at most."""
_REST = "; decisions.json holds all."
_HEADINGS = {
    "images": "Images",
    "noise": "Noise",
    "duplicate": "Duplicates",
    "contradiction": "Contradictions",
    "broken": "Broken",
    "too few": "Too few",
    DROPPED_BY_HAND: "Dropped by hand",
    KEPT: "Kept",
    KEPT_BY_HAND: "Of them by hand",
}
_BY_HAND = (DROPPED_BY_HAND, KEPT, KEPT_BY_HAND)
"""Counts that decisions on the page change; always shown."""
_READING = [
    "<b>Alignment</b>: how nearly the image's object deviates from the class's mean as the objects of its other images "
    "do, small where the object is absent. An image at or below the threshold is <b>noise</b>.",
    "<b>Object share</b>: share of the image's cells that belong to the object (their indicator is positive), likewise "
    "small where the object is absent. With <code>--noise knee</code>, or a number, the threshold is one of the share.",
    "<b>Duplicate</b>: nearly the same as a kept image of the class; the larger one is kept, of equally large "
    "ones the first by name.",
    "<b>Contradiction</b>: nearly the same image stands in another class as well. All of them are dropped until "
    "you keep the one whose class is right.",
    "<b>No box</b>: nothing was found. Such an image that you keep would be an example without the object, so it "
    "stays out of the data set unless jaxloc clean was told <code>--with-empty</code> (see the settings).",
    "<b>Skipped</b>: could not be read, or of a class too small to look for anything. They are listed at the end, "
    "have no card, and count neither as kept nor as dropped.",
    "<b>Most doubtful</b>: least would have changed the rules' mind: the object share or alignment lies next to the "
    "threshold, the hashes differ in nearly too many bits, or the classes contradict each other.",
    "<b>Keys</b>: K keeps the image, D drops it, U takes the last decision back; arrow keys go to the next "
    "image, Enter enlarges it. What you decide stays in this window until you download it; then run "
    "<code>jaxloc clean … --decisions decisions-by-hand.json</code>.",
]


def choose_shown(items: Sequence[Decision], limit: int) -> list[int]:
    """The numbers of the images to show, in order: the most doubtful, each with the image it repeats.

    Images decided by hand come first; skipped images are not shown.
    """
    numbers = {item.name: number for number, item in enumerate(items)}
    usable = [number for number, item in enumerate(items) if item.why not in UNUSABLE]
    usable.sort(key=lambda number: (not items[number].by_hand, items[number].doubt or 0.0, number))
    shown: set[int] = set()
    for number in usable:
        other = items[number].other
        wanted = {number} if other is None else {number, numbers[other]}
        if len(shown | wanted) <= limit:
            shown |= wanted
        elif len(shown) == limit:
            break
    return sorted(shown)


def render_review(decisions: Decisions, shown: Collection[int], thumbnails: Mapping[int, bytes]) -> str:
    """The page's text: counts of each class, then a card for each image shown, to decide by pointer or key.

    ``shown`` holds the numbers of images from ``choose_shown``, ``thumbnails`` their JPEGs.
    """
    classes = list(decisions.thresholds)
    counts = decisions.counts()
    usable = [item for item in decisions.items if item.why not in UNUSABLE]
    unusable = [Skipped(item.name, item.category, item.reason) for item in decisions.items if item.why in UNUSABLE]
    kept = sum(item.keep for item in decisions.items)
    met = {"images", *(item.why for item in decisions.items), *_BY_HAND}
    headings = {key: text for key, text in _HEADINGS.items() if key in met}
    return elements.page(
        "review",
        title=f"Review of {decisions.title}",
        lead=(
            f"{counted(len(decisions.items), 'image')} in {counted(len(classes), 'class')}. Look at the doubtful ones, "
            "correct the rules where they are wrong, and download your decisions."
        ),
        warnings=decisions.warnings,
        tiles={
            "Kept": f"{kept:,}",
            "Dropped": f"{len(usable) - kept:,}",
            "Skipped": f"{len(unusable):,}",
            "Changed by hand": f"{sum(item.by_hand for item in decisions.items):,}",
        },
        tables=_class_table(decisions, counts, headings) + "\n" + elements.settings(decisions.settings),
        noscript="Reviewing needs JavaScript. decisions.json, beside this page, holds every image with what was "
        "decided and why; edit its keep values and give it to jaxloc clean --decisions.",
        limit_note=elements.limit_note(len(shown), len(usable), "image", f", the most doubtful{_REST}"),
        toggles=elements.toggle("box", "Box", key="b", checked=True),
        skipped=elements.skipped(unusable, classes, limit=_ROWS, rest=_REST),
        reading=_READING,
        data=_data(decisions, classes, shown, thumbnails),
    )


def _class_table(decisions: Decisions, counts: Mapping[str, Mapping[str, int]], headings: Mapping[str, str]) -> str:
    rows = []
    for number, (name, threshold) in enumerate(list(decisions.thresholds.items())[:_ROWS]):
        value = "–" if threshold.value is None else f"{100 * threshold.value:.1f} %"
        cells = [f'<span data-set="{number}" data-count="{key}">{counts[name][key]:,}</span>' for key in headings]
        rows.append(elements.group_row(number, name, [*cells, f"{value} ({elements.escape(threshold.rule)})"]))
    summary = "Classes" if len(counts) <= _ROWS else f"Classes: the first {_ROWS:,} of {len(counts):,} by name"
    return elements.details(summary, "groups", ["Class", *headings.values(), "Noise threshold"], rows, opened=True)


def _data(decisions: Decisions, classes: Sequence[str], shown: Collection[int], thumbnails: Mapping[int, bytes]) -> str:
    """Data of review.js, including the header of a file of decisions."""
    groups = {name: number for number, name in enumerate(classes)}
    places = {decisions.items[number].name: place for place, number in enumerate(shown)}
    seen = set(shown)
    hidden = [
        {"name": item.name, "class": item.category, "keep": item.keep}
        for number, item in enumerate(decisions.items)
        if item.by_hand and number not in seen
    ]
    return elements.safe_json(
        file=[{"format": FORMAT, "images": dict(decisions.images)}],
        hidden=hidden,
        sets=classes,
        names=classes,
        thresholds=[threshold.value for threshold in decisions.thresholds.values()],
        counts=decisions.counts().values(),
        images=(_image(decisions.items[number], groups, places, thumbnails.get(number)) for number in shown),
    )


def _image(
    item: Decision, groups: Mapping[str, int], places: Mapping[str, int], thumbnail: bytes | None
) -> dict[str, Any]:
    return {
        "name": item.name,
        "key": item.name,
        "set": groups[item.category],
        "width": item.width,
        "height": item.height,
        "box": elements.edges(item.box),
        "score": elements.number(item.score),
        "share": elements.number(item.noise_score),
        "alignment": elements.number(item.alignment),
        "keep": item.keep,
        "rule": item.why == "kept",
        "why": item.why,
        "reason": item.reason,
        "other": None if item.other is None else places.get(item.other),
        "bits": item.bits,
        "doubt": item.doubt,
        "thumbnail": elements.base64_text(thumbnail),
    }
