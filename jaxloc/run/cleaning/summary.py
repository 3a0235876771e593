"""The results of cleaning as text for people."""

from jaxloc.report import text
from jaxloc.report.decisions import (
    BROKEN,
    CONTRADICTION,
    DROPPED_BY_HAND,
    DUPLICATE,
    KEPT,
    KEPT_BY_HAND,
    NOISE,
    TOO_FEW,
    UNUSABLE,
)
from jaxloc.report.tables import text_table
from jaxloc.run.cleaning.clean import Cleaned

_CLASSES_SHOWN = 50
_HEADINGS = {
    "images": "photos",
    NOISE: "noise",
    DUPLICATE: "duplicates",
    CONTRADICTION: "contradictions",
    BROKEN: "broken",
    TOO_FEW: "too few",
    DROPPED_BY_HAND: "dropped by hand",
    KEPT: "kept",
    KEPT_BY_HAND: "of them by hand",
}
_ALWAYS = ("images", NOISE, DUPLICATE, BROKEN, KEPT)


def cleaning_text(done: Cleaned, seconds: float) -> str:
    """Counts and threshold of each class, unusable images with their reasons, and where to look."""
    result = done.decisions
    counts = result.counts()
    keys = [key for key in _HEADINGS if key in _ALWAYS or any(own[key] for own in counts.values())]
    rows: list[list[object]] = []
    for name, threshold in list(result.thresholds.items())[:_CLASSES_SHOWN]:
        value = "–" if threshold.value is None else f"{threshold.value:.3f}"
        rows.append([name, *(counts[name][key] for key in keys), value, threshold.rule])
    if len(counts) > 1:
        rows.append(["all", *(sum(own[key] for own in counts.values()) for key in keys), "–", ""])
    parts = [text_table(["class", *(_HEADINGS[key] for key in keys), "threshold", "rule"], rows)]
    if len(counts) > _CLASSES_SHOWN:
        parts.append(f"The first {_CLASSES_SHOWN} of {len(counts):,} classes; all are in decisions.json.")
    parts += text.warnings(result.warnings, "decisions.json")
    unusable = [(item.name, item.reason) for item in result.items if item.why in UNUSABLE]
    parts += text.reasons("Not usable", unusable, len(unusable), "decisions.json")
    without = [item.name for item in result.items if item.keep and item.box is None]
    if without:
        where = (
            "left out of the data set, where they would be examples without the object (--with-empty takes them)"
            if done.exported.left_out
            else "in the data set as examples without the object"
        )
        parts.append(f"Kept by hand though nothing was found in them, and {where}: {text.some_of(without)}.")
    parts += [str(problem) for problem in done.exported.problems[: text.SHOWN]]
    parts.append(
        f"{len(result.items):,} images in {seconds:.1f} s; {done.exported.images:,} of them with "
        f"{done.exported.objects:,} boxes in {done.exported.folder}.\n"
        f"Look at {done.folder / 'review.html'}, decide, and run the same command with --decisions and the file that "
        "it hands out."
    )
    return "\n\n".join(parts)
