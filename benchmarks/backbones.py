"""CorLoc of localisation methods on layers of several networks and over several data sets, in one table.

TRUTH is what ``jaxloc evaluate`` takes: an annotations.json among folders of images, or a data set such as
``cub200:FOLDER``. Each class is one image set; a box is right if its IoU with a true one of the class exceeds 0.5, and
a data set's figure is the mean of its classes. All methods and layers of a network share its passes over the images.

    python benchmarks/backbones.py VOC/annotations.json ecssd:ECSSD --network vgg16 --network alexnet:relu5,relu4
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxloc
from jaxloc.api.batches import ImageBatches
from jaxloc.data import Batch, annotations
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.data.datasets import is_spec
from jaxloc.data.datasets.records import set_names
from jaxloc.errors import UsageError
from jaxloc.inference import Extractor, Maps
from jaxloc.localizers import METHODS
from jaxloc.options import LocalizeOptions
from jaxloc.run.evaluation import evaluate
from jaxloc.run.moment_store import MomentStore
from jaxloc.run.steps import Steps
from jaxloc.signs import SIGN_RULES

Truth = Mapping[str, Annotated]


def title(truth: str) -> str:
    """What a column is called: the data set, or the folder of the file."""
    place = Path(truth)
    return truth.partition(":")[0] if is_spec(truth) else (place if place.is_dir() else place.parent).resolve().name


def candidates(
    net: jaxloc.api.Network, layers: Sequence[str], methods: Sequence[str], signs: Sequence[str], side: int
) -> Iterator[Steps]:
    """What to run on a network, without what its layers do not allow."""
    for layer in layers:
        for method in methods:
            for sign in signs if METHODS[method].fit else [None]:
                try:
                    yield Steps(LocalizeOptions(method=method, layer=layer, sign=sign, max_side=side), net.loaded)
                except UsageError as error:
                    print(f"left out: {method} on {layer}: {error}")


def corloc(net: jaxloc.api.Network, truth: Truth, wanted: Sequence[Steps], side: int) -> list[float]:
    """Mean CorLoc over the classes, in percent, of each of ``wanted``."""
    members = [(image, category) for image in truth.values() for category in set_names(image)]
    numbers = {category: number for number, category in enumerate(sorted({category for _, category in members}))}
    owners = np.array([numbers[category] for _, category in members])
    layers = list(dict.fromkeys(layer for steps in wanted for layer in steps.computed))
    batches = ImageBatches([image.path for image, _ in members], Extractor(net.loaded, layers), max_side=side)

    def features(purpose: str, some: Sequence[Steps]) -> Iterator[tuple[Steps, Batch, Maps, np.ndarray]]:
        """For each batch and each of ``some``, its layers of the batch, and the set of each entry: -1 for none."""
        for _, batch, maps in batches.features(purpose) if some else ():
            of = np.where(batch.indices < 0, -1, owners[batch.indices])
            for steps in some:
                yield steps, batch, steps.descriptors({layer: maps[layer] for layer in steps.computed}), of

    sums = {steps: MomentStore(steps.sums) for steps in wanted if steps.method.fit}
    for steps, _, maps, of in features("fitting", list(sums)):
        sums[steps].add_rows(*steps.moments(maps, of))
    fits = {steps: [steps.fit(store.moments(one)) for one in numbers.values()] for steps, store in sums.items()}

    def models(steps: Steps, of: np.ndarray) -> list[Any]:
        return [None if one < 0 or steps not in fits else fits[steps][one].models for one in of]

    turning = [steps for steps in fits if steps.needs_evidence]
    seen = {steps: [{layer: np.zeros(2) for layer in steps.layers} for _ in numbers] for steps in turning}
    for steps, _, maps, of in features("choosing the sign", turning):
        for layer, rows in steps.sign_evidence(models(steps, of), maps).items():
            for one, row in zip(of[of >= 0], rows[of >= 0], strict=True):
                seen[steps][one][layer] += row
    fits |= {steps: [steps.orient(*pair) for pair in zip(fits[steps], seen[steps], strict=True)] for steps in turning}

    predictions: dict[Steps, dict[str, Annotated]] = {steps: {} for steps in wanted}
    for steps, batch, maps, of in features("localizing", wanted):
        found, _ = steps.localize(models(steps, of), maps, batch.original_sizes, batch.images, batch.sizes)
        for number, box, there in zip(batch.indices, *jax.device_get((found.box, found.found)), strict=True):
            if number >= 0 and there:
                image, category = members[number]
                before = predictions[steps].get(image.name, Annotated(image.name)).annotations
                boxes = (*before, Annotation(category, tuple(box.tolist())))
                predictions[steps][image.name] = Annotated(image.name, annotations=boxes)
    return [evaluate(predictions[steps], truth).mean["CorLoc"].value for steps in wanted]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", nargs="+", metavar="TRUTH")
    parser.add_argument("--network", action="append", required=True, help="NAME, or NAME:LAYER,LAYER")
    parser.add_argument("--method", action="append", choices=METHODS, help="scda, ddt and ddt+ by default")
    parser.add_argument("--sign", action="append", choices=SIGN_RULES, help="the network's own by default")
    parser.add_argument("--every", type=int, default=1, help="take every N-th image (%(default)s)")
    parser.add_argument("--max-side", type=int, default=800, help="of images (%(default)s)")
    arguments = parser.parse_args()
    sets = {}
    for truth in arguments.truth:
        images = annotations.read(truth).images
        sets[title(truth)] = {name: images[name] for name in list(images)[:: arguments.every]}
    print("| network | layer | method | sign | " + " | ".join(sets) + " | mean |")
    print("|---" * (len(sets) + 5) + "|")
    for network in arguments.network:
        name, _, layers = network.partition(":")
        net = jaxloc.load(name)
        asked = layers.split(",") if layers else [net.weights.backbone.defaults.localization]
        methods = arguments.method or ["scda", "ddt", "ddt+"]
        wanted = list(candidates(net, asked, methods, arguments.sign or [None], arguments.max_side))
        columns = [corloc(net, truth, wanted, arguments.max_side) for truth in sets.values()]
        for steps, figures in zip(wanted, zip(*columns, strict=True), strict=True):
            cells = " | ".join(f"{figure:.1f}" for figure in (*figures, np.mean(figures)))
            sign = steps.sign if steps.method.fit else ""
            print(f"| {name} | {steps.layers[0]} | {steps.method.name} | {sign} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
