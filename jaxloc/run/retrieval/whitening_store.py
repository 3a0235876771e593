"""The whitening of a gallery's vectors: fit on a stream, save, load, apply."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import whitening
from jaxloc._files import checksum, readable
from jaxloc.errors import UsageError
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.retrieval import arrays_file
from jaxloc.run.retrieval.listing import check_labels
from jaxloc.whitening import Whitening
from jaxloc.whitenings import WHITENINGS, Chunks, WhitenSpec

_FORMAT = "jaxloc-whitening-1"


def fit(spec: WhitenSpec, chunks: Chunks, labels: np.ndarray | None = None) -> Whitening:
    """Fit a whitening to the vectors of a gallery, ``[n, d]`` at a time; zero vectors do not count."""
    if not any(chunk.any() for chunk in chunks()):
        raise UsageError(f"no vector to fit {spec} on: in no image of the gallery was anything selected")
    kind, classes = WHITENINGS[spec.kind], None
    if kind.needs_labels and labels is not None:
        check_labels(list(labels), "images of the gallery")
        _, classes = np.unique(labels.astype(str), return_inverse=True)
    try:
        with one_blas_thread():
            return jax.block_until_ready(kind.fit(chunks, classes, spec.dimension, spec.power))
    except ValueError as error:
        raise UsageError(f"{spec}: {error}") from error


def apply(fitted: Whitening, vectors: np.ndarray) -> np.ndarray:
    """Whitened vectors of unit length, float32 ``[n, k]``; zero vectors stay zero."""
    try:
        return np.asarray(whitening.apply(fitted, vectors))
    except ValueError as error:
        cure = "an earlier version made the descriptor of this name otherwise; index the images into a new folder"
        raise UsageError(f"{error}: {cure}") from error


def save(path: Path, fitted: Whitening, spec: str) -> None:
    """Write a fitted whitening in one step; the same whitening gives the same bytes."""
    arrays = {name: np.ascontiguousarray(value) for name, value in fitted._asdict().items()}
    arrays_file.write(path, _FORMAT, arrays, whiten=spec)


def load(path: Path) -> tuple[Whitening, str]:
    """Read what ``save`` wrote: the whitening, and the checksum of its file; raises ``UsageError`` if it is damaged."""
    cure = "delete it and run `jaxloc index` again"
    arrays = arrays_file.read(path, _FORMAT, cure=cure)
    with readable(path, "damaged", cure):
        return Whitening(**{name: jnp.asarray(array) for name, array in arrays.items()}), checksum(path)
