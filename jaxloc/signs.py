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
        direction_by_share: for rules that need a second pass over the images: from the share of all cells of the set
            at which each component's indicator is positive, ``[k]``, to numbers ``[k]`` as above.
    """

    direction: Callable[[Any, Any], Any] | None = None
    direction_by_share: Callable[[Any], Any] | None = None


def _correlation_with_sum(components: Any, covariance: Any) -> Any:
    """``ξᵀ Cov 1``: positive where the indicator correlates with the sum of the activations."""
    return components @ covariance.sum(1)


def _largest_loading(components: Any, covariance: Any) -> Any:
    """The coordinate of largest magnitude, as in the released code."""
    import jax.numpy as jnp

    largest = jnp.argmax(jnp.abs(components), 1)
    return jnp.take_along_axis(components, largest[:, None], 1)[:, 0]


SIGN_RULES = {
    "aggregation": SignRule(_correlation_with_sum),
    "loading": SignRule(_largest_loading),
    "minority": SignRule(_correlation_with_sum, direction_by_share=lambda share: 0.5 - share),
    "none": SignRule(),
}
"""By name. ``"minority"``: fewer cells are positive than not."""
