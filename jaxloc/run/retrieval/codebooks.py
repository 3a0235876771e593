"""Codebooks of VLAD, Fisher vectors, whitened regions and object saliency: fitted on some images, saved in a file."""

import functools
import hashlib
import heapq
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import discovery, moments, rmac, whitening
from jaxloc.clustering import KMeans, fit_kmeans
from jaxloc.data import Source
from jaxloc.descriptors import DESCRIPTORS, Codebook, Codebooks
from jaxloc.errors import UsageError
from jaxloc.mixture import GaussianMixture, fit_gaussian_mixture
from jaxloc.models import FeatureMap, projection
from jaxloc.options import DescribeOptions
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.retrieval import arrays_file
from jaxloc.run.retrieval.describing import Describer, object_masks
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.stream import Stream

_IMAGES = 1000
"""Maximum number of images that codebooks are fitted on; two clusters do not need more."""
_SAMPLE = 1 << 16
_FORMAT = "jaxloc-codebooks-1"
_FIELDS = {
    "kmeans": KMeans._fields,
    "mixture": GaussianMixture._fields,
    "regions": ("mean", "projection"),
    "objects": ("vectors", "values", "mean", "projection"),
}


def needed_codebooks(names: Iterable[str], options: DescribeOptions) -> dict[str, Codebook]:
    """The codebook of each descriptor that needs one."""
    return {name: need for name in names if (need := DESCRIPTORS[name].needed_codebook(options)) is not None}


def choose_images(names: Iterable[str], *, seed: int) -> set[str]:
    """Images to fit codebooks on: pseudo-random by the seed, and independent of their order."""
    return set(heapq.nsmallest(_IMAGES, names, key=lambda name: _digest(seed, name)))


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
    """

    def __init__(self, needs: Collection[Codebook], describer: Describer, sources: Sequence[Source]) -> None:
        self._needs = set(needs)
        self._backend = describer.backend
        self._options = describer.options
        self._sources = sources
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._regions: moments.Moments | None = None
        self._salient: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, indices: np.ndarray, feature_map: FeatureMap) -> None:
        """Add features of the pooled layer of a batch of images; ``indices`` are -1 for entries that only fill it."""
        options = self._options
        if "regions" in self._needs:
            vectors, valid = _region_vectors(feature_map, levels=options.levels, include_global=options.region_global)
            found = moments.of(vectors, valid & (indices >= 0)[:, None])
            self._regions = found if self._regions is None else moments.merge(self._regions, found)
        if "objects" in self._needs:
            self._add_salient(indices, *jax.device_get(_salient_regions(feature_map)))
        if self._needs <= {"regions", "objects"}:
            return
        masks = np.asarray(object_masks(feature_map, connectivity=options.connectivity, backend=self._backend))
        features = np.asarray(feature_map.features)
        for number, mask, values in zip(indices.tolist(), masks, features, strict=True):
            if number >= 0:
                generator = np.random.default_rng(list(_digest(options.seed, self._sources[number].name)))
                self._keep(generator.random(int(mask.sum())), values[mask])

    def _add_salient(self, indices: np.ndarray, vectors: np.ndarray, saliency: np.ndarray, valid: np.ndarray) -> None:
        for place, number in enumerate(indices.tolist()):
            if number >= 0:
                there = valid[place]
                self._salient[self._sources[number].name] = vectors[place][there], saliency[place][there]

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
        """Fit to the batches added; raises ``UsageError`` if there are too few descriptors."""
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
                kmeans = fit_kmeans(key, sample, clusters=clusters).model
            if "mixture" in self._needs:
                mixture = fit_gaussian_mixture(key, sample, components=clusters).mixture
        return Codebooks(
            kmeans,
            mixture,
            self._fit_regions() if "regions" in self._needs else None,
            self._fit_objects() if "objects" in self._needs else None,
        )

    def _fit_objects(self) -> discovery.ObjectModel:
        found = [self._salient[name] for name in sorted(self._salient)]
        if not sum(len(vectors) for vectors, _ in found):
            raise UsageError("in no image is anything salient: object saliency has nothing to be fitted on")
        with one_blas_thread():
            return jax.block_until_ready(discovery.fit_objects(*map(np.concatenate, zip(*found, strict=True))))

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


@functools.partial(jax.jit, static_argnames=("levels", "include_global"))
def _region_vectors(feature_map: FeatureMap, *, levels: int, include_global: bool) -> rmac.RegionVectors:
    def one(features: jax.Array, size: jax.Array) -> rmac.RegionVectors:
        return rmac.region_vectors(features, size=size, levels=levels, include_global=include_global)

    return jax.vmap(one)(*feature_map)


@jax.jit
def _salient_regions(feature_map: FeatureMap) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Vectors, saliency and validity of the salient regions of each image."""

    def one(features: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        saliency = discovery.feature_saliency(features, size=size)
        found = discovery.find_regions(saliency, size=size, setting=discovery.SETTINGS["features, paper"])
        vectors = discovery.region_vectors(features, found.cells, valid=found.valid)
        return vectors, discovery.region_saliency(saliency, found.cells), found.valid

    return jax.vmap(one)(*feature_map)


def save(path: Path, codebooks: Codebooks) -> None:
    """Write codebooks in one step; the same codebooks give the same bytes."""
    arrays = {
        f"{kind}/{field}": np.asarray(value)
        for kind, codebook in codebooks._asdict().items()
        if codebook is not None
        for field, value in zip(_FIELDS[kind], jax.tree.leaves(codebook), strict=False)  # a whitening may lack
    }
    arrays_file.write(path, _FORMAT, arrays)


def of_gallery(gallery: Gallery, need: Codebook | None) -> Codebooks:
    """The codebook that a gallery was made with; raises ``UsageError`` if it is missing or damaged."""
    if need is None:
        return Codebooks()
    if need == "projection":
        return Codebooks(projection=projection.load(gallery.projection_path)[0])
    return load(gallery.codebooks_path)


def load(path: Path) -> Codebooks:
    """Read what ``save`` wrote; raises ``UsageError`` if it is missing or damaged."""
    stored = arrays_file.read(path, _FORMAT, cure="index again into a new folder")

    def read(kind: str) -> list[jax.Array]:
        return [jnp.asarray(stored[f"{kind}/{field}"]) for field in _FIELDS[kind] if f"{kind}/{field}" in stored]

    kmeans, mixture, regions, objects = map(read, _FIELDS)
    return Codebooks(
        KMeans(*kmeans) if kmeans else None,
        GaussianMixture(*mixture) if mixture else None,
        (regions[0], regions[1]) if regions else None,
        _objects(*objects) if objects else None,
    )


def _objects(vectors: jax.Array, values: jax.Array, *fitted: jax.Array) -> discovery.ObjectModel:
    return discovery.ObjectModel(vectors, values, whitening.Whitening(fitted[0], fitted[1]) if fitted else None)
