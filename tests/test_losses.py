"""Losses of distances: the worked example of coupled clusters with its gradients, and triplets."""

import jax
import numpy as np
import optax
import pytest

from jaxloc import losses
from tests.compiled import compiled

POSITIVES = np.array([[0, 0], [2, 0], [1, 3]], np.float32)
NEGATIVES = np.array([[1, -1], [4, 1], [1, 5]], np.float32)
LOSSES = compiled(losses)


@pytest.mark.parametrize(
    ("margin", "loss", "positives", "negative"),
    [
        (1.0, 0.5, [[0, 0], [0, 0], [0, 2]], [0, 2]),
        (3.0, 2.5, [[-1, -1], [1, -1], [0, 2]], [0, 6]),
        (0.5, 0.25, [[0, 0], [0, 0], [0, 2]], [0, 2]),
    ],
)
def test_coupled_clusters(margin, loss, positives, negative):
    assert LOSSES.coupled_clusters(POSITIVES, NEGATIVES, margin=margin) == pytest.approx(loss)
    found = jax.grad(losses.coupled_clusters, argnums=(0, 1))(POSITIVES, NEGATIVES, margin=margin)
    np.testing.assert_allclose(found[0], positives, atol=1e-6)
    np.testing.assert_allclose(found[1], [negative, [0, 0], [0, 0]], atol=1e-6)


def test_triplets_are_optax_s_of_squared_distances():
    anchors, positives, negatives = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    near, far = (np.square(anchors - others).sum(1) for others in (positives, negatives))
    expected = np.maximum(near - far + 0.7, 0).sum() / 2
    assert LOSSES.triplets(anchors, positives, negatives, margin=0.7) == pytest.approx(expected)
    line = np.zeros((3, 4), np.float32), np.eye(3, 4, dtype=np.float32), 2 * np.eye(3, 4, dtype=np.float32)
    roots = optax.losses.triplet_margin_loss(*line, margin=1.5, eps=0).sum()
    assert LOSSES.triplets(*line, margin=3.5) == pytest.approx(roots / 2)


def test_a_lost_axis_is_named():
    with pytest.raises(ValueError, match=r"positives must be \[p, d\]"):
        losses.coupled_clusters(POSITIVES[0], NEGATIVES)
    with pytest.raises(ValueError, match=r"negatives must be \[n, d\]"):
        losses.triplets(POSITIVES, POSITIVES, NEGATIVES[None])
