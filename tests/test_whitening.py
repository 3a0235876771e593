"""Whitening against scikit-learn, NumPy in float64 and loops over pairs; few samples, empty images, streams."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from jaxloc import moments, whitening
from tests.reference import whitening as reference

CENTRED = pytest.mark.parametrize("centred", [True, False], ids=["PCA", "SVD"])

# Compiled whole, because hundreds of small eager compilations would take most of the time.
spectrum_of_samples = jax.jit(whitening.spectrum_of_samples, static_argnames="centred")
pairs_of_samples = jax.jit(whitening.pairs_of_samples)
merge_pairs = jax.jit(whitening.merge_pairs)
apply = jax.jit(whitening.apply)


@jax.jit
def pairs_of_class(x, members):
    return whitening.pairs_of_class(moments.of(x, members))


@functools.partial(jax.jit, static_argnames="centred")
def spectrum_of(x, *, centred):
    return whitening.spectrum(moments.of(x), centred=centred)


@functools.partial(jax.jit, static_argnames=("dimension", "floor"))
def learn(x, labels, *, dimension, floor=1e-6):
    return whitening.fit_supervised(whitening.pairs_of_samples(x, labels), dimension=dimension, floor=floor)


def samples(count: int = 200, dimension: int = 24, seed: int = 0) -> np.ndarray:
    """Correlated, off centre, and with directions far enough apart that each has one answer."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(99).normal(size=(dimension, dimension)))[0]
    return ((rng.normal(size=(count, dimension)) * 0.85 ** np.arange(dimension)) @ turn + 0.3).astype(np.float32)


def labelled(count: int = 60, dimension: int = 8, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count) * 7 - 3
    centres = {label: rng.normal(size=dimension) for label in np.unique(labels)}
    mixing = rng.normal(size=(dimension, dimension))
    x = np.array([centres[label] for label in labels]) + 0.3 * rng.normal(size=(count, dimension)) @ mixing
    return (x + 2).astype(np.float32), labels


def unit(y: np.ndarray) -> np.ndarray:
    return y / np.linalg.norm(y, axis=-1, keepdims=True)


