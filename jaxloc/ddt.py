"""DDT: find what the images of a set share, from the first principal component of all their descriptors.

Wei, Zhang, Li, Xie, Wu, Shen & Zhou, "Deep descriptor transforming for image co-localization", IJCAI 2017, and
"Unsupervised object discovery and co-localization by deep descriptor transforming" (DDT+), 2019. Fitting takes
``Moments`` of any number of images; every other function takes one image, and ``jax.vmap`` makes it a batch.

Settled where the papers are silent: the mask is the largest 8-connected component of ``P¹ > 0`` at feature
resolution (released code), DDT+ fits each layer on its own descriptors (the released code fits both on one), and an
eigenvector's arbitrary sign is fixed so that the indicator correlates positively with the aggregation map; the
released code instead makes the loading of largest magnitude positive (``sign="loading"``).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components
from jaxloc._checks import as_array, check_choice, check_rank
from jaxloc._derivatives import eigh, sqrt
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization
from jaxloc.moments import Moments, covariance
from jaxloc.pooling import l2_normalize
from jaxloc.signs import SIGN_RULES

_HIGHEST = jax.lax.Precision.HIGHEST
_ROUNDING = 16 * 2.0**-23
"""A standard deviation below this share of the mean's length is rounding in float32."""


class Model(NamedTuple):
    """A fitted DDT of one layer.

    Attributes:
        mean: float32 ``[d]``, ``x̄``.
        components: float32 ``[k, d]``, unit eigenvectors ``ξ₁ … ξ_k`` by falling eigenvalue, signs fixed; zeros where
            the descriptors do not vary but for rounding, so that nothing is positive and nothing found.
        eigenvalues: float32 ``[k]``, variance along each.
        explained: float32 ``[k]``, share of the total variance.
        correlation: float32 ``[k]``, correlation of each indicator with the aggregation map over the whole set, or
            the evidence that ``orient`` went by; a small magnitude (below 0.3, say) at the first means that the sign
            is in doubt.
    """

    mean: jax.Array
    components: jax.Array
    eigenvalues: jax.Array
    explained: jax.Array
    correlation: jax.Array


@jitted("components", "sign", "differentiate")
def fit(moments: Moments, *, components: int = 2, sign: str = "aggregation", differentiate: bool = False) -> Model:
    """Principal components of an image set's descriptors (equations 1 and 2).

    Args:
        moments: of all descriptors of the set, from ``moments.of`` and ``moments.merge``.
        components: how many to keep (static).
        sign: how each component's arbitrary sign is fixed (static), one of ``signs.SIGN_RULES``. ``"aggregation"``: its
            indicator correlates positively with the sum over channels, ``sign(ξᵀ Cov 1) = +``; ``"loading"``: its
            coordinate of largest magnitude is positive (the released code); ``"none"``: as the eigensolver left it.
            ``"aggregation"`` presumes activations that are never negative. ``"minority"``, ``"border"`` and
            ``"attention"`` need a second pass: sum ``sign_evidence`` and call ``orient``.
        differentiate: whether derivatives pass through the components (static). They are not finite where eigenvalues
            coincide, so the components are constants otherwise; those of the mean and the eigenvalues always pass.

    Raises:
        ValueError: more components than dimensions, an unknown rule, or moments of several sets at once.
    """
    check_rank("scatter", moments.scatter, "[d, d]")
    check_choice("sign", sign, tuple(SIGN_RULES))
    rule = SIGN_RULES[sign]
    dimension = moments.mean.shape[0]
    if not 1 <= components <= dimension:
        raise ValueError(f"components must be between 1 and the dimension {dimension}, got {components}")
    with jax.default_matmul_precision("highest"):
        matrix = covariance(moments)
        unit = _power_of_two(jnp.trace(matrix))
        matrix = matrix / unit  # so that its square neither overflows nor vanishes
        values, vectors = eigh(matrix, differentiate=differentiate)
        values = jnp.maximum(values[::-1][:components], 0)
        directions = vectors[:, ::-1][:, :components].T
        if rule.direction is not None:
            directions *= _plus_or_minus(rule.direction(directions, matrix))[:, None]
        spread = sqrt(values * jnp.maximum(matrix.sum(), 0))
        correlation = jnp.where(spread > 0, directions @ matrix.sum(1) / jnp.where(spread > 0, spread, 1), 0)
    variance = jnp.trace(matrix)
    varies = variance > jnp.square(_ROUNDING * jnp.linalg.norm(moments.mean)) / unit
    return Model(
        mean=moments.mean,
        components=jnp.where(varies, directions, 0),
        eigenvalues=jnp.where(varies, values * unit, 0),
        explained=jnp.where(varies, values / jnp.where(variance > 0, variance, 1), 0),
        correlation=jnp.where(varies, jnp.clip(correlation, -1, 1), 0),
    )


def _power_of_two(x: jax.Array) -> jax.Array:
    """One near ``x``: dividing by it rounds nothing."""
    return jax.lax.stop_gradient(jnp.ldexp(jnp.ones_like(x), jnp.frexp(x)[1]))


