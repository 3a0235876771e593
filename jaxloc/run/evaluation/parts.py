"""PCP of parts, whose predicted boxes may have names of their own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxloc.data.annotations import Annotation
from jaxloc.metrics import assign_parts, correct_parts, part_boxes
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.columns import Column
from jaxloc.run.evaluation.matching import Case
from jaxloc.run.evaluation.results import Note

_Parts = dict[str, tuple[float, ...]]
_NO_BOX = (math.nan,) * 4


def measure_parts(
    cases: Mapping[str, Sequence[Case]], options: EvaluateOptions
) -> tuple[list[Column], list[Note], dict[str, dict[str, str]]]:
    """PCP of each true part at the first threshold.

    True part boxes are those of the truth, or stand round the visible points of CUB's head and torso. Predicted parts
    that are called as true ones are taken for these; else they are matched to them once for all images of a set, since
    each set has components of its own. Images with several objects of the class are left out: nobody says whose the
    predicted parts are.

    Returns:
        columns; notes; and by set, by the name of a predicted part, the true part it was taken for.
    """
    usable: list[tuple[str, str, _Parts, _Parts]] = []
    several: dict[str, None] = {}
    for category, some in cases.items():
        for case in some:
            if len(case.objects) > 1:
                several[case.truth.name] = None
            elif case.objects and (true := _true_parts(case.objects[0])):
                usable.append((category, case.image_set, dict(case.found[0].parts) if case.found else {}, true))
    notes = []
    shown = any(_true_parts(one) for some in cases.values() for case in some for one in case.objects)
    if several and shown:
        text = "Images with several objects of a class, left out of parts' PCP"
        notes.append(Note("several objects", text, tuple(several)))
    true_names = list(dict.fromkeys(name for *_, true in usable for name in true))
    names = list(dict.fromkeys(name for *_, found, _ in usable for name in found))
    if not true_names or not names:
        reason = "the predictions have no parts" if true_names else "the ground truth has no parts"
        if shown and not true_names:
            reason = "no image of a single object of its class has parts"
        return [Column(f"PCP {name}", {}, reason=reason) for name in true_names or ["parts"]], notes, {}
    predicted = np.array([[found.get(name, _NO_BOX) for name in names] for *_, found, _ in usable])
    truth = np.array([[true.get(name, _NO_BOX) for name in true_names] for *_, true in usable])
    rules: dict[str, Any] = {"at_least": options.at_least, "inclusive": options.voc_inclusive}
    rules["threshold"] = options.thresholds[0]
    named = set(names) <= set(true_names)
    if not named:
        notes.append(Note("matched parts", "Parts without true names were matched to them once for each image set"))
    right = np.empty(truth.shape[:2])
    taken = {}
    categories, image_sets = (np.array(some, object) for some in list(zip(*usable, strict=True))[:2])
    for image_set in sorted(set(image_sets)):
        of_set = image_sets == image_set
        sides = predicted[of_set], truth[of_set]
        assigned = np.array([true_names.index(name) for name in names]) if named else assign_parts(*sides, **rules)
        right[of_set] = correct_parts(*sides, assigned, **rules)
        pairs = zip(names, assigned, strict=True)
        taken[image_set] = {name: true_names[place] for name, place in pairs if place >= 0}
    columns = []
    for number, name in enumerate(true_names):
        there = ~np.isnan(right[:, number])
        values = {category: right[there & (categories == category), number] for category in cases}
        columns.append(Column(f"PCP {name}", values, reason="no image shows the part"))
    return columns, notes, taken


def _true_parts(one: Annotation) -> _Parts:
    if one.parts:
        return dict(one.parts)
    return dict(part_boxes({point.name: (point.x, point.y) for point in one.keypoints if point.visible}))
