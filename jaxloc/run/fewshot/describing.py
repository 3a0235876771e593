"""Bilinear vectors of images, and the axes that they are made with."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import bilinear, moments, scda
from jaxloc.data import Source
from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.inference import Extractor
from jaxloc.models import FeatureMap
from jaxloc.options import FewShotOptions
from jaxloc.run.engine import open_network
from jaxloc.run.frozen import FrozenMaps, chunks, maps_within, read_within
from jaxloc.run.retrieval.describing import object_masks
from jaxloc.run.writing import disk_errors, locked

_CHUNK = 32
"""Images whose maps are in memory at once."""


class Network(Extractor):
    """The network at the layer whose descriptors are multiplied.

    Attributes:
        side: longer side of the images at most, in pixels.
        signed: whether its activations have both signs, which SCDA does not take.
    """

    def __init__(self, options: FewShotOptions) -> None:
        loaded = open_network(options, [options.layer])
        self.layer = options.layer or loaded.weights.backbone.defaults.localization
        super().__init__(loaded, [self.layer])
        self.side = options.side
        self.signed = self.weights.backbone.layer(self.layer).signed
        (channels,) = self.dimensions
        if options.dimension > channels:
            raise UsageError(f"{self.layer} has {channels} channels, so --dimension must be at most {channels}")

    def read(self, source: Source) -> np.ndarray | str:
        """An image, or why it cannot be used."""
        return read_within(source, self.side, self.minimum_side)

    def maps(self, sources: Sequence[Source], folder: str | os.PathLike[str]) -> tuple[FrozenMaps, dict[int, str]]:
        """The images' maps in files of ``folder``, and why images were skipped, by number."""
        maps, skipped = maps_within(sources, self, self.side, folder)
        return maps[self.layer], skipped


@contextlib.contextmanager
def work_folder(keep: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folder for maps and mappings, locked against other calls; without one to keep, a temporary one."""
    if keep is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = Path(keep)
    with disk_errors(folder, left="maps and mappings that are there stay"):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        yield folder


def axes_of(maps: FrozenMaps, numbers: np.ndarray, dimension: int) -> jax.Array:
    """The axes of the descriptors of some of the images, float32 ``[dimension, d]``."""
    total = moments.empty(maps.features.shape[-1])
    for _, feature_map in _chunks(maps, numbers):
        total = moments.merge(total, _moments(feature_map))
    return bilinear.fit_axes(total, dimension=dimension)


def vectors_of(maps: FrozenMaps, numbers: np.ndarray, describe: Callable[[FeatureMap], jax.Array]) -> np.ndarray:
    """Vectors of some of the images in their order, float32 ``[n, d]``; ``describe`` gives those of a batch."""
    return np.concatenate(
        [np.asarray(describe(feature_map))[: len(some)] for some, feature_map in _chunks(maps, numbers)]
    )


def _chunks(maps: FrozenMaps, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, FeatureMap]]:
    """Numbers of images and their maps, the last filled up with images of no cells."""
    for some, rows in chunks(numbers, _CHUNK):
        sizes = np.where(np.arange(_CHUNK)[:, None] < len(some), maps.sizes[rows], 0)
        yield some, FeatureMap(jnp.asarray(maps.features[rows]), jnp.asarray(sizes))


@jax.jit
def _moments(feature_map: FeatureMap) -> moments.Moments:
    return moments.of(feature_map.features, valid_cells(feature_map.size, feature_map.features.shape[1:3]))


@jax.jit
def bilinear_vectors(axes: jax.Array, feature_map: FeatureMap) -> jax.Array:
    """Bilinear vectors of a batch, float32 ``[n, k²]``."""
    valid = valid_cells(feature_map.size, feature_map.features.shape[1:3])
    return jax.vmap(lambda features, mask: bilinear.descriptor(features, mask, axes=axes))(feature_map.features, valid)


def scda_vectors(feature_map: FeatureMap) -> jax.Array:
    """SCDA's vectors of a batch, scaled to unit length, float32 ``[n, 2 d]``."""
    masks = object_masks(feature_map, connectivity=8, backend="device")
    return jax.vmap(scda.descriptor)(feature_map.features, masks) / jnp.sqrt(2)
