"""Retrieval by regions beside MAC and R-MAC: mAP of ranking by cosine, by best matches, and by diffusion, in one table.

PHOTOS holds a folder of images for each kind. Each image queries the rest. Object saliency is fitted on the set, and so
is PCA, which halves and whitens half (0.5). Supervised whitening is fitted on every other kind and measured on the
remaining ones, both ways round.

    python benchmarks/region_retrieval.py flowers17_small grocery_packaged
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloc
from jaxloc import discovery, metrics, pooling, ranking, rmac, whitening
from jaxloc.discovery import SETTINGS
from jaxloc.grids import valid_cells

BATCH = 16
ROWS = ("MAC", "R-MAC", "FS.EGM", "OS.EGM", "OS.EGM-Δ")
FLOORS = (1e-6, 0.001, 0.01, 0.03, 0.1)


@jax.jit
def plain(features: Any, sizes: Any) -> dict[str, Any]:
    """MAC, R-MAC and feature saliency's regions of a batch; vectors, saliency and validity of the set's regions."""

    def one(x: Any, size: Any) -> dict[str, Any]:
        saliency = discovery.feature_saliency(x, size=size)
        found = discovery.find_regions(saliency, size=size, setting=SETTINGS["features, paper"])
        return {
            "MAC": pooling.l2_normalize(pooling.max_pool(x, valid_cells(size, x.shape[:2]))),
            "R-MAC": rmac.descriptor(x, size=size),
            "FS.EGM": discovery.image_regions(x, found, size=size),
            "vectors": discovery.region_vectors(x, found.cells),
            "saliency": discovery.region_saliency(saliency, found.cells),
            "valid": found.valid,
        }

    return jax.vmap(one)(features, sizes)


@jax.jit
def objects(model: discovery.ObjectModel, features: Any, sizes: Any) -> dict[str, Any]:
    """Object saliency's regions of a batch."""

    def one(x: Any, size: Any) -> dict[str, Any]:
        saliency = discovery.object_saliency(model, x, discovery.feature_saliency(x, size=size), size=size)
        found = discovery.find_regions(saliency, size=size, setting=SETTINGS["objects, paper"])
        inner = discovery.inner_regions(found)
        return {
            "OS.EGM": discovery.image_regions(x, found, size=size),
            "OS.EGM-Δ": discovery.image_regions(x, inner, size=size),
        }

    return jax.vmap(one)(features, sizes)


