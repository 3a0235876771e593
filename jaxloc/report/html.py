"""What a job found as one HTML page: no network, no other file, the same bytes for the same findings."""

import base64
import hashlib
import html
import importlib.resources
import json
import math
import statistics
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.report.text import displayable

# What each method does, in words, and how its score reads.
_METHODS = {
    "ddt": "DDT co-localisation",
    "ddt+": "DDT+ co-localisation",
    "scda": "SCDA localisation",
}
_DDT_SCORE = "at 0.5, the object's mean response is one standard deviation of its whole set"
_SCORES = {
    "ddt": _DDT_SCORE,
    "ddt+": _DDT_SCORE,
    "scda": "at 0.5, the object's mean activation is twice that of the whole picture",
}


def render_page(findings: Findings, *, limit: int = 2000) -> str:
    """The page's text: counts and settings, then a card for each picture, to sort, filter and enlarge.

    Args:
        findings: what the job found.
        limit: pictures to show, those with a thumbnail first; the counts are of all.

    Raises:
        ValueError: ``limit`` is negative.
    """
    if limit < 0:
        raise ValueError(f"limit must be 0 or more, got {limit}")
    with_noise = any(finding.noise_score is not None for finding in findings.pictures)
    shown = _choose(findings.pictures, limit)
    script = "\n" + _asset("page.js")
    return string.Template(_asset("page.html")).substitute(
        title=_escape(findings.title),
        version=_escape(findings.version),
        lead=_escape(_lead(findings)),
        warnings=_warnings(findings.warnings),
        tiles=_tiles(findings),
        sets=_set_table(findings, with_noise),
        settings=_settings(findings),
        limit_note=_limit_note(len(shown), len(findings.pictures)),
        absent_note=_escape(_absent_note(findings.pictures)),
        skipped=_skipped(findings, limit),
        reading=_reading(findings, with_noise),
        style=_asset("page.css"),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_data(findings.categories, shown),
    )


def _asset(name: str) -> str:
    return importlib.resources.files("jaxloc.report").joinpath(name).read_text(encoding="utf-8")


def _escape(text: str) -> str:
    return html.escape(displayable(text))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _choose(pictures: list[Finding], limit: int) -> list[Finding]:
    """The first ``limit`` pictures, those with a thumbnail before those without, in their own order."""
    preferred = sorted(range(len(pictures)), key=lambda index: pictures[index].thumbnail is None)
    return [pictures[index] for index in sorted(preferred[:limit])]


def _status(finding: Finding) -> str:
    """``"found"``, ``"noisy"`` or ``"nothing found"``: exactly one holds."""
    if finding.noisy:
        return "noisy"
    return "found" if finding.found else "nothing found"


def _lead(findings: Findings) -> str:
    pictures, sets = _counted(len(findings.pictures), "picture"), _counted(len(findings.categories), "set")
    return f"{_METHODS.get(findings.method, findings.method)} of {pictures} in {sets}."


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_escape(warning)}</li>" for warning in warnings)
    return f'<section class="warnings" aria-label="Warnings"><h2>Please check</h2><ul>{items}</ul></section>'


def _statuses(pictures: list[Finding]) -> list[str]:
    """The statuses worth a count: noisy and nothing found are different things, but a job may not have both."""
    statuses = ["found"]
    if any(finding.noise_score is not None or finding.noisy for finding in pictures):
        statuses.append("noisy")
    if len(statuses) == 1 or any(_status(finding) == "nothing found" for finding in pictures):
        statuses.append("nothing found")
    return statuses


def _counts(statuses: list[str], pictures: list[Finding], skipped: int) -> dict[str, str]:
    """Headings and counts, of the whole page or of one set."""
    counter = Counter(map(_status, pictures))
    return {
        "Pictures": f"{len(pictures):,}",
        **{status.capitalize(): f"{counter[status]:,}" for status in statuses},
        "Skipped": f"{skipped:,}",
    }


def _tiles(findings: Findings) -> str:
    counts = _counts(_statuses(findings.pictures), findings.pictures, len(findings.skipped))
    return "\n".join(f"<div><dt>{heading}</dt><dd>{count}</dd></div>" for heading, count in counts.items())


def _set_table(findings: Findings, with_noise: bool) -> str:
    statuses = _statuses(findings.pictures)
    pictures: dict[str, list[Finding]] = {category: [] for category in findings.categories}
    for finding in findings.pictures:
        pictures[finding.category].append(finding)
    skipped = Counter(item.category for item in findings.skipped)
    headings, rows = ["Set"], []
    for number, (category, some) in enumerate(pictures.items()):
        cells = _counts(statuses, some, skipped[category])
        cells["Median score"] = _median(finding.score for finding in some if _status(finding) == "found")
        if with_noise:
            cells["Median noise score"] = _median(f.noise_score for f in some if f.noise_score is not None)
        headings = ["Set", *cells]
        rows.append(
            f'<tr data-set="{number}"><th scope="row"><button type="button" class="link" aria-pressed="false">'
            f"{_set_name(category)}</button></th>{''.join(f'<td>{cell}</td>' for cell in cells.values())}</tr>"
        )
    return _details("Sets", "sets", headings, rows)


