"""Post-processings of vectors by name: each a value that states its needs and holds its function.

To add one, write its pure functions in ``whitening.py`` or a module of their own and register it in ``WHITENINGS``.
Importing this module does not import JAX, so that commands can list names.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import jaxloc
from jaxloc.errors import UsageError

if TYPE_CHECKING:
    from jaxloc.whitening import Spectrum, Whitening

Chunks = Callable[[], Iterator[np.ndarray]]

_FLOOR = 0.03
"""Share of the largest eigenvalue to which a supervised whitening raises smaller ones: few labelled images leave many
directions in which no matching pair differs, and trusting those costs precision."""
_IMAGES_EACH = 10
"""Images that one whitened dimension needs, at full power."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A post-processing of vectors.

    Attributes:
        title: as the SCDA paper's table 4 calls it.
        fit: ``fit(chunks, labels, dimension, power) -> Whitening``. ``chunks()`` iterates over the vectors, ``[n, d]``
            at a time; zero vectors do not count. ``labels`` are numbers of classes, int ``[n]``. Raises ``ValueError``
            if the vectors do not determine the dimensions.
        needs_labels: whether it is learnt from labels.
        whitens: whether it has a power, from 0 (rotate and cut only) to 1 (whiten).
        any_number: whether it can be fitted to fewer vectors than dimensions.
    """

    title: str
    fit: "Callable[[Chunks, np.ndarray | None, int, float], Whitening]"
    needs_labels: bool = False
    whitens: bool = True
    any_number: bool = False


def _spectrum(chunks: Chunks, *, centred: bool) -> "Spectrum":
    """Fewer vectors than dimensions are decomposed as they are; more are summed, so that memory does not grow."""
    number, width = 0, 0
    for chunk in chunks():
        number, width = number + int(chunk.any(1).sum()), chunk.shape[1]
    if number < width:
        samples = np.concatenate([chunk[chunk.any(1)] for chunk in chunks()])
        return jaxloc.whitening.spectrum_of_samples(samples, centred=centred)
    total = jaxloc.moments.empty(width)
    for chunk in chunks():
        total = _compiled_add()(total, chunk, chunk.any(1))
    return jaxloc.whitening.spectrum(total, centred=centred)


def _fit_linear(chunks: Chunks, labels: Any, dimension: int, power: float, *, centred: bool) -> "Whitening":
    return jaxloc.whitening.fit(_spectrum(chunks, centred=centred), dimension=dimension, power=power)


def _fit_shrunk(chunks: Chunks, labels: Any, dimension: int, power: float) -> "Whitening":
    return jaxloc.whitening.fit_shrunk(_spectrum(chunks, centred=True), dimension=dimension)


@functools.cache
def _compiled_add() -> Callable[..., Any]:
    import jax

    return jax.jit(lambda total, chunk, valid: jaxloc.moments.merge(total, jaxloc.moments.of(chunk, valid)))


def _fit_supervised(chunks: Chunks, labels: Any, dimension: int, power: float) -> "Whitening":
    samples = np.concatenate(list(chunks()))
    pairs = jaxloc.whitening.pairs_of_samples(samples, labels, samples.any(1))
    return jaxloc.whitening.fit_supervised(pairs, dimension=dimension, floor=_FLOOR)


WHITENINGS = {
    "pca": Kind("PCA", functools.partial(_fit_linear, centred=True)),
    "svd": Kind("SVD", functools.partial(_fit_linear, centred=False)),
    "shrunk": Kind("PCA, shrunk whitening", _fit_shrunk, whitens=False, any_number=True),
    "supervised": Kind("supervised whitening", _fit_supervised, needs_labels=True, whitens=False),
}
"""By name; ``"none"``, which every job takes as well, leaves vectors as they are."""


@dataclasses.dataclass(frozen=True)
class WhitenSpec:
    """A post-processing with its numbers, written ``svd-256`` (whitened) or ``svd-256:0`` (rotated and cut only).

    Attributes:
        kind: one of ``WHITENINGS``.
        dimension: of the result.
        power: how far the spectrum is flattened, from 0 (not at all) to 1 (whitening).
    """

    kind: str
    dimension: int
    power: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "WhitenSpec | None":
        """Read ``KIND-DIMENSION[:POWER]``; ``"none"`` is ``None``.

        Raises:
            UsageError: malformed.
        """
        if text == "none":
            return None
        match = re.fullmatch(rf"({'|'.join(WHITENINGS)})-([1-9]\d{{0,5}})(?::(\d+(?:\.\d+)?|\.\d+))?", text)
        power = 1.0 if match is None or match[3] is None else float(match[3])
        if match is None or power > 1 or (match[3] is not None and not WHITENINGS[match[1]].whitens):
            *names, last = (f"{name}-256" for name in WHITENINGS)
            whitening = " and ".join(name for name, kind in WHITENINGS.items() if kind.whitens)
            raise UsageError(
                f"cannot read the whitening {text!r}: write none, {', '.join(names)} or {last}; a power from 0 "
                f"(only rotate and cut) to 1 (whiten, the default) may follow {whitening}, as in svd-256:0.5"
            )
        return cls(match[1], int(match[2]), power)

    def __str__(self) -> str:
        return f"{self.kind}-{self.dimension}" + ("" if self.power == 1 else f":{self.power:g}")

    def doubt(self, images: int) -> str:
        """Why this number of images does not determine the whitening; empty if it does.

        Whitening gives all dimensions equal weight. Those that few images determine are noise, and at full power they
        drown the others: with 340 images, 256 dimensions halve the precision.
        """
        if not WHITENINGS[self.kind].whitens or images >= _IMAGES_EACH * self.power * self.dimension:
            return ""
        fewer = max(8, 1 << max(0, (images // (2 * _IMAGES_EACH)).bit_length() - 1))
        other = f", or with fewer dimensions, such as {self.kind}-{fewer}" if fewer < self.dimension else ""
        return (
            f"{self} is fitted on {images:,} images only: most of what it raises is noise; compare with "
            f"{self.kind}-{self.dimension}:0, which does not whiten{other}"
        )

    @property
    def title(self) -> str:
        """As the paper's table calls it."""
        name = WHITENINGS[self.kind].title
        if not WHITENINGS[self.kind].whitens or self.power == 0:
            return f"{name} {self.dimension}"
        return f"{name}+whitening {self.dimension}" + ("" if self.power == 1 else f", power {self.power:g}")
