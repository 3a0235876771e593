"""LOST and TokenCut against NumPy float64 transcriptions of the released code."""

import jax
import numpy as np
import pytest

from jaxloc import lost, tokencut
from tests.compiled import compiled, jitted
from tests.reference import patches as reference
from tests.reference.scda_ddt import box
from tests.soaked import soaked

METHODS = {"lost": compiled(lost), "tokencut": compiled(tokencut)}
SIZES = np.array([[9, 12], [5, 12], [9, 4], [7, 11]])
IMAGE = np.array([150, 200])


def signed_maps() -> np.ndarray:
    """Two clusters of patches of opposite sign with noise, the smaller one a blob: an object and what surrounds it."""
    rng = np.random.default_rng(1)
    y, x = np.indices((9, 12))
    direction = rng.normal(size=16)
    maps = []
    for rows, columns in SIZES:
        centre = np.array([rows, columns]) * rng.uniform(0.3, 0.7, 2)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 6
        maps.append(np.where(inside, 1.0, -0.7)[..., None] * direction + rng.normal(size=(9, 12, 16)))
    return np.array(maps, np.float32)


def expected(name: str, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return reference.lost(features, k=20) if name == "lost" else reference.tokencut(features)


@pytest.mark.parametrize("backend", soaked(["host", "device"], ["device"]))
@pytest.mark.parametrize("name", METHODS)
def test_batch_of_mixed_sizes_equals_numpy_on_each_image(name, backend):
    maps = signed_maps()
    for features, (rows, columns) in zip(maps, SIZES, strict=True):
        features[rows:] = 77
        features[:, columns:] = -77
    options = {"k": 20} if name == "lost" else {}
    localize = METHODS[name].eager.localize
    found = jitted(jax.vmap(lambda f, s: localize(f, IMAGE, size=s, backend=backend, **options)))(maps, SIZES)
    shares = []
    for number, (rows, columns) in enumerate(SIZES):
        response, mask = expected(name, maps[number, :rows, :columns])
        np.testing.assert_array_equal(found.mask[number, :rows, :columns], mask)
        np.testing.assert_array_equal(found.mask[number].sum(), mask.sum())
        np.testing.assert_array_equal(found.box[number], box(mask, tuple(IMAGE)))
        scale = np.abs(response).max()
        np.testing.assert_allclose(found.response[number, :rows, :columns], response, atol=1e-4 * scale)
        assert found.positive_share[number] == pytest.approx((response > 0).mean())
        assert 0 < found.score[number] < 1
        shares.append(mask.mean())
    assert max(shares) < 0.6  # the blobs, not what surrounds them


def test_likes_count_other_patches():
    features = np.array([[[1.0], [2.0], [-1.0], [0.0]]], np.float32)
    np.testing.assert_array_equal(METHODS["lost"].likes(features), [[1, 1, 0, 0]])
    np.testing.assert_array_equal(METHODS["lost"].likes(features, size=np.array([1, 1])), [[0, 0, 0, 0]])


def test_a_seed_that_is_like_nothing_finds_nothing():
    found = METHODS["lost"].localize(np.zeros((2, 3, 4), np.float32), IMAGE)
    assert not found.found
    assert np.isnan(found.box).all()
    assert found.score == 0


def test_tokencut_cuts_between_two_kinds_of_patches():
    features = np.array([[[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]], np.float32)
    one = METHODS["tokencut"].cut(features)
    assert one.eigenvalue == pytest.approx(0, abs=1e-4)
    positive = one.vector[0] > 0
    assert positive.tolist() in ([True] * 3 + [False] * 2, [False] * 3 + [True] * 2)


@pytest.mark.parametrize("name", METHODS)
def test_one_patch_is_no_error(name):
    found = METHODS[name].localize(np.ones((1, 1, 4), np.float32), IMAGE)
    assert found.found == (name == "lost")


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        lost.similarity(np.zeros((2, 2, 3)), k=0)
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\]"):
        tokencut.cut(np.zeros((2, 3)))