def _details(summary: str, name: str, headings: list[str], rows: list[str]) -> str:
    """A table that folds away, or nothing if it has no row."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "\n".join(rows)
    return (
        f'<details class="{name}"{" open" if name == "sets" else ""}><summary>{summary}</summary><div class="scroll">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></details>"
    )


def _set_name(category: str) -> str:
    return f"<bdi>{_escape(category)}</bdi>" if category else "(unnamed)"


def _median(values: Iterable[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f"{statistics.median(finite):.2f}" if finite else "–"


def _settings(findings: Findings) -> str:
    rows = [
        f'<tr><th scope="row">{_escape(name)}</th><td>{_escape(value)}</td></tr>'
        for name, value in findings.settings.items()
    ]
    return _details("Settings", "settings", ["Setting", "Value"], rows)


def _limit_note(shown: int, total: int) -> str:
    if shown == total:
        return ""
    return f'<p class="limit">Showing {shown:,} of {_counted(total, "picture")}; annotations.json holds all.</p>'


def _absent_note(pictures: list[Finding]) -> str:
    statuses = {_status(finding) for finding in pictures}
    reasons = []
    if "noisy" in statuses:
        reasons.append("Noisy: so small a share of the picture responds that the object is taken to be absent.")
    if "nothing found" in statuses:
        reasons.append("Nothing found: no cell of the picture was kept as object.")
    return " ".join(reasons)


def _skipped(findings: Findings, limit: int) -> str:
    if not findings.skipped:
        return ""
    numbers = {category: number for number, category in enumerate(findings.categories)}

    def row(item: Skipped) -> str:
        return (
            f'<tr data-set="{numbers[item.category]}"><td><bdi>{_escape(item.name)}</bdi></td>'
            f"<td>{_set_name(item.category)}</td><td>{_escape(item.reason)}</td></tr>"
        )

    rows = "\n".join(map(row, findings.skipped[:limit]))
    more = len(findings.skipped) - limit
    note = f'<p class="note">{more:,} more; annotations.json holds all.</p>' if more > 0 else ""
    return (
        '<section id="skipped" aria-labelledby="skipped-title"><h2 id="skipped-title">Skipped '
        f'<span class="number">{len(findings.skipped):,}</span></h2><div class="scroll"><table>'
        '<thead><tr><th scope="col">Name</th><th scope="col">Set</th><th scope="col">Why</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>{note}</section>"
    )


def _reading(findings: Findings, with_noise: bool) -> str:
    scale = _SCORES.get(findings.method)
    items = ["<b>Score</b>, from 0 to 1: how far the object stands out" + (f"; {scale}." if scale else ".")]
    if with_noise:
        items.append(
            "<b>Noise score</b>: share of the picture's cells with a positive indicator; "
            "small where the object is absent."
        )
    if any(finding.heat is not None for finding in findings.pictures):
        items.append(
            '<b>Heat map</b>: cells above the threshold, <span class="ramp"></span> from weak to strong, scaled to '
            "each picture on its own; the large view also shows cells below it in blue."
        )
    of_all = ", noise scores of all" if with_noise else ""
    items.append(f"<b>Medians</b>: scores of the pictures where the object was found{of_all}.")
    return "\n".join(f"<li>{item}</li>" for item in items)


def _data(categories: list[str], pictures: list[Finding]) -> str:
    """What page.js shows, as JSON that is safe inside a script element."""
    numbers = {category: number for number, category in enumerate(categories)}
    rows = [json.dumps(_picture(finding, numbers), separators=(",", ":")) for finding in pictures]
    text = (
        f'{{"sets":{json.dumps([displayable(name) for name in categories])},"pictures":[\n' + ",\n".join(rows) + "\n]}"
    )
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _picture(finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    heat = None
    if finding.heat is not None and finding.heat.size:
        rows, columns = finding.heat.shape
        heat = {"rows": rows, "columns": columns, "cells": _base64(finding.heat.astype("int8").tobytes())}
    return {
        "name": displayable(finding.name),
        "set": numbers[finding.category],
        "width": finding.width,
        "height": finding.height,
        "box": None if finding.box is None else [round(float(edge), 2) for edge in finding.box],
        "score": _number(finding.score),
        "noise": None if finding.noise_score is None else _number(finding.noise_score),
        "status": _status(finding),
        "heat": heat,
        "thumbnail": None if finding.thumbnail is None else _base64(finding.thumbnail),
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
