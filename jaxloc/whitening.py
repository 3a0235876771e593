"""Dimension reduction and whitening of image vectors: PCA, SVD, and whitening learnt from labels.

Table 4 of Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017;
Jégou & Chum, "Negative evidences and co-occurrences in image retrieval: the benefit of PCA and whitening", ECCV 2012;
for the learnt one Mikolajczyk & Matas, "Improving descriptors for fast tree matching by optimal linear projection",
ICCV 2007, as Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019, use it.

``centred=True`` is PCA, ``centred=False`` is SVD, which leaves the mean in; ``power`` chooses between rotation alone
(0) and whitening (1). Fit on the gallery, apply to gallery and queries. Settled where the papers are silent: an
eigenvector's arbitrary sign makes its coordinate of largest magnitude positive, eigenvalues are floored relative to
the largest, and a zero vector (an image with an empty mask) stays zero, although a centred projection would move it.
Statistics are float32: from moments an eigenvalue is exact to about 1e-7 of the largest, so one near the default floor
of 1e-6 is 10 % off; from samples, through their singular values, it is exact to 1e-5 of itself. To automatic
differentiation the directions are constants, the eigenvalues are not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import moments as running
from jaxloc._checks import as_array, as_flags, check_rank
from jaxloc._derivatives import eigh
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.moments import Moments
from jaxloc.pooling import l2_normalize

_HIGHEST = jax.lax.Precision.HIGHEST
_RANK_FLOOR = 1e-6
_MEAN_ROUNDING = 1e-12  # A variance below this share of the squared mean is float32 rounding of equal samples.


class Spectrum(NamedTuple):
    """Principal directions of a set of vectors, whatever dimension is kept later.

    Attributes:
        mean: float32 ``[d]``; zeros if not centred.
        components: float32 ``[d, r]``, unit eigenvectors in columns by falling eigenvalue, signs fixed; zeros beyond
            those that the number of samples can determine.
        eigenvalues: float32 ``[r]``, mean square along each component, falling; exactly zero where undetermined.
        total: float32, the number of samples.
    """

    mean: jax.Array
    components: jax.Array
    eigenvalues: jax.Array
    total: jax.Array


class Whitening(NamedTuple):
    """A fitted projection, for ``apply``.

    Attributes:
        mean: float32 ``[d]``, subtracted first; zeros if not centred.
        projection: float32 ``[d, k]``.
    """

    mean: jax.Array
    projection: jax.Array


class Pairs(NamedTuple):
    """Sums of ``(xᵢ − xⱼ)(xᵢ − xⱼ)ᵀ`` over the pairs of a labelled set.

    Attributes:
        moments: of all the samples.
        matching: float32 ``[d, d]``, over unordered pairs of one class, ``C_S`` before division by their number.
        non_matching: float32 ``[d, d]``, over unordered pairs of two classes, ``C_D`` likewise.
    """

    moments: Moments
    matching: jax.Array
    non_matching: jax.Array


@jitted("centred")
def spectrum(moments: Moments, *, centred: bool) -> Spectrum:
    """Principal directions from running moments, in memory that does not grow with the number of samples.

    Args:
        moments: of the gallery's vectors, from ``moments.of`` and ``moments.merge``.
        centred: True for PCA (covariance), False for SVD (second moment about zero) (static).

    Returns:
        ``Spectrum`` with ``r = d``.
    """
    matrix = running.covariance(moments)
    if not centred:
        matrix = matrix + jnp.outer(moments.mean, moments.mean)
    with jax.default_matmul_precision("highest"):
        values, vectors = eigh(matrix)
    mean = moments.mean if centred else jnp.zeros_like(moments.mean)
    return _spectrum(mean, vectors[:, ::-1], values[::-1], _number(moments), centred)


@jitted("centred")
@compiler_chooses()
def spectrum_of_samples(samples: ArrayLike, valid: ArrayLike | None = None, *, centred: bool) -> Spectrum:
    """Principal directions from the samples themselves: for fewer samples than dimensions, where ``d²`` is too much.

    Args:
        samples: ``[n, d]``.
        valid: bool ``[n]``, True where a row is a sample; ``None`` means everywhere.
        centred: True for PCA, False for SVD (static).

    Returns:
        ``Spectrum`` with ``r = min(n, d)``; up to rounding that of the samples' moments.
    """
    x, keep = _check_samples(samples, valid)
    total = keep.sum(dtype=jnp.float32)
    mean = x.sum(0) / jnp.maximum(total, 1) if centred else jnp.zeros(x.shape[1])
    with jax.default_matmul_precision("highest"):
        _, singular, rows = jnp.linalg.svd(jnp.where(keep[:, None], x - mean, 0), full_matrices=False)
    return _spectrum(mean, jax.lax.stop_gradient(rows).T, jnp.square(singular) / jnp.maximum(total, 1), total, centred)


@jitted("floor")
def rank(spectrum: Spectrum, *, floor: float = _RANK_FLOOR) -> jax.Array:
    """How many directions the samples determine: eigenvalues above the floor, at most ``n`` (``n − 1`` if centred).

    Args:
        spectrum: of one set.
        floor: smallest eigenvalue that counts, relative to the largest.

    Returns:
        int32.
    """
    eigenvalues = as_array("eigenvalues", spectrum.eigenvalues, "[r]")
    _check_floor(floor)
    rounding = _MEAN_ROUNDING * jnp.square(spectrum.mean).sum()
    return (eigenvalues > jnp.maximum(floor * eigenvalues.max(initial=0), rounding)).sum(dtype=jnp.int32)


def fit(spectrum: Spectrum, *, dimension: int, power: float = 1.0, floor: float = _RANK_FLOOR) -> Whitening:
    """Keep the leading components and scale each by ``λ^(−power/2)`` (Wei et al., table 4; Jégou & Chum).

    Args:
        spectrum: of the gallery.
        dimension: how many components to keep (static); the paper's choices are 256 and 512.
        power: 1 whitens, 0 only rotates and cuts, between them is attenuated whitening (static).
        floor: eigenvalues below this share of the largest are raised to it (static).

    Returns:
        ``Whitening``. Under jit the rank is not checked: components beyond it are zero or scaled by the floor.

    Raises:
        ValueError: a dimension above ``d`` or, when the values are at hand, above the rank; spectra of several sets at
            once; a negative power; a floor outside (0, 1).
    """
    check_rank("components", spectrum.components, "[d, r]")
    _check_floor(floor)
    if power < 0:
        raise ValueError(f"power must be 0 (rotation only) to 1 (whitening), got {power}")
    _check_dimension(spectrum, dimension, floor)
    return _leading(spectrum, dimension, power, floor)


@jitted("dimension", "share")
def fit_shrunk(spectrum: Spectrum, *, dimension: int, share: float = 1.0) -> Whitening:
    """Whiten with eigenvalues shrunk towards equality, ``(λ + share · Σλ)^(−1/2)``: for any number of samples.

    A direction that holds half of the total is lowered by a fifth (``share=1``). Those that hold little, which few
    samples do not determine, keep their weight: whitening would give them as much as the others.

    Args:
        spectrum: of the gallery.
        dimension: of the result (static). Where the samples have fewer directions the rest is zero.
        share: of the total, added to each eigenvalue, positive (static).
    """
    check_rank("components", spectrum.components, "[d, r]")
    eigenvalues = jnp.asarray(spectrum.eigenvalues)
    total = eigenvalues.sum()
    shrunk = jnp.where(total > 0, eigenvalues + share * total, 1)
    projection = (jnp.asarray(spectrum.components) / jnp.sqrt(shrunk))[:, :dimension]
    missing = dimension - projection.shape[1]
    return Whitening(jnp.asarray(spectrum.mean), jnp.pad(projection, ((0, 0), (0, missing))))


@jitted()
def apply(whitening: Whitening, vectors: ArrayLike) -> jax.Array:
    """Project vectors and ℓ2-normalise them.

    Args:
        whitening: from ``fit`` or ``fit_supervised``.
        vectors: ``[..., d]``.

    Returns:
        float32 ``[..., k]``. A zero vector stays zero, centred or not: it describes nothing, so it must not become
        minus the projected mean, which would match other images.
    """
    mean, projection = jnp.asarray(whitening.mean), jnp.asarray(whitening.projection)
    check_rank("projection", projection, "[d, k]")
    x = jnp.asarray(vectors, jnp.float32)
    if not x.ndim or x.shape[-1] != projection.shape[0]:
        raise ValueError(f"vectors must be [..., {projection.shape[0]}] as the whitening was fitted, got {x.shape}")
    projected = jnp.matmul(x - mean, projection, precision=_HIGHEST)
    return l2_normalize(jnp.where((x != 0).any(-1, keepdims=True), projected, 0))


@jitted()
def pairs_of_class(moments: Moments) -> Pairs:
    """Pairs within one class, ``Σ (xᵢ − xⱼ)(xᵢ − xⱼ)ᵀ = n_c · scatter_c``; ``merge_pairs`` adds further classes.

    Args:
        moments: of all samples of the class, from ``moments.of`` and ``moments.merge``.
    """
    check_rank("scatter", moments.scatter, "[d, d]")
    return Pairs(moments, _number(moments) * moments.scatter, jnp.zeros_like(moments.scatter))


@jitted()
def merge_pairs(a: Pairs, b: Pairs) -> Pairs:
    """Pairs of the union of two sets that share no class; associative and commutative up to rounding.

    The pairs across are ``n_a scatter_b + n_b scatter_a + n_a n_b (m_a − m_b)(m_a − m_b)ᵀ``: sums only, where all
    pairs less the matching ones would cancel.
    """
    merged = running.merge(a.moments, b.moments)
    size_a, size_b = _number(a.moments), _number(b.moments)
    shift = b.moments.mean - a.moments.mean
    across = size_a * b.moments.scatter + size_b * a.moments.scatter + size_a * size_b * jnp.outer(shift, shift)
    return Pairs(merged, a.matching + b.matching, a.non_matching + b.non_matching + across)


@jitted()
@compiler_chooses()
def pairs_of_samples(samples: ArrayLike, labels: ArrayLike, valid: ArrayLike | None = None) -> Pairs:
    """Pairs of one labelled set, all at once; for sets that do not fit in memory merge class by class.

    Args:
        samples: ``[n, d]``.
        labels: int ``[n]``; equal labels are one class, the numbers mean nothing else.
        valid: bool ``[n]``, True where a row is a sample; ``None`` means everywhere.
    """
    x, keep = _check_samples(samples, valid)
    labels = jnp.asarray(labels)
    if labels.shape != keep.shape or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be integers {keep.shape}, one per sample, got {labels.dtype} {labels.shape}")
    classes = jnp.unique(labels, return_inverse=True, size=len(labels), fill_value=0)[1].reshape(-1)

    def sum_of_class(values: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(values, classes, num_segments=len(labels))[classes]

    weight = keep.astype(jnp.float32)[:, None]
    total, size = weight.sum(), sum_of_class(weight)
    moments = running.of(x, keep)
    class_mean = sum_of_class(x) / jnp.maximum(size, 1)
    inside = _weighted_scatter(x - class_mean, weight * size)
    outside = _weighted_scatter(x - class_mean, weight * (total - size))
    between = _weighted_scatter(class_mean - moments.mean, weight * (size < total))
    return Pairs(moments, inside, outside + total * between)


def fit_supervised(pairs: Pairs, *, dimension: int, floor: float = _RANK_FLOOR) -> Whitening:
    """Whitening that shrinks what differs within classes and keeps what differs between them.

    ``P = eigvec(C_S^{−1/2} C_D C_S^{−1/2})ᵀ C_S^{−1/2}``, largest eigenvalues first (Mikolajczyk & Matas;
    Radenović et al.). It diagonalises ``C_S`` and ``C_D`` together, within the span of the samples. Its
    overall scale, which ``apply`` removes, is that of matching pairs with a total variance of one.

    Args:
        pairs: of the training set, from ``pairs_of_samples``, or ``pairs_of_class`` and ``merge_pairs``.
        dimension: how many directions to keep (static).
        floor: eigenvalues of ``C_S`` below this share of the largest are raised to it (static). Directions in which
            no matching pair differs come first, as the most telling; a higher floor trusts them less.

    Returns:
        ``Whitening`` whose mean is that of all samples. Under jit neither rank nor classes are checked: directions
        that the pairs do not determine are finite.

    Raises:
        ValueError: a dimension above ``d`` or, when the values are at hand, above the rank of the samples; no matching
            or no non-matching pairs; statistics of several sets at once; a floor outside (0, 1).
    """
    check_rank("matching", pairs.matching, "[d, d]")
    _check_floor(floor)
    basis = spectrum(pairs.moments, centred=True)
    _check_dimension(basis, dimension, _RANK_FLOOR)
    _check_pairs(pairs)
    return _supervised(pairs, basis, dimension, floor)


@jitted("dimension", "floor")
@compiler_chooses()
def _supervised(pairs: Pairs, basis: Spectrum, dimension: int, floor: float) -> Whitening:
    spanned = basis.components * (jnp.arange(basis.eigenvalues.size) < rank(basis))
    with jax.default_matmul_precision("highest"):
        values, vectors = eigh(spanned.T @ _unit_trace(pairs.matching) @ spanned)
        whiten = spanned @ (vectors * _inverse_power(values, 0.5, floor))
        _, rotation = eigh(whiten.T @ _unit_trace(pairs.non_matching) @ whiten)
        projection = whiten @ rotation[:, ::-1][:, :dimension]
    return Whitening(pairs.moments.mean, _fix_signs(projection))


@jitted("dimension", "power", "floor")
def _leading(spectrum: Spectrum, dimension: int, power: float, floor: float) -> Whitening:
    scale = _inverse_power(jnp.asarray(spectrum.eigenvalues), power / 2, floor)
    return Whitening(jnp.asarray(spectrum.mean), (jnp.asarray(spectrum.components) * scale)[:, :dimension])


def _spectrum(mean: jax.Array, components: jax.Array, values: jax.Array, total: jax.Array, centred: bool) -> Spectrum:
    determined = jnp.arange(values.size) < total - centred
    values = jnp.where(determined, jnp.maximum(values, 0), 0)
    return Spectrum(mean, jnp.where(determined, _fix_signs(components), 0), values, total)


def _fix_signs(columns: jax.Array) -> jax.Array:
    largest = jnp.take_along_axis(columns, jnp.argmax(jnp.abs(columns), 0)[None], 0)
    return columns * jnp.where(largest < 0, -1.0, 1.0)


def _inverse_power(eigenvalues: jax.Array, power: float, floor: float) -> jax.Array:
    largest = eigenvalues.max()
    floored = jnp.maximum(eigenvalues, floor * largest)
    return jnp.where(largest > 0, jnp.where(largest > 0, floored, 1) ** -power, 0)


def _weighted_scatter(rows: jax.Array, weight: jax.Array) -> jax.Array:
    rows = rows * jnp.sqrt(weight)
    return jnp.matmul(rows.T, rows, precision=_HIGHEST)


def _unit_trace(matrix: jax.Array) -> jax.Array:
    trace = jnp.trace(matrix)
    return matrix / jnp.where(trace > 0, trace, 1)


def _number(moments: Moments) -> jax.Array:
    return moments.total[0] * 2.0**20 + moments.total[1]


def _check_samples(samples: ArrayLike, valid: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    x = as_array("samples", samples, "[n, d]")
    keep = as_flags(valid, x.shape[:1], "sample")
    return jnp.where(keep[:, None], x, 0).astype(jnp.float32), keep


def _check_floor(floor: float) -> None:
    if not 0 < floor < 1:
        raise ValueError(f"floor must be between 0 and 1, a share of the largest eigenvalue, got {floor}")


def _check_dimension(spectrum: Spectrum, dimension: int, floor: float) -> None:
    size, available = spectrum.components.shape
    if not 1 <= dimension <= size:
        raise ValueError(f"dimension must be between 1 and that of the vectors, {size}, got {dimension}")
    found = rank(spectrum, floor=floor)
    if not isinstance(found, jax.core.Tracer) and dimension > int(found):
        cure = f"ask for at most {int(found)}, or " if int(found) else ""
        raise ValueError(
            f"dimension {dimension} is above the rank {int(found)} of the {int(spectrum.total)} samples it was fitted "
            f"on: {cure}fit on more and more varied samples"
        )
    if dimension > available:
        raise ValueError(f"dimension {dimension} is above the {available} components that so few samples have")


def _check_pairs(pairs: Pairs) -> None:
    for name, scatter in (("matching", pairs.matching), ("non-matching", pairs.non_matching)):
        if not isinstance(scatter, jax.core.Tracer) and not float(jnp.trace(scatter)) > 0:
            raise ValueError(
                f"no {name} pair differs: supervised whitening needs two classes, and two different samples in one"
            )
