"""Approximate search with FAISS, for galleries too large for exact search; its recall is measured.

Johnson, Douze & Jégou, "Billion-scale similarity search with GPUs", 2019. The exact search is the default; an
approximate index pays off from about a million images on.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxloc._files import atomic_path, checksum, write_text
from jaxloc.errors import UsageError
from jaxloc.ranking import TopK
from jaxloc.run.progress import bar
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.vectors import Ranked, SearchedVectors

KINDS = ("hnsw", "ivf-pq")
_SAMPLE = 1000
_TRAINING = 1 << 18
_PROBES = 64
"""Lists of a set's own vectors that are searched for each."""
_EACH, _CODEWORDS = 40, 256
"""Vectors that each centre of a list or codeword is trained on at least, and codewords of a product quantiser."""


@dataclasses.dataclass(frozen=True)
class Approximation:
    """An approximate index of a kind over a number of vectors, its size in bytes, and its recall.

    The recall is the share of the exact first k that are among the approximate first k, for a number of queries from
    the gallery itself.
    """

    kind: str
    vectors: int
    bytes: int
    recall: float
    k: int
    queries: int


def build(gallery: str | os.PathLike[str], kind: Literal["hnsw", "ivf-pq"] = "hnsw", *, seed: int = 0) -> Approximation:
    """Build an approximate index over a gallery's vectors, save it beside them, and measure its recall.

    ``kind`` is ``"hnsw"`` (a graph: more memory, better recall) or ``"ivf-pq"`` (compressed lists: least memory).
    """
    faiss = _faiss()
    if seed < 0:
        raise UsageError(f"seed must be at least 0, not {seed}")
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    generator = np.random.default_rng(seed)
    queries = vectors.gather(np.sort(generator.permutation(len(vectors))[:_SAMPLE]))
    queries = queries[queries.any(1)]  # an image in which nothing was selected is near to none
    if not len(queries):
        raise UsageError(f"{opened.folder}: in no image of the gallery was anything selected")
    index = _make(faiss, kind, len(vectors), queries.shape[1])
    if not index.is_trained:
        chosen = np.sort(generator.permutation(len(vectors))[:_TRAINING])
        index.train(vectors.gather(chosen))
    with bar(purpose=f"building {kind}", total=len(vectors), unit="vector") as shown:
        for _, part in vectors.parts():
            index.add(part)
            shown.update(len(part))
    path = _path(opened)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
        write_text(path.with_suffix(".digest"), f"{kind} {vectors.digest()} {checksum(path)}\n")
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path}: cannot be written ({reason}): free some space and run the same again") from error
    k = min(10, len(vectors))
    exact = vectors.nearest(queries, k).rows
    _, found = index.search(queries, k)
    recall = float(np.mean([len(set(a) & set(b)) / k for a, b in zip(exact, found, strict=True)]))
    return Approximation(kind, len(vectors), path.stat().st_size, recall, k, len(queries))


def nearest_approximate(queries: np.ndarray, vectors: SearchedVectors, k: int) -> Ranked:
    """The first k rows by the approximate index; scores are exact cosines, ordered by them."""
    faiss = _faiss()
    gallery = vectors.gallery
    path = _path(gallery)
    cure = f"build it with `jaxloc approximate {gallery.folder}`"
    try:
        _, digest, written = path.with_suffix(".digest").read_text(encoding="utf-8").split()
        found = checksum(path)  # FAISS does not validate what it reads, and a damaged graph may crash it
    except (OSError, ValueError) as error:
        raise UsageError(f"{gallery.folder}: no approximate index here: {cure}") from error
    if digest != vectors.digest():
        raise UsageError(f"{path}: made before the gallery was changed: {cure}")
    if found != written:
        raise UsageError(f"{path}: damaged (its checksum is wrong): {cure}")
    with path.open("rb") as file:
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(64, 2 * k)
    _, rows = index.search(np.ascontiguousarray(queries, np.float32), k)
    neighbors = vectors.gather(np.maximum(rows, 0))
    scores = np.einsum("qkd,qd->qk", neighbors, queries)
    scores[(rows < 0) | ~neighbors.any(-1)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranked(np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1))


def nearest_others(vectors: np.ndarray, k: int) -> TopK:
    """The k nearest other rows of every row of a set by inverted lists, nearly as ``ranking.nearest_others``.

    The same vectors give the same lists.

    Args:
        vectors: float32 ``[n, d]``, of unit length; ``n`` is at least 40 times a list.
        k: length of the lists.
    """
    faiss, number = _faiss(), len(vectors)
    index = faiss.index_factory(vectors.shape[1], f"IVF{_lists(number)},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[np.sort(np.random.default_rng(0).permutation(number)[:_TRAINING])])
    index.add(vectors)
    index.nprobe = _PROBES
    scores, rows = index.search(vectors, k + 1)
    own = rows == np.arange(number)[:, None]
    place = np.where(own.any(1), own.argmax(1), k)[:, None]  # of many copies a row may miss itself
    kept = np.arange(k) + (np.arange(k) >= place)
    rows, scores = (np.take_along_axis(some, kept, 1) for some in (rows, scores))
    return TopK(np.where(rows < 0, -np.inf, scores), rows.astype(np.int32), rows >= 0)  # type: ignore[arg-type]


def _lists(number: int) -> int:
    return max(1, min(int(4 * number**0.5), number // _EACH))


def _make(faiss: Any, kind: str, number: int, dimension: int) -> Any:
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        index.hnsw.efSearch = 64
        return index
    if kind != "ivf-pq":
        raise UsageError(f"unknown kind {kind!r}; choose one of {', '.join(KINDS)}")
    if number < _EACH * _CODEWORDS:
        raise UsageError(
            f"ivf-pq needs at least {_EACH * _CODEWORDS:,} vectors to be trained on, the gallery has {number:,}: "
            "use hnsw, or the exact search"
        )
    lists = _lists(number)
    codes = next(size for size in (64, 48, 32, 16, 8, 4, 2, 1) if dimension % size == 0)
    index = faiss.index_factory(dimension, f"OPQ{codes},IVF{lists},PQ{codes}", faiss.METRIC_INNER_PRODUCT)
    faiss.extract_index_ivf(index).nprobe = max(1, lists // 16)
    return index


def _path(gallery: Gallery) -> Path:
    return gallery.folder / "approximate.faiss"


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UsageError("approximate search needs FAISS: pip install 'jaxloc[faiss]'") from error
    return faiss
