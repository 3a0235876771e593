"""EISS against the transcription in float64, and as JAX programs use it."""

import functools

import jax
import numpy as np
import pytest

from jaxloc import eiss
from tests import colours
from tests.reference import classifier_search as reference

IMAGE = reference.toy_image().astype(np.float32)


@functools.cache
def program(**options):
    return jax.jit(functools.partial(eiss.search, colours.score, side=reference.SIDE, **options))


@pytest.mark.parametrize(
    ("options", "passes", "box"),
    [
        pytest.param({"max_iterations": 6}, 484, (9.1429, 8.5714, 64, 41.1429), marks=pytest.mark.soak),
        pytest.param({"max_iterations": 6, "grid": 5}, 314, (20.5714, 12, 64, 41.1429), marks=pytest.mark.soak),
        ({"max_iterations": 6, "grid": 5, "best": 1}, 268, (27.4286, 20.5714, 52.5714, 34.2857)),
        ({"max_iterations": 6, "grid": 5, "best": 1, "eta": 120.0}, 54, (6.8571, 3.4286, 61.7143, 41.1429)),
    ],
)
def test_regions_scores_and_passes_are_those_of_the_transcription(options, passes, box):
    found = jax.device_get(program(**options)(IMAGE))
    expected = reference.eiss(reference.toy_image(), **options)
    taken = len(expected["regions"])
    np.testing.assert_array_equal(found.regions[:taken], expected["regions"])
    np.testing.assert_allclose(found.cropped[:taken], expected["cropped"], atol=1e-6)
    np.testing.assert_allclose(found.erased[:taken], expected["erased"], atol=1e-6)
    np.testing.assert_allclose(found.box, box, atol=1e-4)
    assert (found.passes, found.iterations, found.converged) == (passes, taken - 1, expected["converged"])
    assert found.passes == expected["passes"]
    assert (found.classes.tolist(), found.probabilities[0]) == ([0], pytest.approx(0.460309, abs=1e-6))
    # Rows after the last iteration repeat it.
    assert (found.regions[taken:] == found.regions[taken - 1]).all()
    assert (found.cropped[taken:] == found.cropped[taken - 1]).all()


def test_classes_may_be_given_or_several():
    search = jax.jit(lambda image, classes: eiss.search(colours.score, image, side=reference.SIDE, classes=classes))
    found = jax.device_get(search(IMAGE, np.array([1], np.int32)))
    assert (found.passes, found.iterations, found.converged) == (102, 1, True)
    np.testing.assert_allclose(found.box, (0, 0, 50.2857, 48), atol=1e-4)
    both = jax.device_get(program(k=2, grid=3, max_iterations=3)(IMAGE))
    expected = reference.eiss(reference.toy_image(), k=2, grid=3, max_iterations=3)
    assert both.classes.tolist() == expected["classes"].tolist() == [0, 2]
    np.testing.assert_array_equal(both.regions, expected["regions"])


def test_a_batch_is_a_loop_and_padding_changes_nothing():
    one = functools.partial(eiss.search, colours.score, side=reference.SIDE, grid=3, max_iterations=3)
    images = np.pad(np.stack([IMAGE, np.flip(IMAGE, 1)]), ((0, 0), (0, 9), (0, 5), (0, 0)), constant_values=0.7)
    sizes = np.tile(np.array(IMAGE.shape[:2], np.int32), (2, 1))
    together = jax.jit(jax.vmap(lambda image, size: one(image, size=size)))(images, sizes)
    for number, image in enumerate((IMAGE, np.flip(IMAGE, 1))):
        found = jax.tree.map(lambda leaf, number=number: leaf[number], together)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5), found, program(grid=3, max_iterations=3)(image)
        )


def test_random_windows_follow_the_key_and_the_classifier_is_traced_once():
    traces = []

    def counted(images):
        traces.append(images.shape)
        return colours.score(images)

    search = jax.jit(lambda key: eiss.search(counted, IMAGE, side=28, samples=20, key=key, max_iterations=2, best=2))
    first, again, other = (search(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.regions, again.regions)
    assert (first.regions != other.regions).any()
    assert first.passes == 2 + 2 * (2 * 20 + 2)
    assert traces == [(22, 28, 28, 3)]  # ten windows and the region, cropped and erased


def test_wrong_arguments_name_the_cure():
    with pytest.raises(ValueError, match="samples draws random windows: it needs key"):
        eiss.search(colours.score, IMAGE, side=28, samples=4)
    with pytest.raises(ValueError, match=r"image must be \[h, w, 3\].*jax.vmap"):
        eiss.search(colours.score, IMAGE[None], side=28)
