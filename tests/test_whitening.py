"""Whitening against scikit-learn, NumPy in float64 and loops over pairs; few samples, empty images, streams."""

import functools

import jax
import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from jaxloc import moments, whitening
from tests.compiled import compiled, jitted
from tests.reference import whitening as reference

CENTRED = pytest.mark.parametrize("centred", [True, False], ids=["PCA", "SVD"])

moments = compiled(moments, eager=("count",))
whitening = compiled(whitening)


@jitted
def spectrum_of(x, valid=None, *, centred):
    return whitening.spectrum(moments.of(x, valid), centred=centred)


def learn(x, labels, valid=None, *, dimension, floor=1e-6):
    return whitening.fit_supervised(whitening.pairs_of_samples(x, labels, valid), dimension=dimension, floor=floor)


MAKE = pytest.mark.parametrize("make", [spectrum_of, whitening.spectrum_of_samples], ids=["moments", "samples"])


def samples(count: int = 200, dimension: int = 24, seed: int = 0) -> np.ndarray:
    """Correlated, off centre, and with directions far enough apart that each has one answer."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(99).normal(size=(dimension, dimension)))[0]
    return ((rng.normal(size=(count, dimension)) * 0.85 ** np.arange(dimension)) @ turn + 0.3).astype(np.float32)


def few(count: int = 9, dimension: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Fewer samples than dimensions, the rest of nine rows padding, and where they are valid."""
    valid = np.zeros(9, bool)
    valid[np.random.default_rng(0).permutation(9)[:count]] = True
    padded = np.full((9, dimension), np.nan, np.float32)
    padded[valid] = samples(count, dimension)
    return padded, valid


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


@MAKE
@pytest.mark.parametrize("whiten", [True, False])
def test_pca_is_scikit_learns(make, whiten):
    x, queries = samples(), samples(30, seed=1)
    found = make(x, centred=True)
    oracle = PCA(12, whiten=whiten, svd_solver="full").fit(x.astype(np.float64))
    fitted = whitening.fit(found, dimension=12, power=float(whiten))
    assert_same_up_to_sign(whitening.apply(fitted, queries), unit(oracle.transform(queries)))
    np.testing.assert_allclose(found.eigenvalues[:12] * 200 / 199, oracle.explained_variance_, rtol=1e-4)


@MAKE
def test_svd_is_scikit_learns_and_leaves_the_mean_in(make):
    x, queries = samples(), samples(30, seed=1)
    found = make(x, centred=False)
    oracle = TruncatedSVD(12, algorithm="arpack").fit(x.astype(np.float64))
    fitted = whitening.fit(found, dimension=12, power=0.0)
    assert_same_up_to_sign(whitening.apply(fitted, queries), unit(oracle.transform(queries)))
    np.testing.assert_allclose(np.sqrt(found.eigenvalues[:12] * 200), oracle.singular_values_, rtol=1e-4)
    np.testing.assert_array_equal(found.mean, 0)


@CENTRED
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_power_goes_from_rotation_to_whitening(centred, power):
    x, queries = samples(), samples(30, seed=1)
    fitted = whitening.fit(spectrum_of(x, centred=centred), dimension=12, power=power)
    expected = reference.whiten(queries, x, centred, dimension=12, power=power)
    assert_same_up_to_sign(whitening.apply(fitted, queries), expected)


@CENTRED
def test_whitened_samples_have_unit_moments(centred):
    x = samples()
    fitted = whitening.fit(spectrum_of(x, centred=centred), dimension=24)
    y = (x - fitted.mean) @ fitted.projection
    np.testing.assert_allclose(y.T @ y / len(x), np.eye(24), atol=1e-3)


@CENTRED
@pytest.mark.parametrize(("x", "valid"), [(samples(), None), few()], ids=["many", "few"])
def test_samples_and_their_moments_have_one_spectrum_with_the_same_signs(centred, x, valid):
    fewer, many = whitening.spectrum_of_samples(x, valid, centred=centred), spectrum_of(x, valid, centred=centred)
    size = min(x.shape)
    np.testing.assert_allclose(fewer.eigenvalues, many.eigenvalues[:size], atol=1e-5 * float(many.eigenvalues[0]))
    np.testing.assert_allclose(fewer.mean, many.mean, atol=1e-6)
    assert float(fewer.total) == float(many.total) == len(x)
    lead = 2 * size // 3  # The eigenvalues of the last are too close together for float32 to tell directions apart.
    np.testing.assert_allclose(fewer.components[:, :lead], many.components[:, :lead], atol=3e-4)
    np.testing.assert_array_equal(many.components[:, size:], 0)


