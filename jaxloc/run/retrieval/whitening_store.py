"""Post-processing of a gallery's vectors: fitted on a stream of them, kept in one file, applied."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from jaxloc import moments, whitening
from jaxloc._files import write_safetensors
from jaxloc.errors import UsageError
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.retrieval import arrays_file
from jaxloc.run.retrieval.listing import check_labels
from jaxloc.run.retrieval.options import WhitenSpec
from jaxloc.whitening import Whitening

_FORMAT = "jaxloc-whitening-1"

Chunks = Callable[[], Iterator[np.ndarray]]


def fit(spec: WhitenSpec, chunks: Chunks, labels: np.ndarray | None = None) -> Whitening:
    """Fit a post-processing to the vectors of a gallery; zero vectors (nothing was selected) do not count.

    Fewer vectors than dimensions are decomposed as they are; more are summed to moments, so that memory does not
    grow with them.

    Args:
        spec: what to fit.
        chunks: gives the vectors, ``[n, d]`` at a time, each time it is called.
        labels: of each vector, for the supervised kind.

    Raises:
        UsageError: a dimension above the rank, too few vectors, or no labels where they are needed.
    """
    number, dimension = 0, 0
    for chunk in chunks():
        number, dimension = number + int((chunk != 0).any(1).sum()), chunk.shape[1]
    if not number:
        raise UsageError(f"no vector to fit {spec} on: in no image of the gallery was anything selected")
    try:
        with one_blas_thread():
            return jax.block_until_ready(_fit(spec, chunks, labels, few=number < dimension, dimension=dimension))
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{spec}: {error}") from error


def _fit(spec: WhitenSpec, chunks: Chunks, labels: np.ndarray | None, *, few: bool, dimension: int) -> Whitening:
    if spec.kind == "supervised":
        return _fit_supervised(spec, chunks, labels)
    centred = spec.kind == "pca"
    if few:
        samples = np.concatenate([chunk[(chunk != 0).any(1)] for chunk in chunks()])
        spectrum = jax.jit(whitening.spectrum_of_samples, static_argnames="centred")(samples, centred=centred)
    else:
        total = moments.empty(dimension)
        for chunk in chunks():
            total = _add(total, chunk, (chunk != 0).any(1))
        spectrum = jax.jit(whitening.spectrum, static_argnames="centred")(total, centred=centred)
    return whitening.fit(spectrum, dimension=spec.dimension, power=spec.power)


@jax.jit
def _add(total: moments.Moments, chunk: jax.Array, valid: jax.Array) -> moments.Moments:
    return moments.merge(total, moments.of(chunk, valid))


def _fit_supervised(spec: WhitenSpec, chunks: Chunks, labels: np.ndarray | None) -> Whitening:
    if labels is None:
        raise UsageError(f"{spec} is learnt from labels, and there are none")
    check_labels(list(labels), "images of the gallery")
    samples = np.concatenate(list(chunks()))
    _, numbers = np.unique(labels.astype(str), return_inverse=True)
    pairs = whitening.pairs_of_samples(samples, numbers, (samples != 0).any(1))
    return whitening.fit_supervised(pairs, dimension=spec.dimension)


@jax.jit
def _apply(fitted: Whitening, vectors: jax.Array) -> jax.Array:
    return whitening.apply(fitted, vectors)


def apply(fitted: Whitening, vectors: np.ndarray) -> np.ndarray:
    """Vectors after the post-processing, unit length, float32 ``[n, k]``; zero vectors stay zero."""
    return np.asarray(_apply(fitted, vectors))


def save(path: Path, fitted: Whitening, spec: str) -> None:
    """Write a fitted post-processing, in one step; the same gives the same bytes."""
    arrays = {name: np.ascontiguousarray(value) for name, value in fitted._asdict().items()}
    metadata = {"format": _FORMAT, "whiten": spec, "arrays_checksum": arrays_file.of_arrays(arrays)}
    write_safetensors(path, arrays, metadata)


def load(path: Path) -> tuple[Whitening, str, str]:
    """Read what ``save`` wrote: the post-processing, what was asked for, and the file's checksum.

    Raises:
        UsageError: damaged.
    """
    try:
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ValueError("not a whitening of jaxloc")
            arrays = {name: file.get_tensor(name) for name in Whitening._fields}
        if arrays_file.of_arrays(arrays) != metadata["arrays_checksum"]:
            raise ValueError("its checksum is wrong")
        return Whitening(**{name: jnp.asarray(array) for name, array in arrays.items()}), metadata["whiten"], checksum
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: damaged ({error}): delete it and run `jaxloc index` again") from error
