"""Vectors of images and search among them, in memory."""

import functools
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxloc import pooling, ranking
from jaxloc.api.batches import ImageBatches
from jaxloc.api.network import Network
from jaxloc.data.in_memory import Images
from jaxloc.descriptors import INDEXED
from jaxloc.errors import UsageError
from jaxloc.options import IndexOptions
from jaxloc.ranking import TopK
from jaxloc.run.retrieval.describing import Describer


def describe(
    images: Images,
    net: Network,
    *,
    descriptor: str = "scda",
    layer: str | None = None,
    max_side: int = 700,
    connectivity: int = 8,
    progress: bool | None = None,
    **parameters: Any,
) -> np.ndarray:
    """Describe each image by a vector.

    Args:
        images: one or several, of any sizes; see ``jaxloc.colocalize``.
        net: from ``jaxloc.load``.
        descriptor: a name in ``jaxloc.descriptors.INDEXED`` that needs no codebook.
        layer: whose features are pooled; ``None`` means the default for retrieval.
        max_side: an image whose shorter side exceeds this many pixels is shrunk to it; 0 never shrinks.
        connectivity: 8, or 4 without diagonals.
        progress: show a progress bar; ``None`` shows one in a terminal or notebook when the work takes long.
        **parameters: of the descriptor, such as ``weight`` of ``"scda+"`` and ``power`` of ``"gem"``.

    Returns:
        float32 ``[n, d]``.

    Raises:
        UsageError: an unknown descriptor or parameter, one that needs a codebook, or an image that cannot be used (the
            message names its position).
    """
    known = [name for name, one in INDEXED.items() if one.codebook is None or one.codebook_option]
    if descriptor not in known:
        why = "needs a codebook, so use the command jaxloc index" if descriptor in INDEXED else "is unknown"
        raise UsageError(f"descriptor {descriptor!r} {why}; here are {', '.join(known)}")
    allowed = INDEXED[descriptor].parameters
    if set(parameters) - set(allowed):
        raise UsageError(
            f"{descriptor} has no {', '.join(sorted(set(parameters) - set(allowed)))}; it takes "
            f"{', '.join(allowed) or 'no parameters'}"
        )
    if layer is not None:
        parameters["layer"] = layer
    options = IndexOptions(descriptor=descriptor, max_side=max_side, connectivity=connectivity, **parameters)
    describer = Describer(options, [descriptor], net.loaded)
    batches = ImageBatches(images, describer, max_side=max_side)
    found: list[Any] = [None] * len(batches.images)
    for _, batch in batches.batches("describing", progress=progress):
        vectors = jax.device_get(describer.describe(batch, [descriptor]).vectors[descriptor])
        for place, number in enumerate(batch.indices.tolist()):
            if number >= 0:
                found[number] = vectors[place]
    return np.stack(found)


def search(gallery: ArrayLike, queries: ArrayLike, *, k: int = 10) -> TopK:
    """The gallery vectors of largest cosine with each query, exactly.

    Args:
        gallery: ``[n, d]``, from ``describe``.
        queries: ``[q, d]`` from the same descriptor and network; one vector ``[d]`` counts as a list of one.
        k: number of results for each query, at most n.

    Returns:
        ``TopK`` of NumPy arrays: ``indices`` int32 ``[q, k]``, rows of the gallery, best first, and ``scores``
        float32 ``[q, k]``, their cosines. A gallery vector of zeros scores −inf.

    Raises:
        UsageError: the shapes do not fit.
    """
    gallery, queries = np.asarray(gallery, np.float32), np.atleast_2d(np.asarray(queries, np.float32))
    if gallery.ndim != 2 or queries.ndim != 2 or gallery.shape[1] != queries.shape[1] or not len(gallery):
        raise UsageError(f"gallery must be [n, d] and queries [q, d], got {gallery.shape} and {queries.shape}")
    return jax.device_get(_search(gallery, queries, k=min(k, len(gallery))))


@functools.partial(jax.jit, static_argnames="k")
def _search(gallery: jax.Array, queries: jax.Array, *, k: int) -> TopK:
    return ranking.top_k(pooling.l2_normalize(queries), pooling.l2_normalize(gallery), k=k)