def _plus_or_minus(x: jax.Array) -> jax.Array:
    return jnp.where(x < 0, -1.0, 1.0)


@jitted("sign")
def sign_evidence(
    model: Model,
    features: ArrayLike,
    attention: ArrayLike | None = None,
    *,
    sign: str,
    size: ArrayLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    """What a rule sees in one image: float32 numbers ``[k]`` and their weight ``[]``; add both up over the set.

    Args:
        model: fitted by this rule.
        features: ``[h, w, d]`` of the model's layer.
        attention: ``[h, w, heads]``, the class token's attention to the same cells; for ``"attention"`` only.
        sign: ``"minority"``, ``"border"`` or ``"attention"`` (static), see ``signs.SIGN_RULES``.
        size: int ``[2]``, valid rows and columns; ``None`` means all. Descriptors that are not finite are left out.
    """
    rules = {name: rule for name, rule in SIGN_RULES.items() if rule.evidence is not None}
    check_choice("sign", sign, tuple(rules))
    if rules[sign].needs_attention and attention is None:
        raise ValueError(f"sign={sign!r} needs attention, [h, w, heads]")
    indicators = standard_maps(model, features)
    looked_at = None
    if attention is not None:
        looked_at = as_array("attention", attention, "[h, w, heads]").astype(jnp.float32).mean(-1)
    evidence = rules[sign].evidence
    valid = valid_cells(size, indicators.shape[1:]) & jnp.isfinite(indicators).all(0)
    numbers, weight = evidence(jnp.where(valid, indicators, 0), valid, looked_at)  # type: ignore[misc]
    return numbers.astype(jnp.float32), weight.astype(jnp.float32)


@jitted()
def orient(model: Model, evidence: ArrayLike) -> Model:
    """Flip the components whose evidence is negative; its magnitudes take the place of ``correlation``.

    Args:
        model: a fitted model.
        evidence: ``[k]``, from -1 to 1: the sums of ``sign_evidence`` over the set divided by the sum of its weights.
    """
    evidence = jnp.asarray(evidence, jnp.float32)
    if evidence.shape != model.eigenvalues.shape:
        raise ValueError(f"evidence must be {model.eigenvalues.shape}, got {evidence.shape}")
    components = model.components * _plus_or_minus(evidence)[:, None]
    return model._replace(components=components, correlation=jnp.clip(jnp.abs(evidence), 0, 1))


@jitted()
def agree(below: Model, model: Model, across: Moments) -> Model:
    """Turn the first component of the layer below, if it must be, so that both layers' indicators agree (DDT+).

    The sign is that of ``ξ₁ᵀ Cov(x, x') ξ₁'``. On its own the layer below may correlate with its aggregation map hardly
    at all, and the intersection of both masks is then background.

    Args:
        below: fitted on the layer below.
        model: fitted on the upper layer.
        across: of the descriptors of both, from ``moments.of(upper, below=lower)``.
    """
    shape = model.mean.shape[0], below.mean.shape[0]
    if across.scatter.shape != shape or across.mean.shape != (sum(shape),):
        raise ValueError(
            f"across must be the moments of both layers, a scatter of {shape}, got {across.scatter.shape}: "
            "take moments.of(upper, below=lower)"
        )
    agreement = jnp.einsum("i,ij,j", model.components[0], across.scatter, below.components[0], precision=_HIGHEST)
    flip = jnp.where(jnp.arange(len(below.components)) == 0, _plus_or_minus(agreement), 1)
    return below._replace(components=below.components * flip[:, None], correlation=below.correlation * flip)


@jitted()
def indicator_maps(model: Model, features: ArrayLike) -> jax.Array:
    """Indicator maps ``Pʲ = ξⱼᵀ (x − x̄)`` of one image (equation 3), float32 ``[k, h, w]``.

    Args:
        model: a fitted model.
        features: ``[h, w, d]`` of the layer the model was fitted on.
    """
    features = as_array("features", features, "[h, w, d]")
    check_rank("model.components", model.components, "[k, d]")
    if features.shape[-1] != model.mean.shape[-1]:
        raise ValueError(
            f"features have {features.shape[-1]} channels, the model was fitted on {model.mean.shape[-1]}: "
            "use the same layer of the same network"
        )
    centred = features.astype(jnp.float32) - model.mean
    return jnp.einsum("hwd,kd->khw", centred, model.components, precision=_HIGHEST)


@jitted()
def standard_maps(model: Model, features: ArrayLike) -> jax.Array:
    """Indicator maps in standard deviations over the set, ``Pʲ / √λⱼ``, float32 ``[k, h, w]``; 0 where ``λⱼ`` is 0.

    Args:
        model: a fitted model.
        features: ``[h, w, d]`` of the layer the model was fitted on.
    """
    indicators = indicator_maps(model, features)
    deviations = sqrt(model.eigenvalues)[:, None, None]
    return jnp.where(deviations > 0, indicators / jnp.where(deviations > 0, deviations, 1), 0)


@jitted()
def positive_cells(indicator: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Valid cells whose indicator is strictly positive, bool ``[h, w]``.

    Args:
        indicator: ``[h, w]``.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    indicator = as_array("indicator", indicator, "[h, w]")
    return (indicator > 0) & valid_cells(size, indicator.shape[:2])


@jitted()
def noise_score(indicator: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Share of valid cells that are positive: 0 means the image certainly lacks the object (section 4.5).

    Args:
        indicator: ``[h, w]``, ``P¹``.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    positive = positive_cells(indicator, size=size)
    valid = valid_cells(size, positive.shape[:2])
    return positive.sum() / jnp.maximum(valid.sum(), 1)


@jitted()
def deviation(model: Model, features: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """How an image's positive cells deviate from the set's mean: the direction of ``Σ_{P¹ > 0} (x − x̄)``.

    Args:
        model: a fitted model.
        features: ``[h, w, d]`` of the layer the model was fitted on.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.

    Returns:
        float32 ``[d]`` of unit length; zeros where no cell is positive.
    """
    positive = positive_cells(indicator_maps(model, features)[0], size=size)
    centred = jnp.asarray(features, jnp.float32) - model.mean
    return l2_normalize(jnp.where(positive[..., None], centred, 0).sum((0, 1)))


@jitted()
def alignment(deviations: ArrayLike) -> jax.Array:
    """Cosine of each image's deviation ``uᵢ`` with the set's centroid: small means that it lacks the common object.

    The centroid is the direction of ``Σ max(uᵢᵀ m, 0)³ uᵢ``, where ``m`` is that of ``Σ uᵢ``, so that images unlike
    most of the set hardly count. Unlike ``noise_score``, alignment does not depend on the size of the object.

    Args:
        deviations: ``[n, d]``, of the images of a set, see ``deviation``. Rows of zeros change nothing.

    Returns:
        float32 ``[n]`` from 0 to 1; 0 where no cell is positive.
    """
    deviations = as_array("deviations", deviations, "[n, d]", jnp.float32)
    with jax.default_matmul_precision("highest"):
        weights = jnp.maximum(deviations @ l2_normalize(deviations.sum(0)), 0) ** 3
        centroid = l2_normalize((weights[:, None] * deviations).sum(0))
        return jnp.clip(deviations @ centroid, 0, 1)


@jitted("connectivity", "backend")
def object_mask(
    indicator: ArrayLike,
    below: ArrayLike | None = None,
    *,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> jax.Array:
    """Mask of the common object, bool ``[h, w]``: DDT from one layer's ``P¹``, DDT+ from two.

    Args:
        indicator: ``[h, w]``, ``P¹`` of the deepest layer.
        below: ``[h, w]``, ``P¹`` of the convolution below it; given, the result is DDT+'s
            ``LCC(P¹ > 0) ∧ (P¹_below > 0)``, with no component step after.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
        connectivity: 8 (the released code) or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    positive = positive_cells(indicator, size=size)
    mask = components.largest_component(positive, connectivity=connectivity, backend=backend)
    if below is None:
        return mask
    positive_below = positive_cells(below, size=size)
    if positive_below.shape != mask.shape:
        raise ValueError(f"both maps must have one size, got {mask.shape} and {positive_below.shape}")
    return mask & positive_below


@jitted("connectivity", "backend", nan=True)
def localize(
    model: Model,
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    below: Model | None = None,
    features_below: ArrayLike | None = None,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Localization:
    """Indicator map, mask, box and noise score of one image.

    The score is ``s / (1 + s)``, with ``s`` the mean of ``P¹`` inside the mask in standard deviations of ``P¹`` over
    the set (``√λ₁``): 0.5 is one standard deviation.

    Args:
        model: fitted on the set (or on another set of the same object).
        features: ``[h, w, d]`` of the model's layer.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        below: model of the convolution below, for DDT+.
        features_below: ``[h, w, d]`` of that layer.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        ``Localization``, whose ``response`` is ``P¹``, whose ``positive_share`` is the noise score, and whose
        ``deviation`` is that of ``deviation``.

    Raises:
        ValueError: not one map, another dimension or size, half of DDT+, or an unknown option.
    """
    indicator = indicator_maps(model, features)[0]
    if (below is None) != (features_below is None):
        raise ValueError("DDT+ needs both below (a model) and features_below (a map), DDT neither")
    indicator_below = None if below is None or features_below is None else indicator_maps(below, features_below)[0]
    mask = object_mask(indicator, indicator_below, size=size, connectivity=connectivity, backend=backend)
    unit = sqrt(model.eigenvalues[0])
    mean = jnp.where(mask, indicator, 0).sum() / jnp.maximum(mask.sum(), 1)
    strength = jnp.where(unit > 0, mean / jnp.where(unit > 0, unit, 1), 0)
    found = mask.any()
    return Localization(
        response=indicator,
        mask=mask,
        box=boxes.mask_to_box(mask, image_size, size=size),
        found=found,
        score=jnp.where(found, strength / (1 + strength), 0),
        positive_share=noise_score(indicator, size=size),
        deviation=deviation(model, features, size=size),
    )
