"""Rules that fix the arbitrary sign of DDT's components, by name. To add one, register it in ``SIGN_RULES``.

Importing this module does not import JAX, so that commands can list the names.
"""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class SignRule:
    """How the sign of each principal component is chosen.

    Attributes:
        direction: from components ``[k, d]`` and the covariance ``[d, d]`` to numbers ``[k]``; a component whose number
            is negative is flipped. ``None`` keeps the eigensolver's signs.
        evidence: for rules that need a second pass over the images: from one image's indicator maps ``[k, h, w]``
            divided by their deviation over the set, valid cells ``[h, w]`` and class attention ``[h, w]`` (``None``
            unless ``needs_attention``) to numbers ``[k]`` and a weight ``[]``. Their sums over the set divided by the
            sum of the weights, from -1 to 1, say which components are flipped: the negative ones.
        non_negative: whether it presumes activations that are never negative.
        needs_attention: whether it looks at the class token's attention to the cells.
        doubt: what it means that the evidence, or else the correlation with the aggregation map, is weak.
    """

    direction: Callable[[Any, Any], Any] | None = None
    evidence: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None
    non_negative: bool = False
    needs_attention: bool = False
    doubt: str = "it hardly correlates with the aggregation map"


def _correlation_with_sum(components: Any, covariance: Any) -> Any:
    """``ξᵀ Cov 1``: positive where the indicator correlates with the sum of the activations."""
    return components @ covariance.sum(1)


def _largest_loading(components: Any, covariance: Any) -> Any:
    """The coordinate of largest magnitude, as in the released code."""
    import jax.numpy as jnp

    largest = jnp.argmax(jnp.abs(components), 1)
    return jnp.take_along_axis(components, largest[:, None], 1)[:, 0]


def _minority(indicators: Any, valid: Any, attention: Any) -> tuple[Any, Any]:
    """Cells at or below zero less cells above it."""
    cells = valid.sum()
    return cells - 2 * ((indicators > 0) & valid).sum((1, 2)), cells


def _border(indicators: Any, valid: Any, attention: Any) -> tuple[Any, Any]:
    """As ``_minority``, of the cells at the image's border."""
    import jax.numpy as jnp

    inner = jnp.pad(valid, 1)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return _minority(indicators, valid & ~inner, attention)


def _attention(indicators: Any, valid: Any, attention: Any) -> tuple[Any, Any]:
    """Product with the attention, centred and divided by its deviation in each image."""
    import jax.numpy as jnp

    from jaxloc._derivatives import sqrt

    cells = valid.sum()
    centred = jnp.where(valid, attention - jnp.where(valid, attention, 0).sum() / jnp.maximum(cells, 1), 0)
    deviation = sqrt((centred**2).sum() / jnp.maximum(cells, 1))
    return (indicators * centred).sum((1, 2)) / jnp.where(deviation > 0, deviation, 1), cells


SIGN_RULES = {
    "aggregation": SignRule(_correlation_with_sum, non_negative=True),
    "loading": SignRule(_largest_loading),
    "minority": SignRule(_correlation_with_sum, _minority, doubt="its sides are of about equally many cells"),
    "border": SignRule(_largest_loading, _border, doubt="its sides touch the images' border about equally"),
    "attention": SignRule(
        _largest_loading,
        _attention,
        needs_attention=True,
        doubt="it hardly correlates with the class token's attention",
    ),
    "none": SignRule(),
}
"""By name. ``"minority"``: fewer cells are positive than not; ``"border"``: fewer of those at the images' border;
``"attention"``: the indicator correlates with what the class token of a vision transformer attends to."""
