"""Tables of boxes: run the paper's job on the data set and evaluate the boxes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.data import ImageSet
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions, LocalizeOptions, ReproduceOptions, network_options
from jaxloc.report.records import Findings
from jaxloc.run import outputs
from jaxloc.run.evaluation import Evaluation, Figure, evaluate
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.papers import Scores
from jaxloc.run.reproduce.results import Row
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps

_CORLOC = "CorLoc"
_THRESHOLDS = (0.0, 0.1)
_NUMBERS = {
    "ddt-table1": papers.DDT_TABLE_1,
    "ddt-voc07": papers.DDT_VOC_2007,
    "ddt-wsol": papers.DDT_VOC_2007,
    "ddt-voc12": papers.DDT_VOC_2012,
    "ddt-imagenet": papers.DDT_IMAGENET,
}


_OTHERS = {"ddt-wsol": papers.DDT_WSOL}
"""Other authors' numbers that a table sets DDT against."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A table's rows, remarks of one sentence each, and ROC curves by class, where there are any."""

    rows: list[Row]
    notes: list[str]
    curves: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)


def measure_single(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """SCDA's table 1: one box an image, without fitting anything."""
    job = {"method": "scda", "layer": "pool5", "max_side": 700}
    findings, result = _run(
        [prepared.together()], prepared.truth(), out / "scda", options, job, any_class=True, pcp=True
    )
    figure, every = result.overall[_CORLOC], result.overall["PCP"]
    row = _row("whole object", "localised, %", figure, papers.SCDA_TABLE_1[prepared.name])
    notes = [f"Of all true boxes, not images, {every.value:.2f} % are found (the two differ with several objects)."]
    return Measured([row], [*notes, *notes_of(findings, result)])


