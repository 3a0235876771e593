"""A job's findings as text."""

import os
from pathlib import Path

from jaxloc.report import figures, text
from jaxloc.report.records import Findings
from jaxloc.report.tables import text_table
from jaxloc.run.outputs import VIDEOS

_SETS_SHOWN = 50
_FILE = "annotations.json"


def summary(findings: Findings, out: str | os.PathLike[str], seconds: float) -> str:
    """Counts of each set, warnings, skipped images with their reasons, the rate, and where the results are."""
    sets = figures.of_sets(findings)
    noise = any(one.with_shares for one in sets.values())
    head = ["set", "images", "found", *(["noisy"] if noise else []), "skipped", "median score"]
    rows: list[list[object]] = []
    totals = [0] * (len(head) - 2)
    for category, one in sets.items():
        counts = [one.statuses.total(), one.statuses["found"]]
        counts += [*([one.statuses["noisy"]] if noise else []), one.skipped]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        if len(rows) < _SETS_SHOWN:
            rows.append([category, *counts, figures.median(one.scores)])
    parts = [text_table(head, [*rows, *([["all", *totals, "–"]] if len(sets) > 1 else [])])]
    if len(sets) > len(rows):
        parts.append(f"The first {len(rows)} of {len(sets):,} sets; all are in {_FILE}.")
    parts += text.warnings(findings.warnings, _FILE)
    skipped = ((item.name, item.reason) for item in findings.skipped)
    parts += text.reasons("Skipped", skipped, len(findings.skipped), _FILE)
    videos = f" and {Path(out) / VIDEOS}" if Path(out, VIDEOS).is_dir() else ""
    parts.append(
        f"{text.counted(findings.number, 'image')} in {seconds:.1f} s ({_speed(findings, seconds)}). "
        f"Look at {Path(out) / 'report.html'}{videos}"
    )
    return "\n\n".join(parts)


def _speed(findings: Findings, seconds: float) -> str:
    """The rate of this call alone, if it did any work, and the padding."""
    if findings.finished_before:
        return "this run was finished before; nothing was computed again"
    number, skipped, before = findings.number, len(findings.skipped), findings.begun_before
    if not before:
        speed = _rate(number, seconds)
    elif before >= number + skipped:
        speed = "an earlier call had begun with all of them, so there is no rate"
    else:
        rate = _rate(number + skipped - before, seconds)
        speed = f"an earlier call had begun with {before:,} of them; {rate} for the others"
    shapes = findings.settings.get("padded shapes")
    return speed + (f"; padded shapes: {shapes}" if shapes else "")


def _rate(number: int, seconds: float) -> str:
    rate = number / max(seconds, 1e-3)
    return f"{rate:,.1f} a second" if rate < 100 else f"{rate:,.0f} a second"