@CENTRED
def test_stream_equals_all_at_once(centred):
    x = samples()
    part = np.random.default_rng(0).choice(5, 200, p=[0.01, 0.1, 0.29, 0.3, 0.3])
    stream = functools.reduce(moments.merge, [moments.of(x, part == number) for number in range(5)])
    queries = samples(30, seed=1)
    one, other = (
        whitening.apply(whitening.fit(found, dimension=12, power=1.0), queries)
        for found in (whitening.spectrum(stream, centred=centred), spectrum_of(x, centred=centred))
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


@CENTRED
def test_padding_does_not_count_even_if_not_finite(centred):
    x, valid = few(6)
    found = whitening.spectrum_of_samples(x, valid, centred=centred)
    mean, directions, values = reference.principal_directions(x[valid], centred)
    assert float(found.total) == 6
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.eigenvalues[:6], values, rtol=1e-5, atol=1e-6)
    assert_same_up_to_sign(found.components[:, :5], directions[:5].T)
    np.testing.assert_array_equal(found.components[:, 6:], 0)


def test_sign_of_each_component_makes_its_largest_coordinate_positive():
    for found in (spectrum_of(samples(), centred=True), whitening.spectrum_of_samples(-samples(), centred=True)):
        largest = np.abs(found.components).argmax(0)
        assert (np.take_along_axis(np.asarray(found.components), largest[None], 0) > 0).all()


def flat() -> np.ndarray:
    """Samples in five dimensions of 24."""
    return samples()[:, :5] @ np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32)


@MAKE
def test_rank_counts_what_the_samples_determine(make):
    assert int(whitening.rank(make(*few(), centred=True))) == 8
    assert int(whitening.rank(make(*few(), centred=False))) == 9
    assert int(whitening.rank(make(flat(), centred=False))) == 5
    assert int(whitening.rank(make(samples(), centred=True), floor=0.5)) < 24
    same = np.repeat(samples(1) * 100, 200, 0)
    assert int(whitening.rank(make(same, centred=True))) == 0
    assert int(whitening.rank(make(same, centred=False))) == 1
    nothing = make(np.zeros((200, 24), np.float32), centred=False)
    assert int(whitening.rank(nothing)) == 0


def test_dimension_above_the_rank_is_refused_with_the_cure():
    nine = whitening.spectrum_of_samples(*few(), centred=True)
    with pytest.raises(ValueError, match=r"12 is above the rank 8 of the 9 samples.*at most 8, or fit on more"):
        whitening.eager.fit(nine, dimension=12)
    assert whitening.eager.fit(nine, dimension=8).projection.shape == (40, 8)
    alone = whitening.spectrum_of_samples(*few(1), centred=True)
    with pytest.raises(ValueError, match=r"rank 0 of the 1 samples.*: fit on more"):
        whitening.eager.fit(alone, dimension=1)


@CENTRED
def test_under_jit_a_dimension_above_the_rank_stays_finite_and_small(centred):
    found = spectrum_of(flat(), centred=centred)
    fitted = whitening.fit(found, dimension=24)
    assert np.isfinite(fitted.projection).all()
    assert np.linalg.norm(fitted.projection, axis=0).max() <= 1.001 * 1e3 / np.sqrt(found.eigenvalues[0])
    nine = whitening.fit(spectrum_of(*few(), centred=centred), dimension=30)
    np.testing.assert_array_equal(nine.projection[:, 9 - centred :], 0)


@MAKE
def test_set_of_one_has_no_centred_direction_and_one_about_zero(make):
    x, valid = few(1)
    centred, about_zero = make(x, valid, centred=True), make(x, valid, centred=False)
    assert [int(whitening.rank(found)) for found in (centred, about_zero)] == [0, 1]
    alone = whitening.apply(whitening.fit(about_zero, dimension=1), x[valid])
    np.testing.assert_allclose(np.abs(alone), [[1]], atol=1e-6)
    np.testing.assert_array_equal(whitening.apply(whitening.fit(centred, dimension=1), x[valid]), 0)


