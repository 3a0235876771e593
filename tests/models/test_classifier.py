"""The head, its loss and the training step, on a VGG-16 of a few channels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import models
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.models import classifier, extract_features, training
from tests.models import narrow

SIZES = np.array([[64, 96], [70, 64], [64, 64], [96, 90]], np.int32)
TARGETS = np.array([0, 2, 1, 2], np.int32)
EVERYONE = np.ones(4, bool)


@pytest.fixture
def params():
    """The narrow network's parameters."""
    return narrow.weights().params


def photos(*, padding: str = "zeros") -> np.ndarray:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (4, 96, 96, 3)).astype(np.uint8)
    if padding == "zeros":
        for image, (rows, columns) in zip(images, SIZES, strict=True):
            image[rows:], image[:, columns:] = 0, 0
    return images


def filled(images: np.ndarray, rest: int) -> list[np.ndarray]:
    """A batch of the images and two more that do not count, with their sizes, targets and whether they count."""
    batch = [np.concatenate([a, a[:2]]) for a in (images, SIZES, TARGETS)]
    batch[0][4:], batch[1][4:] = rest, 0
    return [*batch, np.arange(6) < 4]


def with_random_head(params, **options):
    learnt, fixed = classifier.split_params(params, 3, backbone=narrow.BACKBONE, **options)
    shape = learnt["head"]["kernel"].shape
    head = {"kernel": np.random.default_rng(2).normal(size=shape).astype(np.float32), "bias": np.float32([0.1, 0, -1])}
    return learnt | {"head": jax.tree.map(jnp.asarray, head)}, fixed


@functools.cache
def compiled_logits():
    return jax.jit(functools.partial(classifier.logits, backbone=narrow.BACKBONE))


@functools.cache
def means() -> np.ndarray:
    """The average of each image's cells of pool5, by one program for padded images: float64 ``[4, d]``."""
    extract = jax.jit(functools.partial(extract_features, backbone=narrow.BACKBONE, layers=("pool5",)))
    found = [extract(narrow.weights().params, *one)["pool5"] for one in zip(photos(), SIZES, strict=True)]
    cut = [np.asarray(some.features, np.float64)[: some.size[0], : some.size[1]] for some in found]
    return np.array([one.mean((0, 1)) for one in cut])