def measure_corloc(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """CorLoc of each class for each requested method, and the means."""
    table = prepared.table.name
    chosen, notes = _of_table(prepared, list(_NUMBERS[table]["ddt"].classes))
    rows: list[Row] = []
    for method in options.methods:
        job = {"method": method, "max_side": 800}
        findings, result = _run(chosen.sets(), chosen.truth(), out / method, options, job)
        measure, numbers = f"{method.upper()} CorLoc, %", _NUMBERS[table]
        unknown = Scores(dict.fromkeys(numbers["ddt"].classes, math.nan), math.nan, numbers["ddt"].digits)
        rows += class_rows(result, _CORLOC, measure, numbers.get(method, unknown))
        for authors, theirs in _OTHERS.get(table, {}).items():
            *_, mean = class_rows(result, _CORLOC, f"{measure}, beside {authors}", theirs)
            rows.append(mean)
        notes += notes_of(findings, result)
        if method not in numbers:
            notes.append(f"The paper has no numbers of {method.upper()}.")
        if method == "scda":
            notes.append("The DDT paper does not say which layer its SCDA takes; here the one that DDT takes.")
    return Measured(rows, list(dict.fromkeys(notes)))


def measure_noise(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """ROC of the share of positive indicator values as a classifier of images without the object."""
    chosen, notes = _of_table(prepared, list(papers.DDT_NOISY_IMAGES))
    truth = chosen.truth()
    findings, result = _run(chosen.sets(), truth, out / "ddt", options, {"method": "ddt", "max_side": 800})
    rows = []
    for score in result.classes:
        paper, images = papers.DDT_NOISY_IMAGES[score.category], score.images + score.noisy_images
        rows.append(Row(score.category, "images without it", score.noisy_images, paper, images, digits=0))
        figure = score.figures.get("noise AUC") or Figure(math.nan, 0, reason="no image lacks the object")
        rows.append(_row(score.category, "AUC", figure, math.nan, digits=3))
        for threshold in _THRESHOLDS:
            rows += _called_noisy(findings, truth, score.category, threshold)
    curves = {
        name: {part: points.tolist() for part, points in curve._asdict().items()}
        for name, curve in result.noise.items()
    }
    return Measured(rows, notes + notes_of(findings, result), curves)


def predictions_of(findings: Findings) -> dict[str, Annotated]:
    """A job's findings as predictions; an image of several sets has an object of each."""
    found: dict[str, Annotated] = {}
    for one in findings.light():
        asked: dict[str, Any] = {"probability": one.probability, "point": one.point}
        objects = () if one.box is None else (Annotation(one.category, one.box, one.score, **asked),)
        if one.name in found:
            objects = (*found[one.name].annotations, *objects)
        found[one.name] = Annotated(
            one.name, annotations=objects, width=one.width, height=one.height, noise_score=one.noise_score
        )
    return found


def class_rows(result: Evaluation, column: str, measure: str, paper: Scores) -> list[Row]:
    """A row for each class of the paper that was measured, and their mean beside the paper's."""
    figures = {score.category: score.figures[column] for score in result.classes}
    measured = [(name, number) for name, number in paper.classes.items() if name in figures]
    rows = [_row(name, measure, figures[name], number, digits=paper.digits) for name, number in measured]
    there = [row.paper for row in rows if not math.isnan(row.ours)]
    label, mean = "mean", paper.mean
    if len(there) < len(paper.classes):
        label = f"mean of {len(there)} of {len(paper.classes)} classes"
        mean = sum(there) / len(there) if there else math.nan
    return [*rows, _row(label, measure, result.mean[column], mean, digits=paper.digits)]


def _of_table(prepared: Prepared, classes: Sequence[str]) -> tuple[Prepared, list[str]]:
    """The images of a table's classes, and a note on those left out."""
    chosen = prepared.of_classes(classes)
    if not chosen.numbers:
        raise UsageError(
            f"{prepared.place}: has no class of {prepared.table.name} ({', '.join(classes)}); it has "
            f"{', '.join(sorted(prepared.numbers)) or 'none'}"
        )
    more = sorted(set(prepared.numbers) - set(classes))
    return chosen, [f"Classes that the table does not have were left out: {', '.join(more)}."] if more else []


def _run(
    sets: Sequence[ImageSet],
    truth: Mapping[str, Annotated],
    out: Path,
    options: ReproduceOptions,
    job: Mapping[str, Any],
    **rules: Any,
) -> tuple[Findings, Evaluation]:
    steps = Steps(LocalizeOptions(**network_options(options) | dict(job)))
    with Run(sets, outputs.prepare(out), steps, overwrite=options.overwrite) as run:
        findings = run.colocalize()
    how = EvaluateOptions(samples=options.samples, seed=options.seed, **rules)
    return findings, evaluate(predictions_of(findings), truth, how)


def _row(label: str, measure: str, figure: Figure, paper: float, *, digits: int = 2) -> Row:
    return Row(label, measure, figure.value, paper, figure.images, figure.interval, digits, figure.reason)


def _called_noisy(findings: Findings, truth: Mapping[str, Annotated], category: str, threshold: float) -> list[Row]:
    """Share of the images with and without the object that are noisy at a threshold."""
    called: dict[bool, list[bool]] = {True: [], False: []}
    for one in findings.light():
        if one.category == category and one.noise_score is not None:
            noisy = bool(np.float32(one.noise_score) <= np.float32(threshold))
            called[not truth[one.name].annotations].append(noisy)
    rows = []
    for lacking, which in ((True, "without"), (False, "with")):
        some = called[lacking]
        share = 100 * sum(some) / len(some) if some else math.nan
        measure = f"called noisy at {threshold:g}, {which} it, %"
        rows.append(Row(category, measure, share, images=len(some), reason="" if some else "there is no such image"))
    return rows


def notes_of(findings: Findings, result: Evaluation) -> list[str]:
    """Remarks of the job and the evaluation."""
    notes = [f"{warning.partition(';')[0]}: see the job's report.html." for warning in findings.warnings]
    if findings.skipped:
        first = findings.skipped[0]
        notes.append(
            f"{len(findings.skipped)} images could not be used and count as wrong, such as {first.name} "
            f"({first.reason})."
        )
    return notes + [str(note) for note in result.notes if note.kind != "other classes"]