@CENTRED
def test_zero_vector_stays_zero_and_every_other_has_unit_length(centred):
    x, queries = samples(), samples(30, seed=1)
    queries[1::2] = 0
    found = whitening.apply(whitening.fit(spectrum_of(x, centred=centred), dimension=12, power=1.0), queries)
    np.testing.assert_allclose(np.linalg.norm(found[::2], axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(found[1::2], 0)


def test_apply_takes_any_leading_axes_and_vmaps_as_fit_does():
    x = samples()
    stack = x.reshape(4, 50, 24)
    fitted = whitening.fit(spectrum_of(x, centred=True), dimension=12, power=1.0)
    expected = reference.whiten(x, x, True, dimension=12, power=1)

    @jitted
    def several(fitted, x, stack):
        each = jax.vmap(lambda x: whitening.eager.fit(spectrum_of(x, centred=True), dimension=12, power=1.0))(stack)
        apply = whitening.eager.apply
        return apply(fitted, x), apply(fitted, stack), apply(fitted, x[0]), jax.vmap(apply, (None, 0))(fitted, x), each

    all_at_once, by_stack, one, by_row, each = several(fitted, x, stack)
    signs = np.sign((all_at_once * expected).sum(0))
    np.testing.assert_allclose(all_at_once * signs, expected, atol=1e-4)
    np.testing.assert_allclose(by_stack.reshape(200, 12), all_at_once, atol=1e-6)
    np.testing.assert_allclose(one, all_at_once[0], atol=1e-6)
    np.testing.assert_allclose(by_row, all_at_once, atol=1e-6)
    for projection, part in zip(each.projection, stack, strict=True):
        _, directions, values = reference.principal_directions(part, True)
        assert_same_up_to_sign(projection, directions[:12].T / np.sqrt(values[:12]), atol=2e-3)


def test_many_dimensions_and_few_samples():
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(50, 4096))).astype(np.float32)
    fitted = whitening.fit(whitening.spectrum_of_samples(x, centred=False), dimension=32)
    assert_same_up_to_sign(whitening.apply(fitted, x), reference.whiten(x, x, False, 32, 1), atol=1e-3)


@pytest.mark.parametrize("count", [9, 60])
def test_shrunk_eigenvalues_whiten_any_number_of_samples(count):
    x = samples(count, 40)
    values, directions = np.linalg.eigh(x.T.astype(np.float64) @ x / count)
    expected = x @ directions / np.sqrt(values + values.sum())
    fitted = whitening.fit_shrunk(whitening.spectrum_of_samples(x, centred=False), dimension=50)
    found = whitening.apply(fitted, x)
    assert found.shape == (count, 50)
    assert not found[:, min(count, 40) :].any()
    np.testing.assert_allclose(found @ found.T, unit(expected) @ unit(expected).T, atol=1e-4)


def pairs_of_each(x: np.ndarray, labels: np.ndarray) -> list[whitening.Pairs]:
    return [whitening.pairs_of_class(moments.of(x, labels == label)) for label in np.unique(labels)]


def pairs_by_class(x: np.ndarray, labels: np.ndarray) -> whitening.Pairs:
    return functools.reduce(whitening.merge_pairs, pairs_of_each(x, labels))


@pytest.mark.parametrize("gather", [whitening.pairs_of_samples, pairs_by_class])
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
    a, b, c, *_ = pairs_of_each(*labelled())
    merge = whitening.merge_pairs
    left, right = merge(merge(a, b), c), merge(b, merge(c, a))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2), left, right)


def test_padding_adds_no_pair_even_with_a_label_of_its_own():
    x, labels = labelled()
    valid = np.arange(60) < 40
    expected = pairs_by_class(x[valid], labels[valid])
    x[~valid] = np.nan
    labels[50:] = 1000
    found = whitening.pairs_of_samples(x, labels, valid)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2), found, expected)


@pytest.mark.parametrize("dimension", [8, 3])
def test_supervised_projection_is_that_of_a_loop_over_pairs(dimension):
    x, labels = labelled()
    matching, non_matching = reference.pair_sums(x, labels)
    expected = reference.supervised_projection(matching, non_matching)[:dimension].T
    fitted = learn(x, labels, dimension=dimension)
    queries = labelled(seed=1)[0]
    projected = (queries.astype(np.float64) - x.astype(np.float64).mean(0)) @ expected
    assert_same_up_to_sign(whitening.apply(fitted, queries), unit(projected))
    scale = np.linalg.norm(fitted.projection) / np.linalg.norm(expected)
    assert_same_up_to_sign(fitted.projection / scale, expected, atol=1e-4 * np.abs(expected).max())


def test_supervised_projection_makes_both_scatters_diagonal():
    x, labels = labelled()
    pairs = whitening.pairs_of_samples(x, labels)
    projection = whitening.fit_supervised(pairs, dimension=8, floor=1e-6).projection.astype(np.float64)
    inside, across = (projection.T @ scatter @ projection for scatter in pairs[1:])
    np.testing.assert_allclose(inside / inside[0, 0], np.eye(8), atol=1e-4)
    np.testing.assert_allclose(across, np.diag(np.diag(across)), atol=1e-4 * across.max())
    assert (np.diff(np.diag(across)) < 0).all()


