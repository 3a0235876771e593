"""Codebooks of VLAD, Fisher vectors and whitened regions: fitted on a sample of descriptors, saved in a file."""

import functools
import hashlib
import heapq
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import moments, rmac, whitening
from jaxloc.clustering import KMeans, fit_kmeans
from jaxloc.data import Source
from jaxloc.descriptors import DESCRIPTORS, Codebook, Codebooks
from jaxloc.errors import UsageError
from jaxloc.mixture import GaussianMixture, fit_gaussian_mixture
from jaxloc.models import FeatureMap
from jaxloc.options import DescribeOptions
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.retrieval import arrays_file
from jaxloc.run.retrieval.describing import Describer, object_masks
from jaxloc.run.stream import Stream

IMAGES = 1000
"""Maximum number of images that codebooks are fitted on; two clusters do not need more."""

_SAMPLE = 1 << 16
_FORMAT = "jaxloc-codebooks-1"
_REGIONS = "regions/mean", "regions/projection"


def needed_codebooks(names: Iterable[str], options: DescribeOptions) -> dict[str, Codebook]:
    """The codebook of each descriptor that needs one."""
    return {name: need for name in names if (need := DESCRIPTORS[name].needed_codebook(options)) is not None}


def choose_images(names: Collection[str], *, seed: int, limit: int = IMAGES) -> set[str]:
    """Images to fit codebooks on: pseudo-random, and independent of their order.

    Args:
        names: of all images.
        seed: decides the choice.
        limit: maximum number of images.
    """
    return set(heapq.nsmallest(limit, names, key=lambda name: _digest(seed, name)))


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0".encode() + name.encode()).digest()


def fit_codebooks(
    path: Path,
    needs: Collection[Codebook],
    describer: Describer,
    stream: Stream,
    purpose: str,
    only: Iterable[int] | None = None,
) -> None:
    """Fit codebooks in a pass over images, or over ``only`` some of them, and write them."""
    fitter = CodebookFitter(needs, describer, stream.sources)
    for batch in stream.batches(purpose, only=only):
        fitter.add(batch.indices, describer.features(batch)[describer.layer])
    save(path, fitter.fit())


class CodebookFitter:
    """Fits codebooks to the feature maps of batches.

    It keeps a uniform sample of all selected descriptors, drawn by the image's name and the seed, so the sample depends
    neither on the order of the images nor on their batches.

    Args:
        needs: the codebooks to fit.
        describer: with the job's options.
        sources: images by number.
    """

    def __init__(self, needs: Collection[Codebook], describer: Describer, sources: Sequence[Source]) -> None:
        self._needs = set(needs)
        self._backend = describer.backend
        self._options = describer.options
        self._sources = sources
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._regions: moments.Moments | None = None

    def add(self, indices: np.ndarray, feature_map: FeatureMap) -> None:
        """Add a batch.

        Args:
            indices: numbers of the images; -1 for entries that only fill the batch.
            feature_map: of the pooled layer.
        """
        options = self._options
        if "regions" in self._needs:
            vectors, valid = _region_vectors(feature_map, levels=options.levels, include_global=options.region_global)
            found = _moments(vectors, valid & (indices >= 0)[:, None])
            self._regions = found if self._regions is None else moments.merge(self._regions, found)
        if self._needs <= {"regions"}:
            return
        masks = np.asarray(object_masks(feature_map, connectivity=options.connectivity, backend=self._backend))
        features = np.asarray(feature_map.features)
        for number, mask, values in zip(indices.tolist(), masks, features, strict=True):
            if number >= 0:
                generator = np.random.default_rng(list(_digest(options.seed, self._sources[number].name)))
                self._keep(generator.random(int(mask.sum())), values[mask])

    def _keep(self, numbers: np.ndarray, descriptors: np.ndarray) -> None:
        self._waiting.append((numbers, descriptors.astype(np.float32)))
        if sum(len(some) for some, _ in self._waiting) >= 2 * _SAMPLE:
            self._waiting = [self._smallest()]

    def _smallest(self) -> tuple[np.ndarray, np.ndarray]:
        """The sample: descriptors with the smallest random numbers, and these numbers."""
        numbers = np.concatenate([some for some, _ in self._waiting])
        order = np.argsort(numbers, kind="stable")[:_SAMPLE]
        return numbers[order], np.concatenate([some for _, some in self._waiting])[order]

    def fit(self) -> Codebooks:
        """Fit to the batches added.

        Raises:
            UsageError: too few descriptors.
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


_moments = jax.jit(moments.of)


@functools.partial(jax.jit, static_argnames=("levels", "include_global"))
def _region_vectors(feature_map: FeatureMap, *, levels: int, include_global: bool) -> rmac.RegionVectors:
    def one(features: jax.Array, size: jax.Array) -> rmac.RegionVectors:
        return rmac.region_vectors(features, size=size, levels=levels, include_global=include_global)

    return jax.vmap(one)(*feature_map)


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
