"""A reproduced table as text and as LaTeX."""

import math

from jaxloc.report.tables import latex_table, text_table
from jaxloc.run.reproduce.results import Reproduction, Row


def reproduction_table(result: Reproduction) -> str:
    """Ours beside the paper's, with every deviation below."""
    head, rows = _cells(result)
    return "\n".join([*_heading(result), text_table(head, rows), *_below(result)])


def reproduction_latex(result: Reproduction) -> str:
    """The table as LaTeX (package booktabs), with heading and deviations as comments."""
    head, rows = _cells(result)
    return latex_table(head, rows, comments=[*_heading(result), *_below(result)], words=2)


def _heading(result: Reproduction) -> list[str]:
    lines = [f"{result.table}: {result.title} ({result.source}), on {result.data}"]
    if result.incomplete:
        lines.append(f"NOT THE PAPER'S PROTOCOL: {result.incomplete}.")
    return lines


def _below(result: Reproduction) -> list[str]:
    drawn = any(row.interval is not None for row in result.rows)
    sure = [f"In brackets: {result.settings['interval']}."] if drawn else []
    missing: dict[str, dict[str, None]] = {}
    for row in result.rows:
        if row.reason:
            missing.setdefault(row.reason, {})[row.label] = None
    return [
        *sure,
        *(f"Not measured: {', '.join(labels)} ({reason})." for reason, labels in missing.items()),
        "Where this differs from the paper, and what the paper leaves open:",
        *(f"- {deviation}" for deviation in result.deviations),
    ]


def _cells(result: Reproduction) -> tuple[list[str], list[list[str]]]:
    sure = any(row.interval is not None for row in result.rows)
    head = ["", "measure", "images", "ours", *(["interval"] if sure else []), "paper", "difference"]
    rows = []
    for row in result.rows:
        interval = [_interval(row)] if sure else []
        images = f"{row.images:,}" if row.images else "–"
        paper, difference = _number(row.paper, row), _number(row.difference, row, signed=True)
        rows.append([row.label, row.measure, images, _number(row.ours, row), *interval, paper, difference])
    width = max(len(row[-1]) for row in (head, *rows))
    return head, [[*row[:-1], row[-1].rjust(width)] for row in rows]


def _number(value: float, row: Row, *, signed: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:{'+' if signed else ''},.{row.digits}f}"


def _interval(row: Row) -> str:
    if row.interval is None or math.isnan(row.interval.low):
        return "–"
    return "[" + ", ".join(f"{end:.{max(1, row.digits - 1)}f}" for end in row.interval) + "]"