def test_supervised_whitening_brings_classes_together_that_noise_kept_apart():
    rng = np.random.default_rng(0)

    def make(count):
        labels = rng.integers(0, 4, count)
        signal = np.eye(4)[labels] + 0.05 * rng.normal(size=(count, 4))
        return np.concatenate([signal, 3 * rng.normal(size=(count, 4))], 1).astype(np.float32), labels

    def right(y, labels):
        similarity = y @ y.T - 2 * np.eye(len(labels))
        return np.mean(labels[similarity.argmax(1)] == labels)

    (x, labels), (queries, truth) = make(60), make(60)
    fitted = learn(x, labels, dimension=3)
    assert right(whitening.apply(fitted, queries), truth) == 1
    assert right(unit(queries), truth) < 0.7


def test_supervised_with_fewer_samples_than_dimensions_is_bounded():
    x, labels = labelled()
    valid = np.isin(np.arange(60), [*np.flatnonzero(labels == -3)[:2], *np.flatnonzero(labels == 4)[:2]])
    fitted = learn(x, labels, valid, dimension=3)
    assert np.isfinite(fitted.projection).all()
    lengths = np.linalg.norm(fitted.projection, axis=0)
    gentle = learn(x, labels, valid, dimension=3, floor=0.1)
    assert np.linalg.norm(gentle.projection, axis=0).max() < lengths.max() / 10
    unseen = np.linalg.svd(x[valid] - x[valid].mean(0))[2][3:]
    assert np.abs(unseen @ fitted.projection).max() < 1e-3 * lengths.max()


def test_supervised_whitening_never_yields_nan():
    x, labels = labelled()
    alone = np.arange(60)
    same = x[:1].repeat(60, 0)
    for broken in ((x, labels * 0), (x, alone), (x * 0, labels), (same, labels), (same, alone)):
        assert np.isfinite(learn(*broken, dimension=3).projection).all()


def test_wrong_arguments_are_refused():
    x, labels = labelled()
    found = spectrum_of(x, centred=True)
    fitted = whitening.Whitening(np.zeros(8, np.float32), np.ones((8, 3), np.float32))
    for dimension in (0, 9):
        with pytest.raises(ValueError, match="between 1 and that of the vectors, 8"):
            whitening.fit(found, dimension=dimension)
    with pytest.raises(ValueError, match="power must be 0"):
        whitening.fit(found, dimension=2, power=-1)
    for floor in (0, 1):
        with pytest.raises(ValueError, match="share of the largest"):
            whitening.fit(found, dimension=2, floor=floor)
    for wrong in (np.ones(7), 3.0):
        with pytest.raises(ValueError, match=r"vectors must be \[\.\.\., 8\]"):
            whitening.apply(fitted, wrong)
    with pytest.raises(ValueError, match=r"samples must be \[n, d\]"):
        whitening.spectrum_of_samples(x[0], centred=True)
    with pytest.raises(ValueError, match="one flag per sample"):
        whitening.spectrum_of_samples(x, np.ones(3, bool), centred=True)
    with pytest.raises(ValueError, match="labels must be integers"):
        whitening.pairs_of_samples(x, labels.astype(float))
    with pytest.raises(ValueError, match="labels must be integers"):
        whitening.pairs_of_samples(x, labels[:3])
    with pytest.raises(ValueError, match="components that so few samples have"):
        whitening.fit(found._replace(components=found.components[:, :4]), dimension=6)


def test_pairs_of_one_kind_are_refused():
    x, labels = labelled()
    fit = functools.partial(whitening.eager.fit_supervised, dimension=2)
    for only in (labels * 0, np.arange(len(x))):
        with pytest.raises(ValueError, match="pair differs: supervised whitening needs two classes"):
            fit(whitening.pairs_of_samples(x, only))
    four = np.isin(np.arange(60), np.flatnonzero(labels == labels[0])[:4])
    with pytest.raises(ValueError, match="above the rank 3 of the 4 samples"):
        whitening.eager.fit_supervised(whitening.pairs_of_samples(x, labels, four), dimension=4)


def test_batches_are_sent_to_vmap():
    x, labels = labelled()
    pairs = whitening.pairs_of_samples(x, labels)
    fitted = whitening.Whitening(np.zeros(8, np.float32), np.ones((8, 3), np.float32))
    spectra, pairs, fitted = jax.tree.map(
        lambda value: np.stack([value] * 2), (spectrum_of(x, centred=True), pairs, fitted)
    )
    for call in (
        lambda: whitening.spectrum(pairs.moments, centred=True),
        lambda: whitening.spectrum_of_samples(x[None], centred=True),
        lambda: whitening.rank(spectra),
        lambda: whitening.fit(spectra, dimension=2),
        lambda: whitening.apply(fitted, x),
        lambda: whitening.pairs_of_class(pairs.moments),
        lambda: whitening.merge_pairs(pairs, pairs),
        lambda: whitening.fit_supervised(pairs, dimension=2),
    ):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            call()
