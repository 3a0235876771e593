"""The segmentation head: sizes, exact padding, and what it can learn."""

import jax
import numpy as np
import optax

from jaxloc._jit import standard_promotion
from jaxloc.models import FeatureMap
from jaxloc.models.fcn import PartScores, enlarge

CHANNELS = (3, 4, 5)
HEAD = PartScores(classes=3, width=6)
INIT = jax.jit(HEAD.init)


def maps(rows: int, columns: int, seed: int = 0) -> list[FeatureMap]:
    """Maps of one image, of 8 cells to a side of 32 pixels and so on; odd sizes lose a row, as pooling does."""
    rng = np.random.default_rng(seed)
    found = []
    for channels in CHANNELS:
        features = np.maximum(rng.normal(size=(1, rows, columns, channels)), 0).astype(np.float32)
        found.append(FeatureMap(features, np.array([[rows, columns]])))
        rows, columns = rows // 2, columns // 2
    return found


def padded(one: list[FeatureMap], rows: int, columns: int) -> list[FeatureMap]:
    found = []
    for features, size in one:
        more = [(0, 0), (0, rows - features.shape[1]), (0, columns - features.shape[2]), (0, 0)]
        found.append(FeatureMap(np.pad(features, more), size))
        rows, columns = rows // 2, columns // 2
    return found


def test_scores_are_those_of_the_image_alone_however_it_is_padded():
    params = INIT(jax.random.key(0), maps(8, 8))
    params = jax.tree.map(lambda x: np.asarray(x) + np.float32(0.1), params)  # layers that begin at zero count as well
    apply = jax.jit(HEAD.apply)
    for rows, columns in ((8, 8), (7, 6), (5, 8)):
        one = maps(rows, columns)
        alone, together = apply(params, one), apply(params, padded(one, 8, 8))
        assert alone.features.shape == (1, rows, columns, 3)
        np.testing.assert_allclose(together.features[:, :rows, :columns], alone.features, atol=1e-5)


def test_enlarging_is_bilinear_between_the_middles_of_cells():
    values = np.arange(3, dtype=np.float32).reshape(1, 3, 1)
    found = enlarge(values, np.array([1, 3]), (2, 6), 2)[..., 0]
    np.testing.assert_allclose(found, [[0, 0.25, 0.75, 1.25, 1.75, 2]] * 2, atol=1e-6)
    clipped = enlarge(values, np.array([1, 2]), (2, 6), 2)[..., 0]
    np.testing.assert_allclose(clipped[0], [0, 0.25, 0.75, 1, 1, 1], atol=1e-6)


def test_it_learns_a_fine_layer_s_cells():
    """Targets follow from the finest layer alone: the sum of what the layers say fits them."""
    one = maps(8, 8)
    targets = np.asarray(one[0].features[0]).argmax(-1)
    params = INIT(jax.random.key(0), one)
    optimizer = optax.adam(0.05)

    def loss(params):
        return optax.softmax_cross_entropy_with_integer_labels(HEAD.apply(params, one).features[0], targets).mean()

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    step = standard_promotion()(step)

    state = optimizer.init(params)
    before = float(jax.jit(loss)(params))
    for _ in range(60):
        params, state = step(params, state)
    assert float(jax.jit(loss)(params)) < before / 3
