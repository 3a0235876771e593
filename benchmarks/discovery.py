"""Saliency and boxes of object discovery beside SCDA and DDT: cell AUC and CorLoc, in one table.

TRUTH is what ``jaxloc evaluate`` takes: an annotations.json among folders of images, or a data set such as
``cub200:FOLDER``. The AUC is that of an image's cells, positive where most of the cell is in a true box of the class; a
box is right if its IoU with one exceeds 0.5. DDT is fitted on each class, OS.EGM on all images without their classes.

    python benchmarks/discovery.py voc07_left/annotations.json pets:pets_120 ecssd:ecssd_quarter cub200:cub_first10
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxloc
from jaxloc import ddt, discovery, metrics, moments, scda
from jaxloc.data import annotations
from jaxloc.data.in_memory import InMemoryImages
from jaxloc.discovery import SETTINGS
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization

BATCH = 16
"""Images at a time."""
ROWS = {
    "SCDA": "SCDA",
    "DDT": "DDT",
    "FS": "FS.EGM, τ 0.5, ρ 1, σ 4",
    "FS, paper": "FS.EGM, paper's settings",
    "OS": "OS.EGM, τ 0.1, ρ 0.5, σ 4",
    "OS, paper": "OS.EGM, paper's settings",
}


class Example(NamedTuple):
    """One image of a class: its features, its size in pixels, and the true boxes of the class."""

    features: np.ndarray
    size: tuple[int, int]
    boxes: np.ndarray


class Padded(NamedTuple):
    """A batch of features, their valid sizes, and the images' sizes."""

    features: np.ndarray
    sizes: np.ndarray
    pixels: np.ndarray


@jax.jit
def salient(batch: Padded) -> tuple[Any, ...]:
    """Feature saliency of each image, and vectors, saliency and validity of its regions for a set's model."""

    def one(features: Any, size: Any, pixels: Any) -> tuple[Any, ...]:
        saliency = discovery.feature_saliency(features, size=size)
        regions = discovery.find_regions(saliency, size=size, setting=SETTINGS["features, paper"])
        vectors = discovery.region_vectors(features, regions.cells, valid=regions.valid)
        return saliency, vectors, discovery.region_saliency(saliency, regions.cells), regions.valid

    return jax.vmap(one)(*batch)


@functools.partial(jax.jit, static_argnames="setting")
def heaviest(saliency: Any, batch: Padded, *, setting: discovery.Setting) -> Localization:
    """The heaviest region of each image."""
    find = functools.partial(discovery.heaviest_region, setting=setting)
    return jax.vmap(lambda one, size, pixels: find(one, pixels, size=size))(saliency, batch.sizes, batch.pixels)


@jax.jit
def of_objects(model: discovery.ObjectModel, saliency: Any, batch: Padded) -> Any:
    """Object saliency of each image."""
    see = functools.partial(discovery.object_saliency, model)
    return jax.vmap(lambda x, one, size: see(x, one, size=size))(batch.features, saliency, batch.sizes)


scda_boxes = jax.jit(jax.vmap(lambda x, size, pixels: scda.localize(x, pixels, size=size)))
ddt_boxes = jax.jit(jax.vmap(lambda model, x, size, pixels: ddt.localize(model, x, pixels, size=size), (None, 0, 0, 0)))


def batches(examples: Sequence[Example], shape: tuple[int, int]) -> list[tuple[Padded, int]]:
    """Batches padded to a shape, and the number of images in each."""
    height, width = shape
    found = []
    for start in range(0, len(examples), BATCH):
        some = examples[start : start + BATCH]
        features = np.zeros((BATCH, height, width, some[0].features.shape[2]), np.float32)
        sizes, pixels = np.ones((BATCH, 2), np.int32), np.ones((BATCH, 2), np.int32)
        for place, one in enumerate(some):
            rows, columns, _ = one.features.shape
            features[place, :rows, :columns] = one.features
            sizes[place], pixels[place] = (rows, columns), one.size
        found.append((Padded(features, sizes, pixels), len(some)))
    return found


def area(response: np.ndarray, example: Example) -> float:
    """AUC of the response over the cells of one image."""
    rows, columns, _ = example.features.shape
    scale = np.tile(np.array([columns, rows]) / example.size[::-1], 2)
    y, x = np.indices((rows, columns)) + 0.5
    inside = np.zeros((rows, columns), bool)
    for x0, y0, x1, y1 in example.boxes * scale:
        inside |= (x > x0) & (x < x1) & (y > y0) & (y < y1)
    return metrics.roc_auc(response[:rows, :columns].ravel(), inside.ravel())


