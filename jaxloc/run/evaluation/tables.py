"""An evaluation as text, as LaTeX, and as plain values for JSON."""

import dataclasses
import math
from typing import Any

from jaxloc.report.tables import latex_table, text_table
from jaxloc.run.evaluation.results import Evaluation, Figure


def evaluation_table(result: Evaluation) -> str:
    """Figures of each class and over all, with what could not be counted or measured named below."""
    head, rows = _cells(result)
    lines = [text_table(head, rows), rule(result)]
    if result.assigned:
        lines.append("Parts: " + ", ".join(f"{name} is {true}" for name, true in result.assigned.items()) + ".")
    missing = {score.category: score.missing for score in result.classes if score.missing}
    if missing:
        each = ", ".join(f"{number} of {category}" for category, number in missing.items())
        lines.append(f"Not in the predictions, counted as wrong: {each}.")
    lines += [str(note) for note in result.notes if note.kind != "missing images"]
    lines += reasons(result)
    return "\n".join(lines)


def evaluation_latex(result: Evaluation) -> str:
    """The table as LaTeX (package booktabs), with its rules and problems as comments."""
    head, rows = _cells(result)
    classes = len(result.classes)
    comments = [rule(result), *map(str, result.notes), *reasons(result)]
    return latex_table(head, rows[:classes], rows[classes:], comments=comments)


def to_plain(result: Evaluation, *, roc: bool = False) -> dict[str, Any]:
    """The whole result as plain values for JSON; NaN stays NaN.

    Args:
        result: what was found.
        roc: also the points of the noise score's ROC curves.
    """
    classes = [
        {
            "category": score.category,
            "images": score.images,
            "correct": score.correct,
            "missing": score.missing,
            "empty": score.empty,
            "excluded": score.excluded,
            "noisy_images": score.noisy_images,
            "corloc": score.corloc,
            "noise_auc": score.noise_auc,
            "figures": {name: _plain(figure) for name, figure in score.figures.items()},
        }
        for score in result.classes
    ]
    values: dict[str, Any] = {
        "mean_corloc": result.mean_corloc,
        "iou": result.options.thresholds[0],
        "options": dataclasses.asdict(result.options) | {"maps": result.maps},
        "classes": classes,
        "mean": {name: _plain(figure) for name, figure in result.mean.items()},
        "overall": {name: _plain(figure) for name, figure in result.overall.items()},
        "parts": dict(result.assigned),
        "unknown": result.unknown,
        "notes": [
            {"kind": note.kind, "text": note.text, "count": len(note.names), "names": list(note.names)}
            for note in result.notes
        ],
    }
    if roc:
        values["noise_roc"] = {
            category: {name: points.tolist() for name, points in curve._asdict().items()}
            for category, curve in result.noise.items()
        }
    return values


def rule(result: Evaluation) -> str:
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


def reasons(result: Evaluation) -> list[str]:
    """For each measure that has no figure at all, why."""
    missing: dict[str, list[str]] = {}
    for name, figure in result.mean.items():
        if math.isnan(figure.value):
            missing.setdefault(figure.reason, []).append(name)
    return [f"Not measured: {', '.join(names)} ({reason})." for reason, names in missing.items()]


def _cells(result: Evaluation) -> tuple[list[str], list[list[Any]]]:
    names = list(result.mean)
    noise = "noise AUC" in names
    correct = result.options.named("correct", result.options.thresholds[0]).replace("@", " at ")
    head = ["class", "images", correct, *[name for name in names if name != "noise AUC"]]
    head += ["noisy images", "noise AUC"] if noise else []
    rows: list[list[Any]] = []
    for score in result.classes:
        rows.append([score.category, score.images, score.correct])
        rows[-1] += [_shown(score.figures[name], name) for name in names if name != "noise AUC"]
        rows[-1] += [score.noisy_images, _shown(score.figures["noise AUC"], "noise AUC")] if noise else []
    sums = [sum(getattr(score, name) for score in result.classes) for name in ("images", "correct")]
    for label, figures in (("mean", result.mean), ("all images", result.overall)):
        row: list[Any] = [label, *sums, *(_shown(figures[name], name) for name in names if name != "noise AUC")]
        rows.append(row + (["–", _shown(figures["noise AUC"], "noise AUC")] if noise else []))
    return head, rows


def _shown(figure: Figure, name: str) -> str:
    digits = 3 if name == "noise AUC" else 2
    if math.isnan(figure.value):
        return "–"
    text = f"{figure.value:.{digits}f}"
    if figure.interval is None:
        return text
    low, high = (f"{end:.{max(1, digits - 1)}f}" for end in figure.interval)
    return f"{text} [{low}, {high}]"


def _plain(figure: Figure) -> dict[str, Any]:
    values: dict[str, Any] = {"value": figure.value, "images": figure.images}
    if figure.interval is not None:
        values["interval"] = list(figure.interval)
    if figure.reason:
        values["reason"] = figure.reason
    return values