def test_scores_are_the_head_on_the_average_of_the_cells(params):
    learnt, _ = with_random_head(params)
    scores = compiled_logits()(learnt, photos(), SIZES)
    kernel, bias = (np.asarray(learnt["head"][name], np.float64) for name in ("kernel", "bias"))
    np.testing.assert_allclose(scores, means() @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_garbage_around_the_images_changes_neither_scores_nor_steps(params):
    learnt, fixed = with_random_head(params)
    optimizer = classifier.make_optimizer(10, learning_rate=0.1)
    state = training.start(learnt, optimizer)
    step = jax.jit(functools.partial(classifier.train_step, optimizer=optimizer, backbone=narrow.BACKBONE))
    (after, tally), (dirty, other) = (
        step(state, fixed, *filled(photos(padding=padding), rest)) for padding, rest in (("zeros", 0), ("garbage", 99))
    )
    assert int(tally.total) == 4
    assert tally.loss == other.loss
    jax.tree.map(np.testing.assert_array_equal, after.trained, dirty.trained)
    assert any((value != narrow.flat(learnt)[name]).any() for name, value in narrow.flat(after.trained).items())


def test_loss_is_the_cross_entropy_of_those_that_count():
    scores = np.random.default_rng(3).normal(size=(5, 4)) * 3
    targets, counted = np.array([0, 3, 1, 2, 2]), np.array([True, True, False, True, True])
    log = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    found = classifier.tally(scores, targets, counted)
    assert float(found.loss) == pytest.approx(-(np.eye(4)[targets] * log).sum(1)[counted].sum(), rel=1e-5)
    assert int(found.correct) == (scores.argmax(1) == targets)[counted].sum()
    assert int(found.total) == 4
    assert found.finite


def test_steps_of_the_head_are_those_of_softmax_regression(params):
    """Against momentum, weight decay and the cosine written out in NumPy."""
    learnt, fixed = classifier.split_params(params, 3, backbone=narrow.BACKBONE, frozen_blocks=5)
    assert set(learnt) == {"head"}
    options = {"learning_rate": 0.02, "head_factor": 5.0, "momentum": 0.8, "weight_decay": 0.1, "warmup": 0.5}
    optimizer = classifier.make_optimizer(4, **options)
    step = jax.jit(functools.partial(classifier.train_step, optimizer=optimizer, backbone=narrow.BACKBONE))
    state = training.start(learnt, optimizer)
    features = means()
    kernel, bias = np.zeros((features.shape[1], 3)), np.zeros(3)
    speed = [np.zeros_like(kernel), np.zeros_like(bias)]
    for rate in 0.1 * np.array([1 / 3, 2 / 3, 1.0, 0.5]):
        scores = features @ kernel + bias
        probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        error = (probability - np.eye(3)[TARGETS]) / 4
        speed[0] = 0.8 * speed[0] + features.T @ error + 0.1 * kernel
        speed[1] = 0.8 * speed[1] + error.sum(0)
        kernel, bias = kernel - rate * speed[0], bias - rate * speed[1]
        state, _ = step(state, fixed, *filled(photos(), 7))
    np.testing.assert_allclose(state.trained["head"]["kernel"], kernel, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(state.trained["head"]["bias"], bias, rtol=1e-3, atol=1e-6)
    assert int(state.step) == 4


def test_no_network_has_parameters_of_the_heads_name():
    for backbone in models.BACKBONES.values():
        assert classifier.HEAD not in backbone.convolutions, backbone.name


def test_blocks_are_frozen_from_below_and_what_the_head_does_not_read_stays():
    params = narrow.weights(top=True).params
    split = functools.partial(classifier.split_params, params, 3, backbone=narrow.BACKBONE)
    learnt, fixed = split(frozen_blocks=4)
    assert set(learnt) == {"conv5_1", "conv5_2", "conv5_3", "head"}
    assert set(learnt) | set(fixed) == {name for name in params if name.startswith("conv")} | {"head"}
    learnt, fixed = split(layer="relu4_2", frozen_blocks=3)
    assert set(learnt) == {"conv4_1", "conv4_2", "head"}
    assert "conv5_3" in fixed
    assert learnt["head"]["kernel"].shape == (narrow.WIDTHS[3], 3)
    assert set(split()[1]) == set()
    np.testing.assert_array_equal(learnt["head"]["kernel"], 0)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_kernels_decay_and_biases_do_not(name):
    layer = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    params = {"head": layer, "conv5_1": layer}
    options = {"learning_rate": 0.5, "head_factor": 4.0, "weight_decay": 0.1, "warmup": 0.0}
    optimizer = classifier.make_optimizer(100, name=name, **options)
    with standard_promotion():  # optax mixes types
        updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["conv5_1"]["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.2, rtol=1e-6)
    for layer in updates.values():
        np.testing.assert_array_equal(layer["bias"], 0)


def test_a_step_that_is_not_finite_is_not_taken(params):
    learnt, fixed = with_random_head(params, frozen_blocks=5)
    learnt["head"]["kernel"] = learnt["head"]["kernel"].at[0, 0].set(jnp.inf)
    optimizer = classifier.make_optimizer(10)
    state = training.start(learnt, optimizer)
    step = jax.jit(functools.partial(classifier.train_step, optimizer=optimizer, backbone=narrow.BACKBONE))
    after, tally = step(state, fixed, photos(), SIZES, TARGETS, EVERYONE)
    assert not tally.finite
    assert int(after.step) == 0
    jax.tree.map(np.testing.assert_array_equal, after.trained, state.trained)


@pytest.mark.soak  # the compiled classifier is tested below
def test_jit_is_eager(params):
    learnt, _ = with_random_head(params)
    eager = classifier.logits(learnt, photos(), SIZES, backbone=narrow.BACKBONE)
    np.testing.assert_allclose(compiled_logits()(learnt, photos(), SIZES), eager, rtol=1e-4, atol=1e-5)


def test_wrong_arguments_are_refused(params):
    split = functools.partial(classifier.split_params, params, 3, backbone=narrow.BACKBONE)
    with pytest.raises(UsageError, match="such as pool5, not 'fc6'"):
        split(layer="fc6")
    with pytest.raises(UsageError, match="unknown layer 'relu9'"):
        split(layer="relu9")
    with pytest.raises(UsageError, match=r"0 \(none\) to 5 \(all\), not 6"):
        split(frozen_blocks=6)
    with pytest.raises(ValueError, match=r"scores must be \[n, classes\].*\(4,\)"):
        classifier.tally(np.zeros((3, 2)), np.zeros(4, int), np.ones(4, bool))
