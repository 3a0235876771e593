"""CorLoc of ddt-spread and of what it is made of, beside DDT and DDT+; its seconds and peak memory beside DDT+'s.

TRUTH is what ``jaxloc evaluate`` takes: an annotations.json among folders of images, or a data set such as
``cub200:FOLDER``. Each class is an image set; a box is right if its IoU with a true one of the class exceeds 0.5, and
figures are means over the classes. The features of a set are computed once for all rows. With --time FOLDER the command
runs by each method on that folder, in turns and in processes of its own.

    python benchmarks/spreading.py voc07_left/annotations.json pets:pets_120 --time voc07_left/bus
"""

import argparse
import functools
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import peers

import jaxloc
from jaxloc import ddt, moments, spreading
from jaxloc.data import annotations
from jaxloc.data.in_memory import InMemoryImages
from jaxloc.grids import valid_cells
from jaxloc.metrics import correct_localization

SHARES = (0.3, 0.4, 0.5, 0.6)
ROWS: dict[str, tuple[bool, bool, float, tuple[float, ...]]] = {
    "both layers": (False, False, np.inf, (0,)),
    "square roots": (True, False, np.inf, (0,)),
    "square roots, threshold": (True, False, np.inf, (0.4,)),
    "square roots, spread": (True, True, np.inf, (0,)),
    "spread, threshold": (False, True, np.inf, (0.4,)),
    "square roots, spread, threshold": (True, True, np.inf, (0.4,)),
    "square roots, limit, spread, threshold": (True, True, 1, (0.4,)),
    "square roots, spread, four thresholds": (True, True, np.inf, SHARES),
    "ddt-spread: all": (True, True, 1, SHARES),
}
"""Of each row: whether it takes square roots, whether it spreads, its indicator's limit, its shares of the strength."""


@functools.partial(jax.jit, static_argnames="roots")
def fit(upper: jax.Array, lower: jax.Array, sizes: jax.Array, *, roots: bool) -> tuple[ddt.Model, ddt.Model]:
    """DDT of both layers of a set's padded maps ``[n, h, w, d]``."""
    maps = [jnp.sqrt(x) if roots else x for x in (upper, lower)]
    valid = valid_cells(sizes, upper.shape[1:3])
    model, below = (ddt.fit(moments.of(x, valid)) for x in maps)
    return model, ddt.agree(below, model, moments.of(maps[0], valid, below=maps[1]))


@functools.partial(jax.jit, static_argnames=("roots", "spreads", "shares"))
def find(
    models: tuple[ddt.Model, ddt.Model],
    *maps: jax.Array,
    roots: bool,
    spreads: bool,
    limit: float,
    shares: tuple[float, ...],
) -> jax.Array:
    """Boxes of a set, float32 ``[n, 4]``."""

    def one(upper: jax.Array, lower: jax.Array, size: jax.Array, whole: jax.Array) -> jax.Array:
        layers = [jnp.sqrt(x) if roots else x for x in (upper, lower)]
        values = sum(ddt.standard_maps(model, x)[0] for model, x in zip(models, layers, strict=True)) / 2
        values = jnp.clip(values, -limit, limit)
        if spreads:
            values = spreading.spread(values, layers[1], models[1].mean, size=size)
        return spreading.localize(values, whole, shares=shares, size=size).box

    return jax.vmap(one)(*maps)


@functools.partial(jax.jit, static_argnames="plus")
def paper(models: tuple[ddt.Model, ddt.Model], *maps: jax.Array, plus: bool) -> jax.Array:
    """Boxes of a set by DDT or DDT+, float32 ``[n, 4]``."""

    def one(upper: jax.Array, lower: jax.Array, size: jax.Array, whole: jax.Array) -> jax.Array:
        second: dict[str, Any] = {"below": models[1], "features_below": lower} if plus else {}
        return ddt.localize(models[0], upper, whole, size=size, **second).box

    return jax.vmap(one)(*maps)


def measure(truth: str, net: Any, side: int, every: int) -> Iterator[dict[str, float]]:
    """CorLoc by row, in per cent, of each class in turn."""
    classes: dict[str, list[tuple[Any, list[Any]]]] = {}
    for image in annotations.read(truth).images.values():
        for category, boxes in image.boxes.items():
            classes.setdefault(category, []).append((image.path, [box[:4] for box in boxes]))
    for _, members in sorted(classes.items()):
        members = members[::every]
        paths = [path for path, _ in members]
        images = InMemoryImages(paths)
        whole = np.array([images.read(number).original_size for number in range(len(paths))])
        alone = net.features(paths, ["relu5_3", "relu5_2"], max_side=side)
        sizes = np.array([one["relu5_3"].shape[:2] for one in alone])
        padded = [np.zeros((len(alone), *sizes.max(0), 512), np.float32) for _ in range(2)]
        for number, one in enumerate(alone):
            for maps, features in zip(padded, one.values(), strict=True):
                maps[number, : sizes[number, 0], : sizes[number, 1]] = features
        models = {roots: fit(*padded, sizes, roots=roots) for roots in (False, True)}
        data = *padded, sizes, whole
        found = {name: paper(models[False], *data, plus=name == "DDT+") for name in ("DDT", "DDT+")}
        for name, (roots, spreads, limit, shares) in ROWS.items():
            found[name] = find(models[roots], *data, roots=roots, spreads=spreads, limit=limit, shares=shares)
        true = [boxes for _, boxes in members]
        yield {
            name: 100 * float(np.mean(list(map(correct_localization, boxes, true))))
            for name, boxes in jax.device_get(found).items()
        }


def time_both(folder: Path, repeats: int) -> None:
    """Print the command's seconds and peak memory by ddt-spread as ratios to DDT+'s."""
    runs: dict[str, list[peers.Run]] = {"ddt+": [], "ddt-spread": []}
    for _ in range(1 + repeats):  # the first compiles
        for method, done in runs.items():
            with tempfile.TemporaryDirectory() as out:
                command = ["colocalize", str(folder), "--method", method, "--out", f"{out}/result"]
                done.append(peers.run([sys.executable, "-m", "jaxloc", *command]))
    seconds, processor, peak = (
        {method: statistics.median(getattr(one, field) for one in done[1:]) for method, done in runs.items()}
        for field in ("seconds", "processor_seconds", "peak_mb")
    )
    for method in runs:
        print(f"{method:10} {seconds[method]:6.1f} s, {processor[method]:6.1f} s of processors, {peak[method]:5.0f} MB")
    ratios = (one["ddt-spread"] / one["ddt+"] for one in (seconds, processor, peak))
    print("ddt-spread / ddt+: {:.2f} of seconds, {:.2f} of processor seconds, {:.2f} of memory".format(*ratios))


def main() -> None:
    """Print the table as Markdown, and the times if asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", nargs="*", metavar="TRUTH")
    parser.add_argument("--max-side", type=int, default=800, help="of images (%(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th image of a class")
    parser.add_argument("--time", type=Path, metavar="FOLDER", help="also time both methods on this folder of images")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each method (%(default)s)")
    arguments = parser.parse_args()
    net = jaxloc.load("vgg16")
    columns = {truth: list(measure(truth, net, arguments.max_side, arguments.every)) for truth in arguments.truth}
    if columns:
        print("| | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for name in ("DDT", "DDT+", *ROWS):
            print(f"| {name} |", *(f"{np.mean([one[name] for one in each]):.1f} |" for each in columns.values()))
    if arguments.time:
        time_both(arguments.time, arguments.repeats)


if __name__ == "__main__":
    main()