def described(maps: list[np.ndarray]) -> dict[str, Any]:
    """Vectors by descriptor, ``[n, d]``, or vectors and weights of regions."""
    sizes = np.array([x.shape[:2] for x in maps], np.int32)
    rows, columns = sizes.max(0)
    padded = np.zeros((-(-len(maps) // BATCH) * BATCH, rows, columns, maps[0].shape[2]), np.float32)
    for slot, x in zip(padded, maps, strict=False):
        slot[: x.shape[0], : x.shape[1]] = x
    sizes = np.pad(sizes, ((0, len(padded) - len(maps)), (0, 0)), constant_values=1)
    some = [slice(start, start + BATCH) for start in range(0, len(padded), BATCH)]

    def collect(function: Callable[..., Any], *model: Any) -> Any:
        parts = [jax.device_get(function(*model, padded[here], sizes[here])) for here in some]
        return jax.tree.map(lambda *each: np.concatenate(each)[: len(maps)], *parts)

    found = collect(plain)
    vectors, saliency, valid = (found.pop(name) for name in ("vectors", "saliency", "valid"))
    model = discovery.fit_objects(vectors[valid], saliency[valid])
    found |= collect(objects, model)
    return {name: compact(found[name]) if isinstance(found[name], tuple) else found[name] for name in ROWS}


def compact(regions: discovery.WeightedVectors) -> discovery.WeightedVectors:
    """As many slots as the image of the most regions needs."""
    order = np.argsort(regions.weights <= 0, 1, kind="stable")[:, : (regions.weights > 0).sum(1).max()]
    vectors = np.take_along_axis(regions.vectors, order[..., None], 1)
    return discovery.WeightedVectors(vectors, np.take_along_axis(regions.weights, order, 1))


def mean_precision(scores: np.ndarray, kinds: np.ndarray) -> float:
    """Mean average precision of each row's ranking of the others, per cent."""
    ranks = np.argsort(-scores, 1, kind="stable")
    own = np.arange(len(kinds))[:, None]
    relevant = (kinds[ranks] == kinds[:, None]) & (ranks != own)
    every = metrics.average_precision(relevant, np.take_along_axis(scores, ranks, 1), keep=ranks != own)
    return 100 * float(np.nanmean(every))


def diffused(vectors: np.ndarray, k: int) -> np.ndarray:
    """Scores of diffusion, ``[n, n]``."""
    found = ranking.top_k(vectors, vectors, k=len(vectors))
    result = ranking.diffuse(found, ranking.neighbor_graph(vectors, k=k), neighbors=10).found
    scores = np.zeros((len(vectors), len(vectors)))
    np.put_along_axis(scores, np.asarray(result.indices), np.asarray(result.scores), 1)
    return scores


def matched(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """R-Match: the best match of each of an image's regions among another's, summed, ``[n, n]``."""
    valid = weights > 0

    def one(query: Any, used: Any) -> Any:
        cosines = jnp.einsum("qd,nrd->nqr", query, vectors)
        return jnp.where(used, jnp.where(valid[:, None], cosines, -1).max(-1), 0).sum(-1)

    return np.asarray(jax.jit(lambda q, u: jax.lax.map(lambda pair: one(*pair), (q, u)))(vectors, valid))


def whitened(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Half-whitened by PCA of the rows that are not zero."""
    rows = vectors.reshape(-1, vectors.shape[-1])
    spectrum = whitening.spectrum_of_samples(rows[rows.any(1)], centred=True)
    return np.asarray(whitening.apply(whitening.fit(spectrum, dimension=dimension, power=0.5), vectors))


def supervised(vectors: np.ndarray, kinds: np.ndarray, floor: float, dimension: int) -> float:
    """MAP of the kinds that a supervised whitening was not fitted on, averaged over both halves."""
    even = np.isin(kinds, np.unique(kinds)[::2])
    figures = []
    for fitted in (even, ~even):
        pairs = whitening.pairs_of_samples(vectors[fitted], np.unique(kinds[fitted], return_inverse=True)[1])
        learnt = whitening.fit_supervised(pairs, dimension=dimension, floor=floor)
        apart = np.asarray(whitening.apply(learnt, vectors[~fitted]))
        figures.append(mean_precision(apart @ apart.T, kinds[~fitted]))
    return float(np.mean(figures))


def measure(maps: list[np.ndarray], kinds: np.ndarray, dimension: int) -> dict[str, list[float]]:
    """Rows of the table."""
    counts = np.unique(kinds, return_counts=True)[1]
    k = max(1, round((float(np.median(counts)) - 1) / 4))
    table = {}
    for name, found in described(maps).items():
        regions = found if isinstance(found, tuple) else None
        vectors = np.asarray(found if regions is None else jax.vmap(discovery.descriptor)(regions))
        half = whitened(vectors, dimension)
        scores = [vectors @ vectors.T, half @ half.T, diffused(vectors, k), diffused(half, k)]
        if regions is not None:
            scores += [matched(*regions), matched(whitened(regions.vectors, dimension), regions.weights)]
        table[name] = [mean_precision(one, kinds) for one in scores]
        print(name, np.round(table[name], 1).tolist(), file=sys.stderr)
        if name in ("R-MAC", "FS.EGM"):
            learnt = [supervised(vectors, kinds, floor, dimension) for floor in FLOORS]
            print(f"{name}, supervised whitening with floors {FLOORS}: {np.round(learnt, 1).tolist()}", flush=True)
    return table


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--max-side", type=int, default=224, help="of images, shorter side (%(default)s)")
    parser.add_argument("--dimension", type=int, default=32, help="after whitening (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every N-th kind (%(default)s)")
    given = parser.parse_args()
    net = jaxloc.load("vgg16")
    for folder in given.photos:
        kinds = sorted(path for path in folder.iterdir() if path.is_dir())[:: given.every]
        paths = [path for kind in kinds for path in sorted(kind.glob("*.jpg"))]
        maps = net.features(paths, max_side=given.max_side, progress=False)
        table = measure(maps, np.array([path.parent.name for path in paths]), given.dimension)
        print(f"\n{folder.name}, {len(paths)} images of {len(kinds)} kinds\n")
        headings = ("mAP", "cosine", "whitened", "diffusion", "both", "R-Match", "R-Match, whitened")
        print("| " + " | ".join(headings) + " |\n" + "|---" * len(headings) + "|")
        for name, row in table.items():
            print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in [*row]) + " |" + " |" * (6 - len(row)))


if __name__ == "__main__":
    main()
