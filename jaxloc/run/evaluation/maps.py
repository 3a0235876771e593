"""Measures of score maps, which need no threshold: MaxBoxAcc, PxAP and saliency precision."""

import os
from collections.abc import Iterable, Mapping, Sequence
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
    saliency_precision,
)
from jaxloc.report import parquet
from jaxloc.run.evaluation.columns import Column
from jaxloc.run.evaluation.masks import true_mask
from jaxloc.run.evaluation.matching import Case
from jaxloc.run.evaluation.results import Note
from jaxloc.run.outputs import PARTS

_OVERLAPS = (0.3, 0.5, 0.7)


def read_maps(out: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Heat maps by name of the image, from the folder that a job wrote.

    Returns:
        int8 ``[h, w]`` each, positive where there is object.

    Raises:
        UsageError: the folder holds none.
    """
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
    constant one localises nothing. Saliency is the part of the unscaled map above 0. An image that the predictions lack
    counts as not localised; a predicted image without a map is left out and named.
    """
    first, second, pixels, inside = (_lists(cases) for _ in range(4))
    no_map: dict[str, None] = {}
    no_size: dict[str, None] = {}
    silent: dict[str, None] = {}
    damaged: dict[str, None] = {}
    any_mask = False
    for category, some in cases.items():
        for case in some:
            if not case.objects:
                continue
            name = case.truth.name
            if case.prediction is None:
                first[category].append(np.zeros(len(MAP_THRESHOLDS)))
                second[category].append(np.zeros(len(MAP_THRESHOLDS)))
            elif name not in maps:
                no_map[name] = None
            elif case.size is None:
                no_size[name] = None
            else:
                score_map = _stretched(maps[name])
                overlaps = box_overlaps(score_map, _scaled(case, MAP_SIDE, MAP_SIDE))
                first[category].append(overlaps.largest)
                second[category].append(overlaps.every)
                try:
                    mask = true_mask(case)
                except ValueError:
                    mask = None
                    damaged[name] = None
                if mask is not None:
                    any_mask = True
                    known = None if mask.known is None else _nearest(mask.known)
                    pixels[category].append(pixel_counts(score_map, _nearest(mask.inside), known=known))
                precision = saliency_precision(np.clip(maps[name], 0, None), _cover(case, mask, maps[name].shape))
                if np.isnan(precision):
                    silent[name] = None
                else:
                    inside[category].append(precision)
    why = "no image that counts has a score map"
    columns = [
        Column("MaxBoxAcc", _arrays(first), max_box_accuracy, reason=why),
        Column("MaxBoxAccV2", _arrays(second), _second_version, reason=why),
        Column("PxAP", _arrays(pixels), _pixel_precision, reason=why if any_mask else "the ground truth has no masks"),
        Column("saliency precision", _arrays(inside), reason=why),
    ]
    notes = [
        Note("no map", "Images without a score map, left out of its measures", tuple(no_map)),
        Note("no size", "Images whose size nobody says, left out of score maps' measures", tuple(no_size)),
        Note("no saliency", "Images whose map has no saliency, left out of saliency precision", tuple(silent)),
    ]
    text = "Images whose true masks are damaged or of another size, measured by their boxes and left out of PxAP"
    notes.append(Note("mask sizes", text, tuple(damaged)))
    return columns, [note for note in notes if note.names]


def _lists(cases: Iterable[str]) -> dict[str, list[Any]]:
    return {category: [] for category in cases}


def _second_version(overlaps: np.ndarray) -> float:
    return max_box_accuracy(overlaps, ious=_OVERLAPS)


def _pixel_precision(values: np.ndarray) -> float:
    return pixel_average_precision(values.sum(0))


def _arrays(values: Mapping[str, list[Any]]) -> dict[str, np.ndarray]:
    return {category: np.array(some) for category, some in values.items()}


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