def regions(sets: Sequence[Sequence[Example]], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors ``[n, d]`` and saliency ``[n]`` of the regions of all images."""
    vectors, values = [], []
    for examples in sets:
        for batch, number in batches(examples, shape):
            _, some, strength, valid = jax.device_get(salient(batch))
            vectors.append(some[:number][valid[:number]])
            values.append(strength[:number][valid[:number]])
    return np.concatenate(vectors), np.concatenate(values)


def measure(
    examples: Sequence[Example], shape: tuple[int, int], objects: discovery.ObjectModel
) -> dict[str, np.ndarray]:
    """By method, AUC and whether the box is right, ``[n, 2]``, of one class."""
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in ROWS}
    every = batches(examples, shape)

    def judge(name: str, result: Localization, turn: int) -> None:
        result = jax.device_get(result)
        for place, example in enumerate(examples[turn * BATCH :][:BATCH]):
            overlap = metrics.box_iou(result.box[place], example.boxes).max() if result.found[place] else 0
            found[name].append((area(result.response[place], example), overlap > 0.5))

    sums = None
    for turn, (batch, number) in enumerate(every):
        saliency, *_ = salient(batch)
        judge("SCDA", scda_boxes(*batch), turn)
        judge("FS", heaviest(saliency, batch, setting=SETTINGS["features"]), turn)
        judge("FS, paper", heaviest(saliency, batch, setting=SETTINGS["features, paper"]), turn)
        frequent = of_objects(objects, saliency, batch)
        judge("OS", heaviest(frequent, batch, setting=SETTINGS["objects"]), turn)
        judge("OS, paper", heaviest(frequent, batch, setting=SETTINGS["objects, paper"]), turn)
        cells = valid_cells(batch.sizes, shape) & (np.arange(BATCH) < number)[:, None, None]
        more = moments.of(batch.features, cells)
        sums = more if sums is None else moments.merge(sums, more)
    model = ddt.fit(sums)
    for turn, (batch, _) in enumerate(every):
        judge("DDT", ddt_boxes(model, *batch), turn)
    return {name: np.array(values, float) for name, values in found.items()}


def main() -> None:
    """Print a table of all data sets, each figure the mean over its classes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", nargs="+")
    parser.add_argument("--network", default="vgg16", help="%(default)s")
    parser.add_argument("--max-side", type=int, default=400, help="of images, shorter side (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every N-th image of a class (%(default)s)")
    given = parser.parse_args()
    net = jaxloc.load(given.network)
    columns = {}
    for truth in given.truth:
        classes: dict[str, list[tuple[Any, np.ndarray]]] = {}
        for image in annotations.read(truth).images.values():
            for category, boxes in image.boxes.items():
                classes.setdefault(category, []).append((image.path, np.array([box[:4] for box in boxes])))
        chosen = [some[:: given.every] for some in classes.values()]
        images = InMemoryImages([path for some in chosen for path, _ in some])
        maps = iter(net.features([path for some in chosen for path, _ in some], max_side=given.max_side))
        sizes = (images.read(number).original_size for number in range(len(images)))
        sets = [[Example(next(maps), next(sizes), boxes) for _, boxes in some] for some in chosen]
        rows, width, _ = np.max([one.features.shape for examples in sets for one in examples], 0)
        shape = int(rows), int(width)
        objects = discovery.fit_objects(*regions(sets, shape))
        results = [measure(examples, shape, objects) for examples in sets]
        number = sum(len(one["SCDA"]) for one in results)
        place = Path(truth.partition(":")[2] or truth)
        title = f"{place.parent.name if place.suffix else place.name} ({number})"
        columns[title] = {name: np.mean([np.nanmean(one[name], 0) for one in results], 0) for name in ROWS}
        print(title, {name: figures.round(3).tolist() for name, figures in columns[title].items()}, file=sys.stderr)
    print("| cell AUC / CorLoc | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name, title in ROWS.items():
        figures = (column[name] for column in columns.values())
        print(f"| {title} | " + " | ".join(f"{auc:.3f} / {100 * right:.1f}" for auc, right in figures) + " |")


if __name__ == "__main__":
    main()
