"""Measures of score maps, which need no threshold: MaxBoxAcc, PxAP, saliency precision and AUC."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc.data.annotations import Pixels
from jaxloc.errors import UsageError
from jaxloc.metrics import (
    MAP_SIDE,
    MAP_THRESHOLDS,
    box_overlaps,
    max_box_accuracy,
    pixel_average_precision,
    pixel_counts,
    saliency_auc,
    saliency_precision,
)
from jaxloc.report import parquet
from jaxloc.run.evaluation.columns import Column, share
from jaxloc.run.evaluation.masks import true_mask
from jaxloc.run.evaluation.matching import Case
from jaxloc.run.evaluation.results import Note
from jaxloc.run.outputs import PARTS

_OVERLAPS = (0.3, 0.5, 0.7)
_NOTES = {
    "no map": "Images without a score map, left out of its measures",
    "no size": "Images whose size nobody says, left out of score maps' measures",
    "no saliency": "Images whose map has no saliency, left out of saliency precision",
    "one kind": "Images whose cells are all object or none, left out of saliency AUC",
    "mask sizes": "Images whose true masks are damaged or of another size, measured by their boxes and left out of "
    "PxAP",
}


def read_maps(out: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Heat maps by name of the image, int8 ``[h, w]``, positive where there is object, from a job's folder."""
    files = sorted(Path(out, PARTS).glob("found-*.parquet"))
    found = {finding.name: finding.heat for finding in parquet.Images(files) if finding.heat is not None}
    if not found:
        raise UsageError(f"{out}: holds no heat maps; --maps takes the folder that `jaxloc colocalize --out` wrote")
    return found


def measure_maps(
    cases: Mapping[str, Sequence[Case]], maps: Mapping[str, np.ndarray]
) -> tuple[list[Column], list[Note]]:
    """Measure score maps against boxes, and against masks where the truth has them.

    Each map is stretched to the benchmark's size by bicubic interpolation and scaled to [0, 1] by its own extremes; a
    constant one localises nothing. Saliency is the part of the unscaled map above 0, and its AUC is of the whole map.
    An image that the predictions lack counts as not localised; a predicted image without a map is left out and named.
    """
    names: dict[str, dict[str, None]] = {kind: {} for kind in _NOTES}
    columns = ("MaxBoxAcc", "MaxBoxAccV2", "PxAP", "saliency precision", "saliency AUC")
    values: dict[str, dict[str, list[Any]]] = {column: {category: [] for category in cases} for column in columns}

    def measure(category: str, case: Case) -> None:
        first, second, pixels, inside, areas = (values[column][category] for column in columns)
        name = case.truth.name
        if case.prediction is None:
            first.append(np.zeros(len(MAP_THRESHOLDS)))
            second.append(np.zeros(len(MAP_THRESHOLDS)))
            return
        if name not in maps or case.size is None:
            names["no size" if name in maps else "no map"][name] = None
            return
        score_map = _stretched(maps[name])
        overlaps = box_overlaps(score_map, _scaled(case, MAP_SIDE, MAP_SIDE))
        first.append(overlaps.largest)
        second.append(overlaps.every)
        try:
            mask = true_mask(case)
        except ValueError:
            mask = None
            names["mask sizes"][name] = None
        if mask is not None:
            known = None if mask.known is None else _nearest(mask.known)
            pixels.append(pixel_counts(score_map, _nearest(mask.inside), known=known))
        cover = _cover(case, mask, maps[name].shape)
        precision, area = saliency_precision(np.clip(maps[name], 0, None), cover), saliency_auc(maps[name], cover)
        for one, measured, kind in ((precision, inside, "no saliency"), (area, areas, "one kind")):
            if np.isnan(one):
                names[kind][name] = None
            else:
                measured.append(one)

    for category, some in cases.items():
        for case in some:
            if case.objects:
                measure(category, case)
    reasons = dict.fromkeys(columns, "no image that counts has a score map")
    if not any(values["PxAP"].values()):
        reasons["PxAP"] = "the ground truth has no masks"
    statistics: list[Callable[[np.ndarray], float]] = [
        max_box_accuracy,
        functools.partial(max_box_accuracy, ious=_OVERLAPS),
        lambda counts: pixel_average_precision(counts.sum(0)),
        share,
        share,
    ]
    measured = [
        Column(column, {category: np.array(some) for category, some in values[column].items()}, statistic, reason=why)
        for (column, why), statistic in zip(reasons.items(), statistics, strict=True)
    ]
    return measured, [Note(kind, _NOTES[kind], tuple(some)) for kind, some in names.items() if some]


def _stretched(score_map: np.ndarray) -> np.ndarray:
    image = Image.fromarray(score_map.astype(np.float32))
    large = np.asarray(image.resize((MAP_SIDE, MAP_SIDE), Image.Resampling.BICUBIC), np.float64)
    spread = np.ptp(large)
    return (large - large.min()) / spread if spread > 0 else np.zeros_like(large)


def _nearest(mask: np.ndarray) -> np.ndarray:
    image = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(image.resize((MAP_SIDE, MAP_SIDE), Image.Resampling.NEAREST)) > 0


def _scaled(case: Case, columns: int, rows: int) -> np.ndarray:
    width, height = case.size or (columns, rows)
    boxes = np.array([one.box for one in case.objects], np.float64)
    return boxes * (np.array([columns, rows, columns, rows]) / (width, height, width, height))


def _cover(case: Case, mask: Pixels | None, shape: tuple[int, ...]) -> np.ndarray:
    """The share of each cell of a map that is object: by the mask, else by the boxes to whole pixels."""
    if mask is not None:
        inside = mask.inside.astype(np.float32)
    else:
        width, height = case.size or (0, 0)
        inside = np.zeros((height, width), np.float32)
        for x0, y0, x1, y1 in np.rint(_scaled(case, width, height)).clip(0).astype(int):
            inside[y0:y1, x0:x1] = 1
    image = Image.fromarray(inside).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(image, np.float64)
