"""The vectors of a gallery that are searched: whitened if asked, of unit length, read in blocks.

So a gallery may be larger than memory.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxloc import ranking
from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.gallery import Gallery, RegionVectors
from jaxloc.run.retrieval.scoring import unit
from jaxloc.whitening import Whitening
from jaxloc.whitenings import WhitenSpec

PART = 1 << 16
"""Vectors brought into memory at once, at least, unless they come to more bytes than:"""

_BYTES = 1 << 28
_AXIS = "gallery"


@dataclasses.dataclass(frozen=True)
class Ranked:
    """The first results of each query: rows of the gallery, int64 ``[q, top]``, best first, and their float32 scores.

    A score is the cosine, or that of re-ranking; -inf for an image without an object. ``warnings`` doubt the ranking.
    """

    rows: np.ndarray
    scores: np.ndarray
    warnings: tuple[str, ...] = ()


class SearchedVectors:
    """A gallery's searchable vectors, and ``warnings`` about them for the user."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._shards = gallery.shards
        self._lengths = [gallery.length(number) for number in self._shards]
        if not sum(self._lengths):
            raise UsageError(f"{gallery.folder}: the gallery is empty: add images with `jaxloc index`")
        self._whitening: Whitening | None = None
        self._checksum = ""
        self.warnings: list[str] = []
        wanted = gallery.description.whiten
        if gallery.whitening_path.exists():
            self._whitening, self._checksum = whitening_store.load(gallery.whitening_path)
            spec = WhitenSpec.parse(wanted)
            if spec is not None and (doubt := spec.doubt(len(self))):
                self.warnings.append(doubt)
        elif wanted != "none":
            self.warnings.append(
                f"the gallery is not finished: {wanted} is not fitted yet, so the vectors are compared as they are; "
                "run the same `jaxloc index` again, or with a smaller --whiten, or --whiten none"
            )

    def __len__(self) -> int:
        return sum(self._lengths)

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """Queries as they are compared: after the whitening, of unit length; zeros stay zeros."""
        return unit(vectors if self._whitening is None else whitening_store.apply(self._whitening, vectors))

    def digest(self) -> str:
        """A checksum that changes with the vectors or their whitening."""
        text = "\n".join([self._checksum, *(self.gallery.vectors_checksum(number) for number in self._shards)])
        return hashlib.sha256(text.encode()).hexdigest()

    def parts(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first row and the vectors ``[n, d]`` of each block, in order."""
        start, waiting = 0, []
        for number, length in zip(self._shards, self._lengths, strict=True):
            if not length:
                continue
            waiting.append(self._shard(number))
            if sum(map(len, waiting)) >= PART or sum(part.nbytes for part in waiting) >= _BYTES:
                yield start, np.concatenate(waiting)
                start, waiting = start + sum(map(len, waiting)), []
        if waiting:
            yield start, np.concatenate(waiting)

    def all(self) -> np.ndarray:
        """Every vector, ``[n, d]``."""
        return np.concatenate([part for _, part in self.parts()])

    def regions(self) -> RegionVectors:
        """The vectors of every image's regions, as they are compared."""
        found = [part for number in self._shards if (part := self.gallery.regions(number)) is not None]
        if not found:
            able = ", ".join(name for name, one in DESCRIPTORS.items() if one.regions is not None)
            raise UsageError(
                f"{self.gallery.folder}: made with {self.gallery.description.descriptor}, which has no regions; index "
                f"into another gallery with --descriptor {able}"
            )
        vectors, counts = map(np.concatenate, zip(*found, strict=True))
        return RegionVectors(self.prepare(vectors), counts)

    def labels(self) -> list[str | None]:
        """The label of each image, in the order of the vectors."""
        return self.gallery.whole_table()["label"].to_pylist()

    def nearest(self, queries: np.ndarray, k: int) -> Ranked:
        """The k rows of largest cosine, exactly; each local device searches its own part of each block."""
        mesh = Mesh(np.array(jax.local_devices()), (_AXIS,), axis_types=(AxisType.Auto,))
        rows = NamedSharding(mesh, PartitionSpec(_AXIS))
        best = ranking.empty(len(queries), k)
        for start, part in self.parts():
            missing = -len(part) % mesh.size
            padded = np.pad(part, ((0, missing), (0, 0))) if missing else part
            divided = jax.device_put((padded, np.arange(len(padded)) < len(part)), rows)
            best = ranking.merge(best, _search(queries, *divided, start, k=k, mesh=mesh))
        return Ranked(np.asarray(best.indices, np.int64), np.asarray(best.scores))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some rows, reading only the shards they are in, ``[*rows.shape, d]``; row -1 is zeros."""
        ends = np.cumsum(self._lengths)
        homes = np.searchsorted(ends, rows, side="right")
        found = np.zeros((0, 0), np.float32)
        for home in np.unique(homes[rows >= 0]):
            vectors = self._shard(self._shards[home])
            if not found.size:
                found = np.zeros((*rows.shape, vectors.shape[1]), np.float32)
            here = (homes == home) & (rows >= 0)
            found[here] = vectors[rows[here] - (ends[home] - self._lengths[home])]
        return found

    def _shard(self, number: int) -> np.ndarray:
        whitened = None if self._whitening is None else self.gallery.whitened(number, self._checksum)
        return self.prepare(self.gallery.vectors(number)) if whitened is None else whitened


@functools.partial(jax.jit, static_argnames=("k", "mesh"))
def _search(
    queries: jax.Array, part: jax.Array, valid: jax.Array, start: jax.Array, *, k: int, mesh: Mesh
) -> ranking.TopK:
    found = ranking.sharded_top_k(queries, part, k=k, mesh=mesh, axis=_AXIS, valid=valid)
    return found._replace(indices=jnp.where(found.valid, found.indices + start, -1))
