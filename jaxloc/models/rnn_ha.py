"""Heads on feature maps that tell apart identities of one kind: first the kind, then the identity within it.

Wei, Zhang, Liu, Shen & Wu, "Coarse-to-fine: a RNN-based hierarchical attention model for vehicle re-identification",
ACCV 2018: ``RnnHa``, and its two ablations. Liu et al., "Deep relative distance learning", CVPR 2016:
``MixedDifference``. Where the papers' texts are silent: the attention is the softplus of the product with the signal,
over its sum; the state has 512 dimensions; an image is compared by both outputs, each of unit length.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc.grids import valid_cells
from jaxloc.pooling import average_pool, l2_normalize


class Identified(NamedTuple):
    """What a head says of an image.

    Attributes:
        vector: float32 ``[k]``, what images are compared by.
        kind: scores of the coarse classes, ``[coarse]``; ``None`` where the head has no such classifier.
        identity: scores of the identities, ``[identities]``; likewise.
        attention: ``[h, w]``, the share of each cell in the second look; likewise.
    """

    vector: jax.Array
    kind: jax.Array | None = None
    identity: jax.Array | None = None
    attention: jax.Array | None = None


def attend(features: ArrayLike, valid: ArrayLike, signal: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """``x = Σ a f`` with ``a = s/Σs`` and ``s = softplus(wᵀf)`` over the valid cells; zeros without any.

    Args:
        features: ``[h, w, d]``.
        valid: bool ``[h, w]``.
        signal: ``[d]``, w.

    Returns:
        the attended vector, ``[d]``, and the share of each cell, ``[h, w]``.
    """
    features, valid = jnp.asarray(features), jnp.asarray(valid)
    strength = jnp.where(valid, jax.nn.softplus(features @ jnp.asarray(signal)), 0)
    total = strength.sum()
    shares = strength / jnp.where(total > 0, total, 1)
    return jnp.einsum("hw,hwd->d", shares, features), shares


class RnnHa(nn.Module):
    """A GRU that sees the image's average first, then what the first output directs its attention to.

    Attributes:
        kinds: number of coarse classes; 0 leaves out their classifier, for images to be compared only.
        identities: number of identities; likewise.
        recurrent: False puts a fully connected layer in place of the GRU at each step (FC-HA).
        attentive: False shows the average twice (RNN-H).
    """

    kinds: int = 0
    identities: int = 0
    hidden: int = 512
    recurrent: bool = True
    attentive: bool = True

    @nn.compact
    def __call__(self, features: jax.Array, size: jax.Array) -> Identified:
        """Look at one image's map ``[h, w, d]``, of which ``size`` rows and columns are valid."""
        valid = valid_cells(size, features.shape[:2])
        average = average_pool(features, valid)
        if self.recurrent:
            cell = nn.GRUCell(self.hidden, name="gru")
            first, _ = cell(jnp.zeros(self.hidden), average)
        else:
            first = nn.relu(nn.Dense(self.hidden, name="first")(average))
        second_look, shares = average, None
        if self.attentive:
            signal = nn.Dense(features.shape[-1], name="signal")(nn.relu(nn.Dense(self.hidden, name="guide")(first)))
            second_look, shares = attend(features, valid, signal)
        if self.recurrent:
            second, _ = cell(first, second_look)
        else:
            second = nn.relu(nn.Dense(self.hidden, name="second")(second_look))
        vector = jnp.concatenate([l2_normalize(first), l2_normalize(second)])
        kind = nn.Dense(self.kinds, name="kind")(first) if self.kinds else None
        identity = nn.Dense(self.identities, name="identity")(second) if self.identities else None
        return Identified(vector, kind, identity, shares)


class MixedDifference(nn.Module):
    """A vector whose distances are learnt: of one branch, or mixed of one that knows the kind and one that does not.

    Attributes:
        kinds: number of coarse classes; 0 leaves out their classifier.
        hidden: dimensions of each layer and of the vector.
        mixed: whether there is a branch that knows the kind.
    """

    kinds: int = 0
    hidden: int = 512
    mixed: bool = True

    @nn.compact
    def __call__(self, features: jax.Array, size: jax.Array) -> Identified:
        """Look at one image's map ``[h, w, d]``, of which ``size`` rows and columns are valid."""
        average = average_pool(features, valid_cells(size, features.shape[:2]))
        branch, kind = nn.relu(nn.Dense(self.hidden, name="difference")(average)), None
        if self.mixed:
            known = nn.relu(nn.Dense(self.hidden, name="known")(average))
            kind = nn.Dense(self.kinds, name="kind")(known) if self.kinds else None
            branch = jnp.concatenate([known, branch])
        return Identified(l2_normalize(nn.Dense(self.hidden, name="vector")(branch)), kind)
