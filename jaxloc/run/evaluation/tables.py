"""An evaluation as text, as LaTeX, and as plain values for JSON."""

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jaxloc.report.tables import latex_table, text_table
from jaxloc.run.evaluation.counts import counts_text
from jaxloc.run.evaluation.groups import groups_text
from jaxloc.run.evaluation.results import Evaluation, Figure

_NOISE = "noise AUC"


def evaluation_table(result: Evaluation) -> str:
    """Figures of each class and over all, with what could not be counted or measured named below."""
    head, rows = _cells(result)
    lines = [text_table(head, rows), _rule(result), *_ranking(result)]
    if result.groups is not None:
        lines.append(groups_text(result.groups))
    if result.counts is not None:
        lines.append(counts_text(result.counts))
    if result.assigned:
        lines.append(_parts(result.assigned))
    missing = {score.category: score.missing for score in result.classes if score.missing}
    if missing:
        each = ", ".join(f"{number} of {category}" for category, number in missing.items())
        lines.append(f"Not in the predictions, counted as wrong: {each}.")
    lines += [str(note) for note in result.notes if note.kind != "missing images"]
    lines += _reasons(result)
    return "\n".join(lines)


def evaluation_latex(result: Evaluation) -> str:
    """The table as LaTeX (package booktabs), with its rules and problems as comments."""
    head, rows = _cells(result)
    classes = len(result.classes)
    groups = [] if result.groups is None else [groups_text(result.groups)]
    counts = [] if result.counts is None else [counts_text(result.counts)]
    comments = [_rule(result), *_ranking(result), *groups, *counts, *map(str, result.notes), *_reasons(result)]
    return latex_table(head, rows[:classes], rows[classes:], comments=comments)


def to_plain(result: Evaluation, *, roc: bool = False) -> dict[str, Any]:
    """The whole result as plain values for JSON, with the noise scores' ROC curves if asked; NaN stays NaN."""
    told = ("category", "images", "correct", "missing", "empty", "excluded", "noisy_images", "corloc", "noise_auc")
    classes = [
        {name: getattr(score, name) for name in told} | {"figures": _plain(score.figures)} for score in result.classes
    ]
    values: dict[str, Any] = {
        "mean_corloc": result.mean_corloc,
        "iou": result.options.thresholds[0],
        "options": dataclasses.asdict(result.options) | {"maps": result.maps},
        "classes": classes,
        "mean": _plain(result.mean),
        "overall": _plain(result.overall),
        "parts": {image_set: dict(parts) for image_set, parts in result.assigned.items()},
        "unknown": result.unknown,
        "notes": [
            {"kind": note.kind, "text": note.text, "count": len(note.names), "names": list(note.names)}
            for note in result.notes
        ],
    }
    if result.groups is not None:
        figures = result.groups._asdict() | {"bcubed": result.groups.bcubed._asdict()}
        values["groups"] = figures | {"left_out": list(result.groups.left_out)}
    if result.counts is not None:
        levels = {
            name: {"images": one.images, **one.counting._asdict(), "map50": one.map50, "mmap": one.mmap}
            for name, one in result.counts.levels.items()
        }
        values["counts"] = {"threshold": result.counts.threshold, "levels": levels}
    if roc:
        values["noise_roc"] = {
            category: {name: points.tolist() for name, points in curve._asdict().items()}
            for category, curve in result.noise.items()
        }
    return values


def _rule(result: Evaluation) -> str:
    """What counts as right, in a sentence."""
    options = result.options
    sign = "≥" if options.at_least else ">"
    which = " or ".join(f"{threshold:g}" for threshold in options.thresholds)
    what = "any box" if options.any_class else "any box of the class"
    text = f"CorLoc in per cent: IoU {sign} {which} with {what}"
    if options.voc_inclusive:
        text += ", corners included as in VOC"
    kept = [name for name in ("difficult", "truncated") if getattr(options, f"include_{name}")]
    if kept:
        text += f"; {' and '.join(kept)} objects count"
    if options.classes:
        text += f"; only of {', '.join(options.classes)}"
    if options.splits:
        text += f"; only {', '.join(options.splits)}"
    if options.samples:
        text += f". In brackets, {100 * options.confidence:g} % of {options.samples:,} bootstrap draws"
    return text + "."


def _ranking(result: Evaluation) -> list[str]:
    """How average precision was taken, if it was."""
    options = result.options
    if not options.point and not options.detection:
        return []
    how = "area under the curve" if options.recalls == "area" else f"mean over {options.recalls} recalls"
    ranked = "probability, else score" if options.rank_by == "probability" else "score"
    count = "all objects" if options.include_difficult else "difficult objects count neither way, truncated ones"
    if options.co_occurrence is not None:
        other = f"those of classes that occur with it in {options.co_occurrence}"
        ranked += f" and {options.co_occurrence_weight:g} × {other}"
    return [f"AP in per cent: {how}, ranked by {ranked}, over images with and without the class; {count} count."]


def _parts(assigned: Mapping[str, Mapping[str, str]]) -> str:
    """What each predicted part was taken for, and in how many sets if these differ."""
    names = collections.Counter((name, true) for parts in assigned.values() for name, true in parts.items())
    told = [
        f"{name} is {true}" + (f" in {number} of {len(assigned)} sets" if number < len(assigned) else "")
        for (name, true), number in sorted(names.items())
    ]
    return f"Parts: {', '.join(told)}."


def _reasons(result: Evaluation) -> list[str]:
    """For each measure that has no figure at all, why."""
    missing: dict[str, list[str]] = {}
    for name, figure in result.mean.items():
        if math.isnan(figure.value):
            missing.setdefault(figure.reason, []).append(name)
    return [f"Not measured: {', '.join(names)} ({reason})." for reason, names in missing.items()]


def _cells(result: Evaluation) -> tuple[list[str], list[list[Any]]]:
    names = [name for name in result.mean if name != _NOISE]
    noise = _NOISE in result.mean
    correct = result.options.named("correct", result.options.thresholds[0]).replace("@", " at ")
    sums = [sum(getattr(score, name) for score in result.classes) for name in ("images", "correct")]
    lines = [
        *((one.category, one.images, one.correct, one.noisy_images, one.figures) for one in result.classes),
        ("mean", *sums, "–", result.mean),
        ("all images", *sums, "–", result.overall),
    ]
    rows: list[list[Any]] = []
    for label, images, right, noisy, figures in lines:
        rows.append([label, images, right, *(_shown(figures[name], 2) for name in names)])
        rows[-1] += [noisy, _shown(figures[_NOISE], 3)] if noise else []
    return ["class", "images", correct, *names, *(["noisy images", _NOISE] if noise else [])], rows


def _shown(figure: Figure, digits: int) -> str:
    if math.isnan(figure.value):
        return "–"
    text = f"{figure.value:.{digits}f}"
    if figure.interval is None:
        return text
    low, high = (f"{end:.{max(1, digits - 1)}f}" for end in figure.interval)
    return f"{text} [{low}, {high}]"


def _plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": figure.value, "images": figure.images}
        | ({} if figure.interval is None else {"interval": list(figure.interval)})
        | ({"reason": figure.reason} if figure.reason else {})
        for name, figure in figures.items()
    }
