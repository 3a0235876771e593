"""Results of retrieval jobs as text."""

import math

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.report.search_records import Searched
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons
from jaxloc.run.retrieval.compare import Comparison, Line
from jaxloc.run.retrieval.evaluation import RetrievalEvaluation
from jaxloc.run.retrieval.index import Indexed
from jaxloc.run.retrieval.protocols import FIRST, ProtocolEvaluation
from jaxloc.run.retrieval.scoring import RECALLS, Scores
from jaxloc.whitenings import WhitenSpec

_SHOWN = 10
_MEASURES = ("top1", "top5", "AP step", "AP trapez.", *(f"R@{k}" for k in RECALLS))
_LEGEND = (
    "In per cent. top1, top5: mAP of the first 1 and 5 results as Wei et al. define it (so top1 is R@1). AP: of the "
    "whole ranking,\nin its step form and by trapezoids. R@k: queries with one of their kind among the first k."
)


def index_text(done: Indexed, seconds: float) -> str:
    """Result of ``index``."""
    parts = [
        f"{done.folder}: {done.total:,} vectors of {done.dimension:,} dimensions; {done.added:,} added in "
        f"{seconds:.1f} s, {done.present:,} were there."
    ]
    if done.moved:
        parts.append(f"Of these, {counted(done.moved, 'image')} had been moved: the gallery has their new paths now.")
    if done.not_found:
        parts.append(f"In {done.not_found:,} images nothing was selected: they rank last, and the table says so.")
    parts += reasons("Skipped", ((skip.name, skip.reason) for skip in done.skipped), len(done.skipped))
    parts += [f"Warning: {warning}" for warning in done.warnings]
    parts.append(f"Now: jaxloc search {done.folder} QUERY.jpg")
    return "\n".join(parts)


def search_text(searched: Searched) -> str:
    """The results of each query as a table, with warnings."""
    parts = []
    for query in searched.queries:
        heading = query.name + ("" if query.found else " (nothing was selected in it)")
        rows = []
        for number, result in enumerate(query.results, 1):
            sign = {None: "", True: "✓", False: "✗"}[result.relevant]
            score = f"{result.score:.4f}" if math.isfinite(result.score) else "–"
            rows.append([number, score, result.name, result.label or "", sign])
        parts.append(heading + "\n" + text_table(["#", "score", "name", "label", ""], rows))
    parts += [f"Warning: {warning}" for warning in searched.warnings]
    parts += reasons("Skipped", ((skip.name, skip.reason) for skip in searched.skipped), len(searched.skipped))
    return "\n\n".join(parts)


def _cells(scores: Scores) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:.2f}" for value in scores.measures]


def retrieval_table(result: RetrievalEvaluation) -> str:
    """Measures for each kind and over all queries."""
    scored = result.scored
    every = [*scored.classes.items(), ("all", scored.mean)]
    rows = [[label, scores.queries, *_cells(scores)] for label, scores in every]
    against = "against the rest" if result.leave_one_out else "against the gallery"
    lines = [
        text_table(["label", "queries", *_MEASURES], rows),
        f"{scored.mean.queries:,} queries {against} of {result.gallery:,} images, {result.dimension:,} dimensions.",
        _LEGEND,
    ]
    if scored.mean.without:
        lines.append(f"{scored.mean.without:,} queries have no image of their kind in the gallery and do not count.")
    if result.skipped:
        lines.append(f"Skipped: {', '.join(f'{name} ({why})' for name, why in list(result.skipped.items())[:_SHOWN])}.")
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in result.warnings)])


def protocol_table(result: ProtocolEvaluation) -> str:
    """Measures of each setup of a landmark benchmark."""
    rows = []
    for setup, scores in result.setups.items():
        values = (scores.mean_average_precision, *scores.precisions)
        rows.append([setup, scores.queries, *("–" if math.isnan(value) else f"{value:.2f}" for value in values)])
    lines = [
        text_table(["setup", "queries", "mAP", *(f"mP@{k}" for k in FIRST)], rows),
        f"Against {result.gallery:,} images, {result.dimension:,} dimensions. In per cent. mAP by trapezoids; mP@k:",
        "mean precision of the first k results; both as the benchmarks' own programs compute them.",
    ]
    lines += reasons("Skipped", result.skipped.items(), len(result.skipped))
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in result.warnings)])


def _titles(line: Line) -> tuple[str, str]:
    """Descriptor and whitening as the paper's tables call them."""
    spec = WhitenSpec.parse(line.whitening)
    return DESCRIPTORS[line.descriptor].title, "–" if spec is None else spec.title


def line_text(line: Line) -> str:
    """A row of a comparison that is in progress."""
    measured = line.reason if line.scored is None else f"top1 {line.scored.mean.top1:.2f}"
    return f"{', '.join(_titles(line))}: {measured}"


def comparison_table(result: Comparison) -> str:
    """A row for each descriptor and whitening, with the reasons of missing ones."""
    rows = [
        [*_titles(line), line.dimension, *_cells(line.scored.mean)] for line in result.lines if line.scored is not None
    ]
    against = "each against the rest" if result.leave_one_out else f"against {result.gallery:,} images"
    parts = [
        text_table(["descriptor", "post-processing", "dim.", *_MEASURES], rows),
        f"{result.queries:,} queries {against}.\n{_LEGEND}",
    ]
    specs = [WhitenSpec.parse(text) for text in dict.fromkeys(line.whitening for line in result.lines)]
    parts += [f"Warning: {doubt}" for spec in specs if spec is not None and (doubt := spec.doubt(result.gallery))]
    missing: dict[str, list[str]] = {}
    for line in result.lines:
        if line.scored is None:
            missing.setdefault(line.reason, []).append(f"{_titles(line)[0]} {line.whitening}")
    parts += [f"Not made, because {reason}:\n  {', '.join(names)}" for reason, names in missing.items()]
    parts += reasons("Skipped", result.skipped.items(), len(result.skipped))
    return "\n\n".join(parts)
