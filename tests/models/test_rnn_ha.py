"""Heads that tell identities apart: worked examples, padding, and what each variant leaves out."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc.models.rnn_ha import MixedDifference, RnnHa, attend
from tests.soaked import soaked

FEATURES = np.maximum(np.random.default_rng(0).normal(size=(4, 5, 6)), 0).astype(np.float32)
SIZE = np.array([4, 5], np.int32)
HEADS = {
    "rnn-ha": RnnHa(3, 7, hidden=8),
    "rnn-h": RnnHa(3, 7, hidden=8, attentive=False),
    "fc-ha": RnnHa(3, 7, hidden=8, recurrent=False),
    "mixed": MixedDifference(3, hidden=8),
    "plain": MixedDifference(hidden=8, mixed=False),
}


@functools.cache
def made(name):
    """Parameters of a head, and the head compiled."""
    head = HEADS[name]
    return jax.jit(head.init)(jax.random.key(1), FEATURES, SIZE), jax.jit(head.apply)


def test_attention():
    features = np.array([[[1, 0], [0, 2], [1, 1], [9, 9]]], np.float32)
    valid = np.array([[True, True, True, False]])
    attended, shares = attend(features, valid, np.array([1, -1], np.float32))
    np.testing.assert_allclose(shares[0], [0.61559039, 0.05949741, 0.32491220, 0], rtol=1e-6)
    np.testing.assert_allclose(attended, [0.94050259, 0.44390701], rtol=1e-6)
    nothing, _ = attend(features, ~valid & valid, np.ones(2, np.float32))
    np.testing.assert_array_equal(nothing, 0)


def test_the_unit_is_the_paper_s():
    one, bias = (lambda value: {"kernel": jnp.full((1, 1), value)}), {"bias": jnp.zeros(1)}
    params = {"iz": one(0.5) | bias, "ir": one(1.0) | bias, "in": one(2.0) | bias}
    params |= {"hz": one(0.5), "hr": one(1.0), "hn": one(2.0) | bias}
    after, _ = nn.GRUCell(1).apply({"params": params}, jnp.array([0.5]), jnp.array([1.0]))
    assert after[0] == pytest.approx(0.65812804, abs=1e-7)


@pytest.mark.parametrize("name", soaked(HEADS, ["plain", "mixed", "rnn-ha"]))
def test_heads_do_not_see_padding(name):
    params, apply = made(name)
    found = apply(params, FEATURES, SIZE)
    padded = np.full((6, 8, 6), 3, np.float32)
    padded[:4, :5] = FEATURES
    again = jax.jit(jax.vmap(HEADS[name].apply, (None, 0, 0)))(params, padded[None], SIZE[None])
    np.testing.assert_allclose(again.vector[0], found.vector, atol=1e-6)
    length = np.linalg.norm(found.vector)
    assert length == pytest.approx(1 if found.identity is None else 2**0.5, abs=1e-5)
    assert (found.kind is None) == (name == "plain")
    if found.attention is not None:
        assert found.attention.sum() == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(again.attention[0, :4, :5], found.attention, atol=1e-6)
    empty = apply(params, FEATURES, np.zeros_like(SIZE))
    assert np.isfinite(empty.vector).all()


def test_without_attention_both_looks_are_the_average():
    constant = np.broadcast_to(FEATURES.mean((0, 1)), FEATURES.shape)
    params, apply = made("rnn-h")
    varied, flat = (apply(params, features, SIZE).vector for features in (FEATURES, constant))
    np.testing.assert_allclose(varied, flat, atol=1e-5)
    params, apply = made("rnn-ha")
    varied, flat = (apply(params, features, SIZE).vector for features in (FEATURES, constant))
    np.testing.assert_allclose(varied[:8], flat[:8], atol=1e-5)
    assert np.abs(varied[8:] - flat[8:]).max() > 1e-3
