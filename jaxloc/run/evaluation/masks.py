"""Measures of predicted masks against true ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxloc.data.annotations import Annotation, Pixels
from jaxloc.metrics import jaccard, pixel_precision
from jaxloc.report.exports.masks import has_mask
from jaxloc.run.evaluation.columns import Column
from jaxloc.run.evaluation.matching import Case
from jaxloc.run.evaluation.results import Note


def measure_masks(cases: Mapping[str, Sequence[Case]]) -> tuple[list[Column], list[Note]]:
    """Jaccard similarity and precision of the pixels of a class.

    A predicted mask is all that is predicted of the class; an image without prediction has an empty one. Pixels of
    objects that do not count belong to neither side.
    """
    predicted = any(case.prediction and has_mask(case.prediction) for some in cases.values() for case in some)
    overlap: dict[str, np.ndarray] = {}
    agreement: dict[str, np.ndarray] = {}
    without: dict[str, None] = {}
    unequal: dict[str, None] = {}
    true_masks = 0
    for category, some in cases.items():
        pairs = []
        for case in some:
            try:
                truth = None if case.left_out else true_mask(case)
                if truth is None:
                    continue
                true_masks += 1
                mask = _predicted_mask(case, truth.inside.shape) if predicted else None
            except ValueError:
                unequal[case.truth.name] = None
                continue
            if mask is None:
                without[case.truth.name] = None
            elif mask.shape != truth.inside.shape:
                unequal[case.truth.name] = None
            else:
                sides = mask, truth.inside
                pairs.append([measure(*sides, known=truth.known) for measure in (jaccard, pixel_precision)])
        values = np.array(pairs, np.float64).reshape(-1, 2)
        overlap[category], agreement[category] = (column[~np.isnan(column)] for column in values.T)
    if not true_masks:
        reason = "the ground truth has no masks"
    else:
        reason = "no image of the class has a mask on both sides" if predicted else "the predictions have no masks"
    notes = []
    if without and predicted:
        text = "Images whose predictions have no mask, left out of masks' measures"
        notes.append(Note("no mask", text, tuple(without)))
    if unequal:
        text = "Images whose masks are damaged or of another size than the other side's, left out of masks' measures"
        notes.append(Note("mask sizes", text, tuple(unequal)))
    return [Column("Jaccard", overlap, reason=reason), Column("precision", agreement, reason=reason)], notes


def true_mask(case: Case) -> Pixels | None:
    """The class's mask in an image: of its objects, or the image's own; ``None`` if neither is known.

    Raises:
        ValueError: a mask is damaged or of another size than the image.
    """
    if case.objects and all(one.mask is not None for one in case.objects):
        inside = _union(case.objects)
        known = np.ones(inside.shape, bool)
        for one in (*case.objects, *case.excluded):
            if one.mask is not None:
                pixels = one.mask.read()
                known &= True if pixels.known is None else pixels.known
                known &= ~pixels.inside if one in case.excluded else True
        return _of_size(Pixels(inside, known | inside), case)
    if case.truth.mask is not None and len(case.truth.categories) <= 1:
        return _of_size(case.truth.mask.read(), case)
    return None


def _of_size(pixels: Pixels, case: Case) -> Pixels:
    if case.size is not None and pixels.inside.shape != case.size[::-1]:
        raise ValueError(f"a mask of {pixels.inside.shape} for an image of {case.size[::-1]}")
    return pixels


def _union(objects: Sequence[Annotation]) -> np.ndarray:
    masks = [one.mask.read().inside for one in objects if one.mask is not None]
    return np.logical_or.reduce(masks)


def _predicted_mask(case: Case, shape: tuple[int, ...]) -> np.ndarray | None:
    if case.prediction is None:
        return np.zeros(shape, bool)
    if any(one.mask is not None for one in case.found):
        return _union(case.found)
    if case.prediction.mask is not None:
        return case.prediction.mask.read().inside
    return None if case.found else np.zeros(shape, bool)
