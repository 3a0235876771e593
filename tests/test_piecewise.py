"""Piecewise mappings: the worked example, what a new one does, and what training it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxloc import piecewise
from tests.compiled import compiled

piecewise = compiled(piecewise)

MAPPING = piecewise.Mapping(
    (np.array([[[2, 0], [0, 1]], [[1, 0], [1, 1]]], np.float32),),  # inputs before outputs: the transposes of M₁ and M₂
    (np.array([[0, 0], [0.5, 0]], np.float32),),
)
MEANS = np.array([[1, 0, 0, 1], [0, 1, 1, 0]], np.float32)


def test_worked_example():
    found = piecewise.classifiers(MAPPING, MEANS)
    np.testing.assert_allclose(found, [[2, 0, 1.5, 1], [0, 1, 1.5, 0]], atol=1e-7)
    logits = found @ np.array([1, 0, 0.5, 0.5], np.float32)
    np.testing.assert_allclose(logits, [3.25, 0.75], atol=1e-7)
    assert jax.nn.softmax(logits)[0] == pytest.approx(0.92414182, abs=1e-7)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, 0)
    assert loss == pytest.approx(0.07888973, rel=1e-5)  # in float32


def test_each_piece_is_mapped_by_its_own_perceptron():
    mapping = piecewise.init(jax.random.key(0), pieces=3, dimension=4, hidden=(5,), residual=False)
    means = np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)
    (first, last), found = mapping.weights, piecewise.classifiers(mapping, means, gain=2.0)
    for piece in range(3):
        hidden = 2 * means[:, 4 * piece : 4 * piece + 4] @ np.asarray(first[piece])
        expected = np.where(hidden > 0, hidden, np.expm1(hidden)) @ np.asarray(last[piece])
        np.testing.assert_allclose(found[:, 4 * piece : 4 * piece + 4], expected, rtol=1e-5, atol=1e-6)


def test_the_residual_form_begins_as_the_scaled_mean_and_learns():
    mapping = piecewise.init(jax.random.key(0), pieces=2, dimension=2, hidden=(3,), log_scale=1.0)
    np.testing.assert_allclose(piecewise.classifiers(mapping, MEANS), np.e * MEANS, rtol=1e-6)
    gradient = jax.grad(lambda mapping: piecewise.classifiers(mapping, jnp.asarray(MEANS)).sum())(mapping)
    assert all(np.abs(leaf).max() > 0 for leaf in (gradient.weights[-1], gradient.biases[-1], gradient.log_scale))


def test_means_of_classes():
    vectors = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.float32)
    found = piecewise.class_means(vectors, np.array([0, 2, 0, -1]), classes=3)
    np.testing.assert_allclose(found, [[3, 4], [0, 0], [3, 4]])


def test_means_of_another_length_are_refused():
    with pytest.raises(ValueError, match="means must have 2 pieces of 2 numbers, got 5 numbers"):
        piecewise.classifiers(MAPPING, np.zeros((1, 5), np.float32))
