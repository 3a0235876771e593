"""What a job found, as text a person can read."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jaxloc.localizers import METHODS
from jaxloc.report import figures
from jaxloc.report.records import Findings
from jaxloc.report.tables import text_table
from jaxloc.run.outputs import VIDEOS

if TYPE_CHECKING:
    from jaxloc.run.demo import DemoResult

_SHOWN = 10
_SETS_SHOWN = 50


def summary(findings: Findings, out: str | os.PathLike[str], seconds: float) -> str:
    """Counts for each set, what was skipped and why, warnings, and where the results are."""
    fitted = METHODS[findings.method].fit is not None
    head = ["set", "pictures", "found", *(["noisy"] if fitted else []), "skipped", "median score"]
    rows: list[list[object]] = []
    totals = [0] * (len(head) - 2)
    for category, one in figures.of_sets(findings).items():
        counts = [one.statuses.total(), one.statuses["found"]]
        counts += [*([one.statuses["noisy"]] if fitted else []), one.skipped]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        if len(rows) < _SETS_SHOWN:
            rows.append([category, *counts, figures.median(one.scores)])
    sets = len(findings.categories)
    parts = [text_table(head, [*rows, *([["all", *totals, "–"]] if sets > 1 else [])])]
    if sets > len(rows):
        parts.append(f"The first {len(rows)} of {sets:,} sets; all are in annotations.json.")
    parts += [f"Warning: {warning}" for warning in findings.warnings[:_SHOWN]]
    if len(findings.warnings) > _SHOWN:
        parts.append(f"… and {len(findings.warnings) - _SHOWN} more warnings, listed in annotations.json")
    if findings.skipped:
        lines = [f"  {item.name}: {item.reason}" for item in findings.skipped[:_SHOWN]]
        if len(findings.skipped) > _SHOWN:
            lines.append(f"  … and {len(findings.skipped) - _SHOWN} more, listed in annotations.json")
        parts.append("Skipped:\n" + "\n".join(lines))
    number = len(findings.images)
    parts.append(
        f"{number:,} {'image' if number == 1 else 'images'} in {seconds:.1f} s ("
        + (
            "this run was finished before; nothing was computed again"
            if findings.finished_before
            else _speed(number, len(findings.skipped), findings.begun_before, seconds) + _padding(findings.settings)
        )
        + ")"
        + f". Look at {Path(out) / 'report.html'}"
        + (f" and {Path(out) / VIDEOS}" if Path(out, VIDEOS).is_dir() else "")
    )
    return "\n\n".join(parts)


def _speed(number: int, skipped: int, begun_before: int, seconds: float) -> str:
    """The rate of what was done in this call alone, if it is known."""
    if not begun_before:
        return _rate(number, seconds)
    if begun_before >= number + skipped:
        return "an earlier call had begun with all of them, so there is no rate"
    rate = _rate(number + skipped - begun_before, seconds)
    return f"an earlier call had begun with {begun_before:,} of them; {rate} for the others"


def _rate(number: int, seconds: float) -> str:
    rate = number / max(seconds, 1e-3)
    return f"{rate:,.1f} a second" if rate < 100 else f"{rate:,.0f} a second"


def _padding(settings: Mapping[str, str]) -> str:
    shapes = settings.get("padded shapes")
    return f"; padded shapes: {shapes}" if shapes else ""


def demo_text(result: "DemoResult") -> str:
    """The demo's score against the boxes known from composing the images."""
    score = result.score
    lines = [f"CorLoc against the known boxes: {score.corloc / 100:.3f} ({score.correct} of {score.images})"]
    if not math.isnan(score.noise_auc):
        lines.append(
            f"Noise score, telling the {len(result.without)} images without it apart: AUC {score.noise_auc:.3f}"
        )
    noisy = [item.name for item in result.findings.light() if item.noisy]
    if METHODS[result.findings.method].fit is not None:
        right = len(set(noisy) & set(result.without))
        lines.append(f"Called noisy: {len(noisy)} ({right} of them rightly)" + "".join(f"\n  {name}" for name in noisy))
    return "\n".join(lines)
