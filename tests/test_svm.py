"""The linear SVM against scikit-learn's, which solves the same problem by another route."""

import functools

import jax
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jaxloc import svm
from tests.compiled import compiled, jitted
from tests.soaked import soaked

svm = compiled(svm)

TALL, WIDE = (300, 20, 5), (100, 4096, 3)
"""Vectors, dimensions, classes; few shapes, since each is compiled."""


def fit(vectors, targets, *, classes, valid=None, regularization=1.0, iterations=500) -> svm.LinearSVM:
    """With every option given, so that one program serves all problems of a shape."""
    valid = np.ones(len(vectors), bool) if valid is None else valid
    limits = {"regularization": np.float32(regularization), "iterations": np.int32(iterations)}
    return svm.fit(vectors, targets, classes=classes, valid=valid, **limits)


def problem(count: int, dimension: int, classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of non-negative vectors of length 1, like pooled activations."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dimension))
    vectors = np.maximum(centres[targets] + 2 * rng.normal(size=(count, dimension)), 0)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), targets


def reference(vectors: np.ndarray, targets: np.ndarray, regularization: float = 1.0) -> LinearSVC:
    dual = vectors.shape[0] < vectors.shape[1]
    machine = LinearSVC(dual=dual, tol=1e-9, C=regularization, max_iter=100_000, random_state=0)
    return machine.fit(vectors.astype(np.float64), targets)


def cosines(found: svm.LinearSVM, expected: LinearSVC) -> np.ndarray:
    a, b = np.c_[found.weights, found.bias].astype(np.float64), np.c_[expected.coef_, expected.intercept_]
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("regularization", soaked([0.01, 1.0, 100.0], [1.0]))
@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_equals_scikit_learn(shape, regularization):
    vectors, targets = problem(*shape)
    found = fit(vectors, targets, classes=shape[2], regularization=regularization)
    expected = reference(vectors, targets, regularization)
    assert found.converged.all()
    assert found.present.all()
    assert cosines(found, expected).min() > 0.9999
    np.testing.assert_allclose(found.bias, expected.intercept_, rtol=1e-3, atol=1e-3)
    unseen, truth = problem(*shape, seed=1)
    values = svm.decision(found, unseen)
    np.testing.assert_allclose(values, expected.decision_function(unseen), atol=2e-3 * np.abs(values).max())
    predicted = svm.predict(found, unseen)
    assert (predicted == expected.predict(unseen)).mean() > 0.98
    assert (predicted == truth).mean() > 2 / shape[2]


@pytest.mark.parametrize("shape", soaked([TALL, WIDE], [TALL]))
def test_vectors_that_are_not_valid_do_not_count(shape):
    vectors, targets = problem(*shape)
    valid = np.arange(len(vectors)) % 7 != 3
    garbage = np.where(valid[:, None], vectors, np.nan)
    found = fit(garbage, np.where(valid, targets, 0), classes=shape[2], valid=valid)
    assert cosines(found, reference(vectors[valid], targets[valid])).min() > 0.9999


@pytest.mark.parametrize("names", [(0, 2, 3), (3,)])
def test_a_class_without_vectors_is_never_predicted(names):
    vectors, targets = problem(*TALL)
    found = fit(vectors, np.asarray(names)[targets % len(names)], classes=5)
    np.testing.assert_array_equal(found.present, np.isin(np.arange(5), names))
    assert np.isneginf(svm.decision(found, -100 * vectors)[:, ~found.present]).all()
    assert set(svm.predict(found, -100 * vectors).tolist()) <= set(names)
    assert np.isfinite(found.weights).all()


def test_of_one_class_alone_everything_is_of_that_class():
    vectors, _ = problem(*TALL)
    found = fit(vectors, np.zeros(len(vectors), int), classes=1)
    np.testing.assert_array_equal(svm.predict(found, vectors), 0)
    assert (svm.decision(found, vectors) > 0).all()


def test_no_vectors_at_all_give_zeros():
    vectors, targets = problem(*TALL)
    found = fit(vectors, targets, classes=5, valid=np.zeros(len(vectors), bool))
    np.testing.assert_array_equal(found.weights, 0)
    assert not found.present.any()
    assert found.converged.all()


def test_a_vector_of_no_class_stands_against_every_class():
    vectors, targets = problem(*TALL)
    outside = fit(vectors, np.where(targets == 4, -1, targets), classes=5)
    inside = fit(vectors, targets, classes=5)
    np.testing.assert_allclose(outside.weights[:4], inside.weights[:4], rtol=1e-4, atol=1e-5)
    assert not outside.present[4]


def test_vmap_is_a_loop():
    (vectors, targets), (other, _) = problem(*TALL), problem(*TALL, seed=3)
    together = jitted(jax.vmap(lambda x, c: svm.fit(x, targets, classes=5, regularization=c)))(
        np.stack([vectors, other]), np.array([0.5, 10.0], np.float32)
    )
    for index, (one, value) in enumerate(((vectors, 0.5), (other, 10.0))):
        alone = fit(one, targets, classes=5, regularization=value)
        np.testing.assert_allclose(together.weights[index], alone.weights, rtol=1e-3, atol=1e-3)


def test_out_of_steps_is_a_flag():
    vectors, targets = problem(*TALL)
    found = fit(vectors, targets, classes=5, regularization=100.0, iterations=2)
    assert not found.converged.any()
    np.testing.assert_array_equal(found.iterations, 2)
    assert np.isfinite(found.weights).all()


def test_wrong_arguments_are_refused():
    vectors, targets = problem(6, 8, 2)
    good = functools.partial(svm.fit, classes=2)
    with pytest.raises(ValueError, match=r"vectors must be \[n, d\].*jax\.vmap"):
        good(vectors[None], targets)
    with pytest.raises(ValueError, match=r"targets must be integers \(6,\).*\(5,\)"):
        good(vectors, targets[:5])
    with pytest.raises(ValueError, match=r"valid must be \(6,\)"):
        good(vectors, targets, valid=np.ones(7, bool))
    with pytest.raises(ValueError, match="targets must be integers"):
        good(vectors, targets.astype(float))
    with pytest.raises(ValueError, match="at least 1"):
        svm.fit(vectors, targets, classes=0)
    model = svm.LinearSVM(np.ones((2, 8), np.float32), *np.ones((4, 2), np.float32))
    with pytest.raises(ValueError, match="8 dimensions like the model, got 2"):
        svm.predict(model, vectors[:, :2])