def assert_same_up_to_sign(found, expected, atol=1e-4) -> None:
    """Compares columns, each of which may be turned round."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found * np.sign((found * expected).sum(0)), expected, atol=atol)


@pytest.mark.parametrize("of_samples", [True, False])
@pytest.mark.parametrize("whiten", [True, False])
def test_pca_is_scikit_learns(of_samples, whiten):
    x, queries = samples(), samples(30, seed=1)
    found = spectrum_of_samples(x, centred=True) if of_samples else spectrum_of(x, centred=True)
    oracle = PCA(10, whiten=whiten, svd_solver="full").fit(x.astype(np.float64))
    fitted = whitening.fit(found, dimension=10, power=float(whiten))
    assert_same_up_to_sign(apply(fitted, queries), unit(oracle.transform(queries)))
    np.testing.assert_allclose(found.eigenvalues[:10] * 200 / 199, oracle.explained_variance_, rtol=1e-4)


@pytest.mark.parametrize("of_samples", [True, False])
def test_svd_is_scikit_learns_and_leaves_the_mean_in(of_samples):
    x, queries = samples(), samples(30, seed=1)
    found = spectrum_of_samples(x, centred=False) if of_samples else spectrum_of(x, centred=False)
    oracle = TruncatedSVD(10, algorithm="arpack").fit(x.astype(np.float64))
    fitted = whitening.fit(found, dimension=10, power=0)
    assert_same_up_to_sign(apply(fitted, queries), unit(oracle.transform(queries)))
    np.testing.assert_allclose(np.sqrt(found.eigenvalues[:10] * 200), oracle.singular_values_, rtol=1e-4)
    np.testing.assert_array_equal(found.mean, 0)


@CENTRED
@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_power_goes_from_rotation_to_whitening(centred, power):
    x, queries = samples(), samples(30, seed=1)
    fitted = whitening.fit(spectrum_of(x, centred=centred), dimension=12, power=power)
    assert_same_up_to_sign(apply(fitted, queries), reference.whiten(queries, x, centred, dimension=12, power=power))


@CENTRED
def test_whitened_samples_have_unit_moments(centred):
    x = samples()
    fitted = whitening.fit(spectrum_of(x, centred=centred), dimension=24)
    y = (x - fitted.mean) @ fitted.projection
    np.testing.assert_allclose(y.T @ y / len(x), np.eye(24), atol=1e-3)


@CENTRED
@pytest.mark.parametrize(("count", "dimension"), [(200, 24), (24, 24), (9, 40)])
def test_samples_and_their_moments_have_one_spectrum_with_the_same_signs(centred, count, dimension):
    x = samples(count, dimension)
    few, many = spectrum_of_samples(x, centred=centred), spectrum_of(x, centred=centred)
    size = min(count, dimension)
    np.testing.assert_allclose(few.eigenvalues, many.eigenvalues[:size], atol=1e-5 * float(many.eigenvalues[0]))
    np.testing.assert_allclose(few.mean, many.mean, atol=1e-6)
    assert float(few.total) == float(many.total) == count
    lead = 2 * size // 3  # The eigenvalues of the last are too close together for float32 to tell directions apart.
    np.testing.assert_allclose(few.components[:, :lead], many.components[:, :lead], atol=3e-4)
    np.testing.assert_array_equal(many.components[:, size:], 0)


@CENTRED
def test_stream_equals_all_at_once(centred):
    x = samples(300)
    part = np.random.default_rng(0).choice(5, 300, p=[0.01, 0.1, 0.29, 0.3, 0.3])
    of, merge = jax.jit(moments.of), jax.jit(moments.merge)
    stream = functools.reduce(merge, [of(x, part == number) for number in range(5)])
    queries = samples(30, seed=1)
    one, other = (
        apply(whitening.fit(found, dimension=16), queries)
        for found in (whitening.spectrum(stream, centred=centred), spectrum_of(x, centred=centred))
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


@CENTRED
def test_padding_does_not_count_even_if_not_finite(centred):
    x = samples(12, 30)
    valid = np.zeros(20, bool)
    valid[np.random.default_rng(0).permutation(20)[:12]] = True
    padded = np.full((20, 30), np.nan, np.float32)
    padded[valid] = x
    alone = spectrum_of_samples(x, centred=centred)
    found = spectrum_of_samples(padded, valid, centred=centred)
    assert float(found.total) == 12
    np.testing.assert_allclose(found.eigenvalues[:12], alone.eigenvalues, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.components[:, :11], alone.components[:, :11], atol=1e-4)
    np.testing.assert_array_equal(found.components[:, 12:], 0)


def test_sign_of_each_component_makes_its_largest_coordinate_positive():
    for found in (spectrum_of(samples(), centred=True), spectrum_of_samples(-samples(), centred=True)):
        largest = np.abs(found.components).argmax(0)
        assert (np.take_along_axis(np.asarray(found.components), largest[None], 0) > 0).all()


@pytest.mark.parametrize("make", [spectrum_of, spectrum_of_samples], ids=["moments", "samples"])
def test_rank_counts_what_the_samples_determine(make):
    assert int(whitening.rank(make(samples(9, 40), centred=True))) == 8
    assert int(whitening.rank(make(samples(9, 40), centred=False))) == 9
    flat = samples(50, 24)[:, :5] @ np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    assert int(whitening.rank(make(flat, centred=False))) == 5
    assert int(whitening.rank(make(samples(), centred=True), floor=0.5)) < 24
    same = np.repeat(samples(1) * 100, 1000, 0)
    assert int(whitening.rank(make(same, centred=True))) == 0
    assert int(whitening.rank(make(same, centred=False))) == 1
    nothing = make(np.zeros((4, 6)), centred=False)
    assert int(whitening.rank(nothing)) == 0


def test_dimension_above_the_rank_is_refused_with_the_cure():
    few = spectrum_of_samples(samples(9, 40), centred=True)
    with pytest.raises(ValueError, match=r"12 is above the rank 8 of the 9 samples.*at most 8, or fit on more"):
        whitening.fit(few, dimension=12)
    with pytest.raises(ValueError, match="above the rank 8"):
        whitening.fit(spectrum_of(samples(9, 40), centred=True), dimension=9)
    assert whitening.fit(few, dimension=8).projection.shape == (40, 8)


@CENTRED
def test_under_jit_a_dimension_above_the_rank_stays_finite_and_small(centred):
    flat = samples(50, 24)[:, :5] @ np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    fit = jax.jit(lambda x: whitening.fit(spectrum_of(x, centred=centred), dimension=30))
    fitted = fit(flat)
    bound = 1e3 / np.sqrt(float(spectrum_of(flat, centred=centred).eigenvalues[0]))
    assert np.isfinite(fitted.projection).all()
    assert np.linalg.norm(fitted.projection, axis=0).max() <= 1.001 * bound
    few = jax.jit(lambda x: whitening.fit(spectrum_of(x, centred=centred), dimension=30))(samples(9, 40))
    np.testing.assert_array_equal(few.projection[:, 9 - centred :], 0)


@pytest.mark.parametrize("make", [spectrum_of, spectrum_of_samples], ids=["moments", "samples"])
def test_set_of_one_has_no_centred_direction_and_one_about_zero(make):
    x = samples(1)
    with pytest.raises(ValueError, match=r"rank 0 of the 1 samples.*: fit on more"):
        whitening.fit(make(x, centred=True), dimension=1)
    alone = apply(whitening.fit(make(x, centred=False), dimension=1), x)
    np.testing.assert_allclose(np.abs(alone), [[1]], atol=1e-6)
    under_jit = jax.jit(lambda x: apply(whitening.fit(make(x, centred=True), dimension=1), x))(x)
    np.testing.assert_array_equal(under_jit, 0)


@CENTRED
def test_zero_vector_stays_zero_and_every_other_has_unit_length(centred):
    x = samples()
    fitted = whitening.fit(spectrum_of(x, centred=centred), dimension=6)
    found = np.asarray(apply(fitted, np.stack([x[0], np.zeros(24, np.float32), -x[1]])))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), [1, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(apply(fitted, np.zeros(24)), 0)


def test_apply_takes_any_leading_axes_and_jits_and_vmaps():
    x = samples()
    fitted = whitening.fit(spectrum_of(x, centred=True), dimension=6)
    stack = x.reshape(4, 50, 24)
    expected = whitening.apply(fitted, x)
    np.testing.assert_allclose(whitening.apply(fitted, stack).reshape(200, 6), expected, atol=1e-6)
    np.testing.assert_allclose(apply(fitted, x), expected, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(whitening.apply, (None, 0))(fitted, x), expected, atol=1e-6)
    several = jax.vmap(lambda x: whitening.fit(spectrum_of(x, centred=True), dimension=6))(stack)
    for one, part in enumerate(stack):
        alone = whitening.fit(spectrum_of(part, centred=True), dimension=6)
        np.testing.assert_allclose(several.projection[one], alone.projection, atol=2e-3)


def test_many_dimensions_and_few_samples():
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(50, 4096))).astype(np.float32)
    fitted = whitening.fit(spectrum_of_samples(x, centred=False), dimension=32)
    assert_same_up_to_sign(apply(fitted, x), reference.whiten(x, x, False, 32, 1), atol=1e-3)


def pairs_by_class(x: np.ndarray, labels: np.ndarray) -> whitening.Pairs:
    return functools.reduce(merge_pairs, [pairs_of_class(x, labels == label) for label in np.unique(labels)])


@pytest.mark.parametrize("gather", [pairs_of_samples, pairs_by_class])
def test_sums_over_pairs_are_those_of_a_loop(gather):
    x, labels = labelled()
    matching, non_matching = reference.pair_sums(x, labels)
    found = gather(x, labels)
    np.testing.assert_allclose(found.matching, matching, atol=1e-5 * np.abs(matching).max())
    np.testing.assert_allclose(found.non_matching, non_matching, atol=1e-5 * np.abs(non_matching).max())
    assert moments.count(found.moments) == len(x)
    np.testing.assert_allclose(
        found.matching + found.non_matching, len(x) * found.moments.scatter, atol=1e-5 * np.abs(non_matching).max()
    )


def test_pairs_merge_in_any_order():
    x, labels = labelled()
    a, b, c = (pairs_of_class(x, labels == label) for label in np.unique(labels)[:3])
    left, right = merge_pairs(merge_pairs(a, b), c), merge_pairs(b, merge_pairs(c, a))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2), left, right)


def test_padding_adds_no_pair_even_with_a_label_of_its_own():
    x, labels = labelled(20)
    valid = np.arange(26) < 20
    padded = np.concatenate([x, np.full((6, 8), np.nan, np.float32)])
    found = pairs_of_samples(padded, np.append(labels, [labels[0]] * 3 + [1000] * 3), valid)
    expected = pairs_of_samples(x, labels)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2), found, expected)


@pytest.mark.parametrize("dimension", [8, 3])
def test_supervised_projection_is_that_of_a_loop_over_pairs(dimension):
    x, labels = labelled()
    matching, non_matching = reference.pair_sums(x, labels)
    expected = reference.supervised_projection(matching, non_matching)[:dimension].T
    fitted = learn(x, labels, dimension=dimension)
    queries = labelled(30, seed=0)[0]
    projected = (queries.astype(np.float64) - x.astype(np.float64).mean(0)) @ expected
    assert_same_up_to_sign(apply(fitted, queries), unit(projected))
    scale = np.linalg.norm(fitted.projection) / np.linalg.norm(expected)
    assert_same_up_to_sign(fitted.projection / scale, expected, atol=1e-4 * np.abs(expected).max())


def test_supervised_projection_makes_both_scatters_diagonal():
    x, labels = labelled()
    pairs = pairs_of_samples(x, labels)
    projection = np.asarray(whitening.fit_supervised(pairs, dimension=8).projection, np.float64)
    inside, across = (projection.T @ np.asarray(scatter, np.float64) @ projection for scatter in pairs[1:])
    np.testing.assert_allclose(inside / inside[0, 0], np.eye(8), atol=1e-4)
    np.testing.assert_allclose(across, np.diag(np.diag(across)), atol=1e-4 * across.max())
    assert (np.diff(np.diag(across)) < 0).all()


def test_supervised_whitening_brings_classes_together_that_noise_kept_apart():
    rng = np.random.default_rng(0)

    def make(count):
        labels = rng.integers(0, 4, count)
        return np.concatenate(
            [np.eye(4)[labels] + 0.05 * rng.normal(size=(count, 4)), 3 * rng.normal(size=(count, 6))], 1
        ), labels

    def right(y, labels):
        similarity = np.asarray(y) @ np.asarray(y).T - 2 * np.eye(len(labels))
        return np.mean(labels[similarity.argmax(1)] == labels)

    (x, labels), (queries, truth) = make(60), make(60)
    fitted = learn(x, labels, dimension=3)
    assert right(apply(fitted, queries), truth) == 1
    assert right(unit(queries), truth) < 0.7


def test_supervised_with_fewer_samples_than_dimensions_is_bounded():
    x, labels = labelled(12, 30, classes=4)
    fitted = learn(x, labels, dimension=8)
    assert np.isfinite(fitted.projection).all()
    lengths = np.linalg.norm(fitted.projection, axis=0)
    gentle = learn(x, labels, dimension=8, floor=0.1)
    assert np.linalg.norm(gentle.projection, axis=0).max() < lengths.max() / 10
    unseen = np.linalg.svd(x - x.mean(0))[2][12:]
    assert np.abs(unseen @ np.asarray(fitted.projection)).max() < 1e-3 * lengths.max()


def test_supervised_under_jit_equals_eager_and_never_yields_nan():
    fit = functools.partial(learn, dimension=6)
    x, labels = labelled()
    alone = np.arange(60)
    same = x[:1].repeat(60, 0)
    for broken in ((x, labels * 0), (x, alone), (x * 0, labels), (same, labels), (same, alone)):
        assert np.isfinite(fit(*broken).projection).all()
    eager = whitening.fit_supervised(whitening.pairs_of_samples(x, labels), dimension=6)
    np.testing.assert_allclose(fit(x, labels).projection, eager.projection, rtol=1e-3, atol=1e-3)


def test_wrong_arguments_are_refused():
    x, labels = labelled()
    found = spectrum_of(x, centred=True)
    for dimension in (0, 9):
        with pytest.raises(ValueError, match="between 1 and that of the vectors, 8"):
            whitening.fit(found, dimension=dimension)
    with pytest.raises(ValueError, match="power must be 0"):
        whitening.fit(found, dimension=2, power=-1)
    for floor in (0, 1):
        with pytest.raises(ValueError, match="share of the largest"):
            whitening.fit(found, dimension=2, floor=floor)
    fitted = whitening.fit(found, dimension=2)
    for wrong in (np.ones(7), 3.0):
        with pytest.raises(ValueError, match=r"vectors must be \[\.\.\., 8\]"):
            apply(fitted, wrong)
    with pytest.raises(ValueError, match=r"samples must be \[n, d\]"):
        spectrum_of_samples(x[0], centred=True)
    with pytest.raises(ValueError, match="one flag per sample"):
        spectrum_of_samples(x, np.ones(3, bool), centred=True)
    with pytest.raises(ValueError, match="labels must be integers"):
        pairs_of_samples(x, labels.astype(float))
    with pytest.raises(ValueError, match="labels must be integers"):
        pairs_of_samples(x, labels[:3])
    with pytest.raises(ValueError, match="components that so few samples have"):
        jax.jit(lambda x: whitening.fit(spectrum_of_samples(x, centred=True), dimension=6))(x[:4])


def test_pairs_of_one_kind_are_refused():
    x, labels = labelled()
    for only in (labels * 0, np.arange(len(x))):
        with pytest.raises(ValueError, match="pair differs: supervised whitening needs two classes"):
            whitening.fit_supervised(pairs_of_samples(x, only), dimension=2)
    with pytest.raises(ValueError, match="above the rank 3 of the 4 samples"):
        whitening.fit_supervised(pairs_of_samples(x[:4], np.array([0, 0, 1, 1])), dimension=4)


def test_batches_are_sent_to_vmap():
    x, labels = labelled()
    batch = jax.vmap(moments.of)(x[:, None])
    spectra = jax.vmap(lambda x: spectrum_of(x, centred=True))(x.reshape(4, 15, 8))
    pairs = jax.tree.map(lambda value: jnp.stack([value] * 2), pairs_of_samples(x, labels))
    fitted = jax.vmap(lambda s: whitening.fit(s, dimension=2))(spectra)
    for call in (
        lambda: whitening.spectrum(batch, centred=True),
        lambda: spectrum_of_samples(x[None], centred=True),
        lambda: whitening.rank(spectra),
        lambda: whitening.fit(spectra, dimension=2),
        lambda: apply(fitted, x),
        lambda: whitening.pairs_of_class(batch),
        lambda: whitening.merge_pairs(pairs, pairs),
        lambda: whitening.fit_supervised(pairs, dimension=2),
    ):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            call()
