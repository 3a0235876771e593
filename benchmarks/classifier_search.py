"""Boxes of methods that ask a classifier, no label given: CorLoc, passes and seconds an image, in one table.

Each DATA is what ``jaxloc evaluate`` takes as truth: a folder with ``annotations.json`` (COCO) beside its images, or a
data set such as ``pets:FOLDER``. A box is right if its IoU with any box of its image is at least 0.5. EISS and beam
search are measured on a sample of ``--searched`` images of each, the other methods on all.

Seconds are of this machine, of ``--timed`` images of 375 × 500 pixels at once, without compilation. OpenVINO's are of
as many passes of EfficientNet-Lite0 in float32, one image of 224 pixels at a time, with the same weights.

    python benchmarks/classifier_search.py PHOTOS pets:PETS ecssd:ECSSD --searched 12
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import jaxloc
from jaxloc import cam, localization, models
from jaxloc.data.annotations import read
from jaxloc.metrics import box_iou
from jaxloc.models.asking import classifier

Boxes = Sequence[tuple[float, ...] | None]
WEIGHTS = "efficientnet-lite0"
SEARCHES = {
    "CAM, two sizes, spread (`cam`)": {"method": "cam"},
    "beam 8 × 10 (`beam`)": {"method": "beam"},
    "EISS, random 16": {"method": "eiss", "windows": "random:16"},
    "EISS, grid 5 (`eiss`)": {"method": "eiss"},
}
SAMPLED = ("beam", "eiss")


class Photos(NamedTuple):
    """A data set: its images, and the true boxes of each ``[n, 4]``."""

    name: str
    paths: list[Path]
    truth: list[np.ndarray]

    def corloc(self, boxes: Boxes) -> float:
        """Percentage of boxes that meet one of their image's."""
        right = [
            box is not None and box_iou(box, true).max() >= 0.5 for box, true in zip(boxes, self.truth, strict=True)
        ]
        return 100 * float(np.mean(right))

    def sample(self, number: int, seed: int) -> "Photos":
        """A part of them, drawn at random."""
        chosen = sorted(random.Random(seed).sample(range(len(self.paths)), min(number, len(self.paths))))
        return Photos(self.name, [self.paths[n] for n in chosen], [self.truth[n] for n in chosen])


def photos(data: str) -> Photos:
    """The images of a data set that have a box."""
    known = [one for _, one in sorted(read(data).images.items()) if one.annotations]
    places = [one.path if isinstance(one.path, Path) else Path(data, one.name) for one in known]
    boxes = [np.array([each.box for each in one.annotations], np.float64) for one in known]
    return Photos(data.partition(":")[0] if ":" in data else Path(data).name, places, boxes)


def middle(share: float) -> Callable[[Path], tuple[float, ...]]:
    """A box in the middle of an image, of a share of its sides."""

    def box(path: Path) -> tuple[float, ...]:
        with Image.open(path) as image:
            return tuple(side * (1 + sign * share) / 2 for sign in (-1, 1) for side in image.size)

    return box


def plain_cam(side: int, threshold: float) -> Callable[[Sequence[Any]], Boxes]:
    """Boxes by the class map of the most probable class at one size, with one threshold for all images."""
    loaded = models.load(WEIGHTS, top=True)
    backbone = loaded.backbone

    @jax.jit
    def find(params: Any, pixels: jax.Array, size: jax.Array) -> jax.Array:
        asked = classifier(params, backbone=backbone)
        maps = asked.map_of(pixels[None])[0]
        label = asked.of_map(maps, None).argmax()
        cells = cam.activation_map(maps, asked.kernel[:, label]) + asked.bias[label]
        return localization.of_peak(cells, size, threshold=threshold).box

    params = models.prepare(loaded.params, backbone)

    def boxes(images: Sequence[Any]) -> Boxes:
        found = []
        for one in images:
            image = Image.fromarray(one) if isinstance(one, np.ndarray) else Image.open(one).convert("RGB")
            square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
            found.append(tuple(np.asarray(find(params, square, jnp.array(image.size[::-1]))).tolist()))
        return found

    return boxes


