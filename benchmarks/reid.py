"""Re-identification of products: every method of ``jaxloc reid train`` beside plain SCDA, on a COCO file of images.

    python benchmarks/reid.py grocery_packaged

Each image has a category, a ``coarse`` kind, and a ``split``; those of the split ``iconic``, one clean image of each
product, are the gallery, and all others that were not learnt from are queries. Two protocols: ``seen`` learns from
half of the photographs of every product and the clean images; ``unseen`` from all images of half of the products, as
re-identification does. Prints the means over seeds and their standard deviations.
"""

import argparse
import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxloc import _interrupts, pooling, scda
from jaxloc.data.annotations import read_coco
from jaxloc.grids import valid_cells
from jaxloc.inference import Extractor
from jaxloc.metrics import reidentify
from jaxloc.options import ReidOptions
from jaxloc.options.option import option_of
from jaxloc.report.tables import text_table
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.frozen import FrozenMaps
from jaxloc.run.reid.fitting import fit, vectors
from jaxloc.run.reid.listing import find_identities
from jaxloc.run.reid.train import kinds_of, maps_of, numbered
from jaxloc.run.training_checkpoints import Checkpoints

METHODS = option_of(ReidOptions.__dataclass_fields__["method"]).choices


@jax.jit
def averages(features, sizes):
    """The average over each image's valid cells."""
    return jax.vmap(lambda one, size: pooling.average_pool(one, valid_cells(size, one.shape[:2])))(features, sizes)


@jax.jit
def plain(features, sizes):
    """SCDA: average and maximum of the object's cells."""
    return jax.vmap(lambda one, size: scda.descriptor(one, scda.localize(one, size, size=size).mask))(features, sizes)


def split(protocol: str, identities: np.ndarray, clean: np.ndarray, seed: int) -> np.ndarray:
    """Images that are learnt from, bool ``[n]``."""
    rng, learnt = np.random.default_rng([seed, 9]), np.zeros(len(identities), bool)
    if protocol == "unseen":
        names = np.unique(identities)
        return np.isin(identities, rng.permutation(names)[: len(names) // 2])
    for name in np.unique(identities):
        photographs = rng.permutation(np.flatnonzero((identities == name) & ~clean))
        learnt[photographs[: len(photographs) // 2]] = True
    return learnt | clean


def measure(found: np.ndarray, identities: np.ndarray, clean: np.ndarray, learnt: np.ndarray) -> list[float]:
    """mAP, R@1 and R@5 in per cent."""
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    asked = ~clean & ~learnt
    result = reidentify(found[asked] @ found[clean].T, identities[asked], identities[clean])
    return [100 * result.mean_average_precision, *(100 * result.matches)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the images, with annotations.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--layer", help="[default: the network's own for retrieval]")
    parser.add_argument("--max-side", type=int, default=224)
    parser.add_argument("--weights", default="vgg16")
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--maps", type=Path, help="folder that keeps the feature maps")
    given = parser.parse_args()
    labels = given.folder / "annotations.json"
    truth, images = read_coco(labels), find_identities([given.folder], labels=labels)
    clean = np.array(["iconic" in truth[one.source.name].splits for one in images])
    identities, kinds = numbered([one.identity for one in images])[0], kinds_of(images)
    shared = {"weights": given.weights, "layer": given.layer, "max_side": given.max_side, "steps": given.steps}
    options = ReidOptions(**shared, validation_share=0, validation_steps=given.steps)
    weights = load_weights(options, [options.layer])
    engine = Extractor(on_devices(weights, options), [options.layer or weights.backbone.defaults.retrieval])
    with tempfile.TemporaryDirectory() as temporary, _interrupts.stoppable(lambda stopped: None):
        maps, _ = maps_of(images, engine, options, given.maps or Path(temporary) / "maps")

        def learnt_by(method: str, learnt: np.ndarray, seed: int) -> np.ndarray:
            chosen = dataclasses.replace(options, method=method, seed=seed)
            seen = FrozenMaps(maps.features, np.where(learnt[:, None], maps.sizes, 0))
            with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as checkpoints:
                projection, _ = fit(seen, identities, kinds, chosen, checkpoints=checkpoints, settings={})
            return vectors(projection, maps, np.arange(len(images)))

        ways: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
            "SCDA": lambda learnt, seed: np.asarray(plain(maps.features, maps.sizes)),
            "average": lambda learnt, seed: np.asarray(averages(maps.features, maps.sizes)),
        }
        ways |= {method: functools.partial(learnt_by, method) for method in given.methods}
        rows = []
        for name, way in ways.items():
            start, row = time.perf_counter(), [name]
            for protocol in ("seen", "unseen"):
                parts = [split(protocol, identities, clean, seed) for seed in range(given.seeds)]
                each = [measure(way(part, seed), identities, clean, part) for seed, part in enumerate(parts)]
                pairs = zip(np.mean(each, 0), np.std(each, 0), strict=True)
                row += [f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in pairs]
            rows.append([*row, f"{(time.perf_counter() - start) / 2 / given.seeds:.0f}"])
            print(rows[-1], flush=True)
    names = [f"{protocol} {measure}" for protocol in ("seen", "unseen") for measure in ("mAP", "R@1", "R@5")]
    print(text_table(["method", *names, "s each"], rows))


if __name__ == "__main__":
    main()
