"""CorLoc of DDT by sign rule, and the side of the first component that is right more often.

TRUTH is what ``jaxloc evaluate`` takes: an annotations.json among folders of images, or a data set such as
``cub200:FOLDER``. Each class is an image set; a box is right if its IoU with a true one of the class exceeds 0.5.

    python benchmarks/signs.py voc07_left/annotations.json --network vgg16 --network alexnet
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloc
from jaxloc import ddt, moments
from jaxloc.data import annotations
from jaxloc.data.in_memory import InMemoryImages
from jaxloc.grids import valid_cells
from jaxloc.metrics import box_iou
from jaxloc.signs import SIGN_RULES

localize = jax.jit(jax.vmap(lambda model, x, size, image: ddt.localize(model, x, image, size=size), (None, 0, 0, 0)))


@functools.partial(jax.jit, static_argnames="sign")
def fit(maps: jax.Array, sizes: jax.Array, *, sign: str) -> ddt.Model:
    """DDT of a set of padded maps ``[n, h, w, d]``, with the sign that a rule chooses."""
    valid = valid_cells(sizes, maps.shape[1:3])
    model = ddt.fit(moments.of(maps.reshape(-1, *maps.shape[2:]), valid.reshape(-1, maps.shape[2])), sign=sign)
    if SIGN_RULES[sign].evidence is None:
        return model
    see = jax.vmap(lambda x, size: ddt.sign_evidence(model, x, sign=sign, size=size))
    numbers, weights = (one.sum(0) for one in see(maps, sizes))
    return ddt.orient(model, numbers / jnp.maximum(weights, 1))


def corloc(model: ddt.Model, maps: Any, sizes: Any, whole: Any, boxes: Any) -> float:
    """Share of images whose box is right, in percent."""
    found = jax.device_get(localize(model, maps, sizes, whole))
    return 100 * float(np.mean([box_iou(box, true).max() > 0.5 for box, true in zip(found.box, boxes, strict=True)]))


def main() -> None:
    """Print a row for each network, layer and class, and the means."""
    rules = [name for name, rule in SIGN_RULES.items() if not rule.needs_attention and name != "none"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth")
    parser.add_argument("--network", action="append", required=True, help="NAME, or NAME:LAYER,LAYER")
    parser.add_argument("--max-side", type=int, default=800, help="of images (%(default)s)")
    arguments = parser.parse_args()
    classes: dict[str, list[tuple[Any, list[Any]]]] = {}
    for image in annotations.read(arguments.truth).images.values():
        for category, boxes in image.boxes.items():
            classes.setdefault(category, []).append((image.path, [box[:4] for box in boxes]))
    print("| network | layer | class | images | " + " | ".join(rules) + " | better side |")
    print("|---" * (len(rules) + 5) + "|")
    for network in arguments.network:
        name, _, layers = network.partition(":")
        net = jaxloc.load(name)
        wanted = layers.split(",") if layers else [net.weights.backbone.defaults.localization]
        figures: dict[str, list[list[float]]] = {layer: [] for layer in wanted}
        for category, members in sorted(classes.items()):
            paths, boxes = (list(one) for one in zip(*members, strict=True))
            images = InMemoryImages(paths)
            whole = np.array([images.read(number).original_size for number in range(len(paths))])
            alone = net.features(paths, wanted, max_side=arguments.max_side)
            for layer in wanted:
                sizes = np.array([one[layer].shape[:2] for one in alone])
                maps = np.zeros((len(alone), *sizes.max(0), alone[0][layer].shape[-1]), np.float32)
                for slot, one, (h, w) in zip(maps, alone, sizes, strict=True):
                    slot[:h, :w] = one[layer]
                data = maps, sizes, whole, boxes
                model = fit(maps, sizes, sign="none")
                both = [corloc(one, *data) for one in (model, model._replace(components=-model.components))]
                row = [*(corloc(fit(maps, sizes, sign=sign), *data) for sign in rules), max(both)]
                figures[layer].append(row)
                print(f"| {name} | {layer} | {category} | {len(paths)} |", *(f"{x:.1f} |" for x in row), flush=True)
        for layer, rows in figures.items():
            print(f"| {name} | {layer} | mean | |", *(f"{x:.1f} |" for x in np.mean(rows, 0)), flush=True)


if __name__ == "__main__":
    main()
