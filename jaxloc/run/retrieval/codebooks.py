"""What VLAD, Fisher vectors and whitened regions must know first: fitted on a sample of descriptors, and kept."""

import hashlib
import heapq
from collections.abc import Collection, Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import moments, rmac, whitening
from jaxloc.clustering import KMeans, fit_kmeans
from jaxloc.components import Backend
from jaxloc.errors import UsageError
from jaxloc.mixture import GaussianMixture, fit_gaussian_mixture
from jaxloc.models import FeatureMap
from jaxloc.options import DescribeOptions
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.retrieval import arrays_file
from jaxloc.run.retrieval.describing import object_masks
from jaxloc.run.retrieval.descriptors import Codebooks, Needs

IMAGES = 1000
"""Codebooks are fitted on so many images at most: two clusters do not need more."""

_SAMPLE = 1 << 16
_FORMAT = "jaxloc-codebooks-1"
_REGIONS = "regions/mean", "regions/projection"


def choose_images(names: Collection[str], *, seed: int, limit: int = IMAGES) -> set[str]:
    """Images to fit codebooks on: pseudo-random, the same whatever order they come in.

    Args:
        names: of all images.
        seed: decides which.
        limit: how many at most.
    """
    return set(heapq.nsmallest(limit, names, key=lambda name: _digest(seed, name)))


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0".encode() + name.encode()).digest()


class CodebookFitter:
    """Takes feature maps batch by batch, and fits.

    Of all selected descriptors a uniform sample is kept, by a number drawn from the image's name and the seed, so
    neither the order of the images nor the batches they come in change it.

    Args:
        needs: which codebooks to fit.
        options: the job's.
        backend: where components are labelled.
    """

    def __init__(self, needs: Collection[Needs], options: DescribeOptions, backend: Backend) -> None:
        self._needs = set(needs)
        self._backend = backend
        self._options = options
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._regions: moments.Moments | None = None

    def add(self, names: Iterable[str | None], feature_map: FeatureMap) -> None:
        """Take one batch.

        Args:
            names: of each image; ``None`` for entries that only fill the batch.
            feature_map: of the layer whose descriptors are selected.
        """
        names = list(names)
        if "regions" in self._needs:
            self._add_regions([name is not None for name in names], feature_map)
        if self._needs <= {"regions"}:
            return
        options = self._options
        masks = np.asarray(object_masks(feature_map, connectivity=options.connectivity, backend=self._backend))
        features = np.asarray(feature_map.features)
        for name, mask, values in zip(names, masks, features, strict=True):
            if name is not None:
                generator = np.random.default_rng(list(_digest(options.seed, name)))
                self._keep(generator.random(int(mask.sum())), values[mask])

    def _keep(self, numbers: np.ndarray, descriptors: np.ndarray) -> None:
        self._waiting.append((numbers, descriptors.astype(np.float32)))
        if sum(len(some) for some, _ in self._waiting) >= 2 * _SAMPLE:
            self._waiting = [self._smallest()]

    def _smallest(self) -> tuple[np.ndarray, np.ndarray]:
        """Of what waits, the descriptors with the smallest numbers, in their order."""
        numbers = np.concatenate([some for some, _ in self._waiting])
        order = np.argsort(numbers, kind="stable")[:_SAMPLE]
        return numbers[order], np.concatenate([some for _, some in self._waiting])[order]

    def _add_regions(self, real: list[bool], feature_map: FeatureMap) -> None:
        options = self._options
        found = _region_moments(
            feature_map, np.array(real), levels=options.levels, include_global=options.region_global
        )
        self._regions = found if self._regions is None else moments.merge(self._regions, found)

    def fit(self) -> Codebooks:
        """Fit on what was taken.

        Raises:
            UsageError: there is too little to fit on.
        """
        kmeans: KMeans | None = None
        mixture: GaussianMixture | None = None
        key = jax.random.key(self._options.seed)
        clusters = self._options.clusters
        if self._needs & {"kmeans", "mixture"}:
            sample = jnp.asarray(self._smallest()[1]) if self._waiting else jnp.zeros((0, 1))
            if len(sample) < clusters:
                raise UsageError(
                    f"{len(sample)} descriptors were selected in all images, too few for {clusters} clusters: "
                    "give more images, or fewer --clusters"
                )
            if "kmeans" in self._needs:
                kmeans = jax.jit(fit_kmeans, static_argnames="clusters")(key, sample, clusters=clusters).model
            if "mixture" in self._needs:
                fit = jax.jit(fit_gaussian_mixture, static_argnames="components")
                mixture = fit(key, sample, components=clusters).mixture
        return Codebooks(kmeans, mixture, self._fit_regions() if "regions" in self._needs else None)

    def _fit_regions(self) -> tuple[jax.Array, jax.Array]:
        if self._regions is None:
            raise UsageError("no readable image to fit the whitening of regions on")
        try:
            with one_blas_thread():
                spectrum = whitening.spectrum(self._regions, centred=True)
                found = jax.block_until_ready(whitening.fit(spectrum, dimension=self._options.region_whiten))
        except ValueError as error:
            raise UsageError(f"whitening of R-MAC's regions: {error}") from error
        return found.mean, found.projection.T


@jax.jit
def _moments(vectors: jax.Array, valid: jax.Array) -> moments.Moments:
    return moments.of(vectors, valid)


def _region_moments(feature_map: FeatureMap, real: np.ndarray, *, levels: int, include_global: bool) -> moments.Moments:
    vectors, valid = _region_vectors(feature_map, levels=levels, include_global=include_global)
    return _moments(vectors, valid & real[:, None])


def _region_vectors_of_batch(feature_map: FeatureMap, *, levels: int, include_global: bool) -> rmac.RegionVectors:
    def one(features: jax.Array, size: jax.Array) -> rmac.RegionVectors:
        return rmac.region_vectors(features, size=size, levels=levels, include_global=include_global)

    return jax.vmap(one)(*feature_map)


_region_vectors = jax.jit(_region_vectors_of_batch, static_argnames=("levels", "include_global"))


def save(path: Path, codebooks: Codebooks) -> None:
    """Write codebooks in one step; the same codebooks give the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    if codebooks.kmeans is not None:
        arrays["kmeans/centers"] = np.asarray(codebooks.kmeans.centers)
    if codebooks.mixture is not None:
        arrays |= {f"mixture/{name}": np.asarray(value) for name, value in codebooks.mixture._asdict().items()}
    if codebooks.regions is not None:
        arrays |= dict(zip(_REGIONS, map(np.asarray, codebooks.regions), strict=True))
    arrays_file.write(path, _FORMAT, arrays)


def load(path: Path) -> Codebooks:
    """Read what ``save`` wrote.

    Raises:
        UsageError: missing or damaged.
    """
    stored, _ = arrays_file.read(path, _FORMAT, cure="index again into a new folder")
    arrays = {name: jnp.asarray(array) for name, array in stored.items()}
    kmeans = KMeans(arrays["kmeans/centers"]) if "kmeans/centers" in arrays else None
    mixture, regions = None, None
    if "mixture/means" in arrays:
        mixture = GaussianMixture(*(arrays[f"mixture/{name}"] for name in GaussianMixture._fields))
    if _REGIONS[0] in arrays:
        mean, projection = (arrays[name] for name in _REGIONS)
        regions = mean, projection
    return Codebooks(kmeans, mixture, regions)