def openvino_pass() -> float:
    """Seconds of one pass of the network by OpenVINO, built of the same weights."""
    import openvino
    from openvino import opset13 as ops

    params = jax.tree.map(np.asarray, models.load(WEIGHTS, top=True).params)
    network = models.BACKBONES[WEIGHTS].module

    def convolve(x: Any, name: str, stride: int, *, alone: bool = False) -> Any:
        kernel = params[name]["kernel"].transpose(3, 2, 0, 1)
        strides = (
            np.array([stride] * 2),
            np.zeros(2, np.int64),
            np.zeros(2, np.int64),
            np.ones(2, np.int64),
            "same_upper",
        )
        if alone:
            x = ops.group_convolution(x, ops.constant(kernel[:, None]), *strides)
        else:
            x = ops.convolution(x, ops.constant(kernel), *strides)
        return ops.add(x, ops.constant(params[name]["bias"].reshape(1, -1, 1, 1)))

    image = ops.parameter([1, 3, 224, 224], np.float32)
    x = ops.clamp(convolve(image, "stem", 2), 0, 6)
    channels = network.stem
    for number, block in enumerate(network.blocks):
        name, before = f"block{number}", x
        if block.expansion != 1:
            x = ops.clamp(convolve(x, f"{name}.expand", 1), 0, 6)
        x = ops.clamp(convolve(x, f"{name}.depthwise", block.stride, alone=True), 0, 6)
        x = convolve(x, f"{name}.project", 1)
        if block.stride == 1 and block.width == channels:
            x = ops.add(x, before)
        channels = block.width
    x = ops.reduce_mean(ops.clamp(convolve(x, "conv_head", 1), 0, 6), np.array([2, 3]), True)
    model = openvino.Model([convolve(x, "classifier", 1)], [image])
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    pixels = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    found = np.array(next(iter(request.infer([pixels.transpose(0, 3, 1, 2) * 2 - 1]).values()))).ravel()
    ours = models.extract_features(
        params, (pixels * 256 - 1) / 255, backbone=models.BACKBONES[WEIGHTS], layers=("classifier",)
    )
    np.testing.assert_allclose(found, np.asarray(ours["classifier"].features).ravel(), atol=1e-3)
    began = time.perf_counter()
    for _ in range(100):
        request.infer()
    return (time.perf_counter() - began) / 100


def main() -> None:
    """Measure each method, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--searched", type=int, default=12, help="images of EISS and beam search (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides which (%(default)s)")
    parser.add_argument("--timed", type=int, default=3, help="images that are timed together (%(default)s)")
    given = parser.parse_args()
    sets = [photos(data) for data in given.data]
    with Image.open(sets[0].paths[0]) as image:
        timed = [np.asarray(image.convert("RGB").resize((500, 375)))] * given.timed
    peer = openvino_pass()
    names = [f"{one.name} ({len(one.paths)})" for one in sets]
    print(f"{WEIGHTS}; EISS and beam search: {given.searched} images of each, seed {given.seed}\n")
    print(f"| | {' | '.join(names)} | passes | seconds an image | OpenVINO, as many passes |")
    print("|---" * (len(sets) + 4) + "|", flush=True)

    def row(name: str, figures: Sequence[float], passes: float = 0, seconds: float = 0) -> None:
        cells = [f"{figure:.1f}" for figure in figures] + ([f"{passes:.0f}"] if passes else [""])
        cells += [f"{seconds:.2f}", f"{passes * peer:.2f}"] if passes else ["", ""]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    def seconds_of(find: Callable[[Sequence[Any]], Any]) -> float:
        find(timed)
        began = time.perf_counter()
        find(timed)
        return (time.perf_counter() - began) / len(timed)

    for name, share in (("whole image", 1.0), ("middle box, 0.8 of the sides", 0.8)):
        row(name, [one.corloc(list(map(middle(share), one.paths))) for one in sets])
    for side, threshold in ((224, 0.4), (448, 0.3)):
        find = plain_cam(side, threshold)
        figures = [one.corloc(find(one.paths)) for one in sets]
        row(f"CAM at {side}, threshold {threshold}", figures, (side / 224) ** 2, seconds_of(find))
    for name, options in SEARCHES.items():
        net = jaxloc.load(WEIGHTS, top=True)

        def search(images: Sequence[Any], net: Any = net, options: Any = options) -> Any:
            return jaxloc.localize(images, net, progress=False, **options)

        chosen = [one.sample(given.searched, given.seed) if options["method"] in SAMPLED else one for one in sets]
        found = [search(one.paths) for one in chosen]
        passes = statistics.mean(one.passes for some in found for one in some)
        figures = [one.corloc([each.box for each in some]) for one, some in zip(chosen, found, strict=True)]
        row(name, figures, passes, seconds_of(search))
    net = jaxloc.load("vgg16")
    figures = [one.corloc([each.box for each in jaxloc.localize(one.paths, net, progress=False)]) for one in sets]
    row("SCDA, VGG-16", figures)


if __name__ == "__main__":
    main()
