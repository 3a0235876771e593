"""Compare predictions with the truth."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from jaxloc.data import annotations
from jaxloc.data.annotations import Annotated, Annotations
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import boxes, detections
from jaxloc.run.evaluation.columns import sum_up
from jaxloc.run.evaluation.counts import measure_counts, with_threshold
from jaxloc.run.evaluation.groups import measure_groups, with_true_classes
from jaxloc.run.evaluation.maps import measure_maps, read_maps
from jaxloc.run.evaluation.masks import measure_masks
from jaxloc.run.evaluation.matching import Case, asked_for, in_other_images, match
from jaxloc.run.evaluation.names import pair_alike, pair_endings, paired_note
from jaxloc.run.evaluation.parts import measure_parts
from jaxloc.run.evaluation.results import ClassScore, Evaluation, Note


def evaluate(
    predictions: Mapping[str, Annotated],
    truth: Mapping[str, Annotated],
    options: EvaluateOptions | None = None,
    *,
    maps: Mapping[str, np.ndarray] | None = None,
    declared: Sequence[str] = (),
) -> Evaluation:
    """Measure predictions, class by class.

    Images are matched by name and boxes by class; where no name is on both sides, by the longest common ending of their
    names (one side may start from a folder further up). An image counts for its own class where the truth gives it one,
    otherwise for every class it has objects of. Of several predictions of one class in one image, the one with the
    highest score counts for CorLoc. Mismatches are named in the result's notes.

    Args:
        predictions: by name of the image.
        truth: likewise.
        options: the rules and measures; ``EvaluateOptions()`` by default.
        maps: real ``[h, w]`` score maps by name of the image, high where there is object, each spanning its whole
            image: also MaxBoxAcc, PxAP and saliency precision.
        declared: classes of the truth to name even if no image is of them.

    Raises:
        UsageError: the two have no image or no class in common, their sizes all differ, or no image is of the splits
            or of the classes.
    """
    options = options or EvaluateOptions()
    alike = pair_alike(predictions, truth)
    paired = {} if alike or predictions.keys() & truth.keys() else pair_endings(predictions, truth)
    if other := alike | paired:
        predictions = {other.get(name, name): image for name, image in predictions.items()}
        maps = maps and {other.get(name, name): heat for name, heat in maps.items()}
    groups = measure_groups(predictions, truth) if options.groups else None
    if groups is not None:
        predictions = with_true_classes(predictions, truth)
    if options.co_occurrence is not None:
        labelled = annotations.read(options.co_occurrence).images
        predictions = detections.with_co_occurrence(predictions, labelled, options)
    cases, notes = match(predictions, truth, options)
    notes += [paired_note(paired)] if paired else []
    if groups is not None and groups.left_out:
        text = "Images that are not of one true class, left out of the figures of groups"
        notes.append(Note("groups of several classes", text, groups.left_out))
    columns = boxes.corloc(cases, options)
    if options.pcp:
        columns += boxes.found_boxes(cases, options)
    if options.top_one:
        columns += boxes.with_classes(cases, options)
        notes += _without_classifier(cases)
    if options.point or options.detection:
        others = in_other_images(predictions, truth, options)
        columns += [detections.points(cases, others, options)] if options.point else []
        columns += detections.boxes(cases, others, options) if options.detection else []
    if maps is not None:
        of_maps, more = measure_maps(cases, maps)
        columns, notes = columns + of_maps, notes + more
    if options.masks:
        of_masks, more = measure_masks(cases)
        columns, notes = columns + of_masks, notes + more
    assigned: dict[str, dict[str, str]] = {}
    if options.parts:
        of_parts, more, assigned = measure_parts(cases, options)
        columns, notes = columns + of_parts, notes + more
    noise, curves, lacking = boxes.noise(cases)
    if any(lacking.values()):
        columns.append(noise)
    notes += _classes_apart(cases, options, declared)
    sums = {column.name: sum_up(column, list(cases), options) for column in columns}
    right = columns[0].values
    scores = []
    for category, some in cases.items():
        holding = [case for case in some if case.objects]
        score = ClassScore(
            category,
            images=len(holding),
            correct=int(right[category].sum()),
            missing=sum(case.prediction is None for case in holding),
            empty=sum(case.prediction is not None and not case.found for case in holding),
            excluded=sum(case.left_out and not case.damaged for case in some),
            noisy_images=lacking[category],
            figures={name: each[category] for name, (each, _, _) in sums.items()},
        )
        scores.append(score)
    mean = {name: figure for name, (_, figure, _) in sums.items()}
    overall = {name: figure for name, (_, _, figure) in sums.items()}
    counts = measure_counts(*asked_for(predictions, truth, options), options) if options.counts else None
    return Evaluation(scores, mean, overall, options, notes, curves, assigned, maps is not None, groups, counts)


def _without_classifier(cases: Mapping[str, Sequence[Case]]) -> list[Note]:
    holding = [(category, case) for category, some in cases.items() for case in some if case.objects]
    right = {found == category for category, case in holding if (found := boxes.predicted_class(case)) is not None}
    if right != {True}:
        return []
    why = "as where a class is that of its own set or folder: no classifier was involved, and top-1 is GT-known"
    return [Note("no classifier", f"Every predicted class is the true one, {why}")]


def _classes_apart(
    cases: Mapping[str, Sequence[Case]], options: EvaluateOptions, declared: Sequence[str]
) -> list[Note]:
    """Classes that cannot be measured, and classes without predictions."""
    notes = []
    nothing = [category for category, some in cases.items() if not any(case.objects for case in some)]
    if not options.any_class and not options.classes:
        nothing += [category for category in declared if category not in cases]
    if nothing:
        notes.append(Note("no positives", "Classes without an object that counts, not measured", tuple(nothing)))
    unseen = []
    for category, some in cases.items():
        predictions = [(case.found, case.prediction.categories) for case in some if case.prediction is not None]
        if category not in nothing and not any(found or category in classes for found, classes in predictions):
            unseen.append(category)
    if unseen:
        text = "Classes of which nothing is predicted, counted as wrong; to leave them out, name the others by --class"
        notes.append(Note("classes not predicted", text, tuple(unseen)))
    return notes


def evaluate_files(
    predictions: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    options: EvaluateOptions | None = None,
    *,
    maps: bool = False,
) -> Evaluation:
    """Measure predictions, in files, against the truth.

    Args:
        predictions: anything that ``jaxloc.data.annotations.read`` takes, such as the folder a job wrote or its
            ``annotations.json``; or a plain list of COCO results, where ``truth`` is the COCO file it was made for.
        truth: likewise.
        options: the rules and measures; ``EvaluateOptions()`` by default.
        maps: also measure the heat maps in the folder ``predictions``.

    Raises:
        UsageError: as for ``evaluate``; or a file is unreadable, or there are no heat maps.
    """
    heat = read_maps(predictions) if maps else None
    found, true = annotations.read(predictions, truth=truth), annotations.read(truth)
    options = with_threshold(options or EvaluateOptions(), predictions)
    result = evaluate(found.images, true.images, options, maps=heat, declared=true.categories)
    told = _problems("predictions", found) + _problems("ground truth", true)
    return dataclasses.replace(result, notes=[*result.notes, *told])


def _problems(side: str, read: Annotations) -> list[Note]:
    kinds: dict[str, list[str]] = {}
    for problem in read.problems:
        kinds.setdefault(problem.kind, []).append(str(problem))
    return [
        Note(f"{kind} in the {side}", f"In the {side}, {kind}", tuple(problems)) for kind, problems in kinds.items()
    ]
