"""The descriptors of a pile's images, and which images repeat each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxloc.data.duplicates import Look, group_duplicates
from jaxloc.inference import DeviceWeights
from jaxloc.models import Backbone
from jaxloc.options import DiscoverOptions, IndexOptions, network_options, reading, workers_of
from jaxloc.run.cleaning.hashing import hash_images
from jaxloc.run.plan import Images
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index_images
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.retrieval.scoring import unit

SHORTER_SIDE = 256
"""Pixels of the shorter side at which images are described at most."""


class Described(NamedTuple):
    """What the images of a pile are grouped by, in their order.

    Attributes:
        vectors: float32 ``[n, d]``, of unit length; 0 for images that could not be described.
        sizes: int ``[n]``, number of pixels; 0 if unknown.
    """

    vectors: np.ndarray
    sizes: np.ndarray


def describe(images: Images, folder: Path, options: DiscoverOptions, loaded: DeviceWeights) -> Described:
    """Describe every image, in a gallery in the folder: what a stopped call described is kept."""
    gallery = folder / "vectors"
    own = {name: value for name, value in network_options(options.job).items() if value is not None}
    own["max_side"] = min(SHORTER_SIDE, options.job.max_side or SHORTER_SIDE)
    described = IndexOptions(**own, descriptor=descriptor_for(loaded.weights.backbone))
    index_images([Labelled(source, None) for source in images], gallery, described, loaded=loaded)
    return _read(Gallery.open(gallery), images)


def descriptor_for(backbone: Backbone) -> str:
    """The descriptor that a network's images are grouped by; SCDA presumes activations without a sign."""
    return "pool5" if backbone.layer(backbone.defaults.retrieval).signed else "scda"


def _read(gallery: Gallery, images: Images) -> Described:
    numbers = {str(source.path): number for number, source in enumerate(images)}
    vectors, sizes = np.zeros((0, 0), np.float32), np.zeros(len(images), np.int64)
    for shard in gallery.shards:
        some = gallery.vectors(shard)
        if not len(some):
            continue
        if not vectors.size:
            vectors = np.zeros((len(images), some.shape[1]), np.float32)
        for vector, row in zip(unit(some), gallery.table(shard).to_pylist(), strict=True):
            if (number := numbers.get(row["path"])) is not None:
                vectors[number], sizes[number] = vector, row["width"] * row["height"]
    return Described(vectors, sizes)


def find_repeats(images: Images, folder: Path, options: DiscoverOptions, sizes: np.ndarray, digest: str) -> np.ndarray:
    """Number of the image that each one nearly repeats, or its own, int ``[n]``: the largest, of equals the first."""
    if options.duplicates is None:
        return np.arange(len(images))
    looks = hash_images(images, folder, digest=digest, workers=workers_of(options.job), how=reading(options.job))
    return repeated(looks, sizes, options.duplicates)


def repeated(looks: Sequence[Look | None], sizes: np.ndarray, bits: int) -> np.ndarray:
    """``find_repeats``, given what images of these sizes are compared by, and the bits in which copies may differ."""
    order = np.argsort(-sizes, kind="stable")
    repeats = np.arange(len(looks))
    for place, (leader, _) in enumerate(group_duplicates([looks[number] for number in order], bits=bits)):
        repeats[order[place]] = order[leader]
    return repeats
