"""Objects as peaks: targets, loss and boxes."""

import numpy as np
import pytest

from jaxloc import centers as pure
from tests.compiled import compiled

centers = compiled(pure)

BOXES = np.array([[1.0, 2.0, 6.0, 5.0], [7.2, 0.5, 9.8, 6.5], [0.0, 0.0, 1.0, 1.0]], np.float32)
CLASSES = np.array([1, 0, 2])
SHAPE = (8, 11)


def made(**more) -> pure.Targets:
    return centers.targets(BOXES, CLASSES, shape=SHAPE, kinds=3, **more)


def right(truth: pure.Targets) -> tuple[np.ndarray, np.ndarray]:
    """Logits and sides that say just what is true."""
    return np.where(truth.heat == 1, 20.0, -20.0).astype(np.float32), truth.sides


def test_targets_peak_at_centres_and_fall_as_a_gaussian():
    truth = made()
    assert {(int(y), int(x)) for y, x in np.argwhere(truth.there)} == {(3, 3), (3, 8), (0, 0)}
    assert truth.heat[3, 3, 1] == truth.heat[3, 8, 0] == truth.heat[0, 0, 2] == 1
    assert truth.heat[3, 5, 1] == pytest.approx(np.exp(-4 / (2 * 1.2**2)))
    assert truth.heat[4, 4, 1] == pytest.approx(np.exp(-2 / (2 * 1.2**2)))
    np.testing.assert_allclose(np.exp(truth.sides[3, 3]), [2.5, 1.5, 2.5, 1.5], rtol=1e-5)
    np.testing.assert_allclose(np.exp(truth.sides[3, 8]), [1.3, 3.0, 1.3, 3.0], rtol=1e-5)
    assert not truth.sides[5, 5].any()


def test_rows_that_are_no_objects_change_nothing_and_the_first_of_a_cell_gives_the_sides():
    few = centers.targets(BOXES[:1], CLASSES[:1], shape=SHAPE, kinds=3)
    for one, other in zip(few, made(valid=np.array([True, False, False])), strict=True):
        np.testing.assert_array_equal(one, other)
    twice = np.array([[2.0, 2.0, 4.0, 4.0], [1.0, 1.0, 5.0, 5.0]], np.float32)
    both = centers.targets(twice, np.array([0, 1]), shape=SHAPE, kinds=2)
    assert both.heat[3, 3].tolist() == [1, 1]
    np.testing.assert_allclose(np.exp(both.sides[3, 3]), [1.5, 1.5, 0.5, 0.5], rtol=1e-5)


def test_boxes_come_back_from_what_is_true():
    found = centers.detect(*right(made()), most=5)
    assert found.valid.tolist() == [True] * 3 + [False] * 2 or found.scores[3] < 1e-6
    order = np.argsort(found.classes[:3])
    np.testing.assert_allclose(found.boxes[:3][order], BOXES[np.argsort(CLASSES)], atol=1e-4)
    assert (found.scores[:3] > 0.99).all()


def test_the_best_class_of_a_window_suppresses_others():
    logits = np.full((*SHAPE, 2), -20.0, np.float32)
    logits[3, 3, 0], logits[3, 5, 1], logits[3, 8, 1] = 2, 1, 3
    found = centers.detect(logits, np.zeros((*SHAPE, 4), np.float32), most=4)
    assert [(float(box[0]), int(kind)) for box, kind in zip(found.boxes[:2], found.classes, strict=False)] == [
        (7.5, 1),
        (2.5, 0),
    ]
    assert found.scores[2] < 1e-6
    near = centers.detect(logits, np.zeros((*SHAPE, 4), np.float32), most=4, window=3)
    assert (near.scores[:3] > 0.5).all()


def test_padding_is_neither_learnt_from_nor_found():
    truth = made(valid=np.array([True, False, False]))
    logits, sides = right(truth)
    logits[:, 9:] = 20
    size = np.array([8, 9])
    found = centers.detect(logits, sides, size=size, most=3)
    assert found.scores[0] > 0.99 and found.scores[1] < 1e-6  # noqa: PT018
    assert centers.loss(logits, sides, truth, size=size) < 1e-4
    assert centers.loss(logits, sides, truth) > 1


def test_the_loss_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(*SHAPE, 3)).astype(np.float32)
    sides = rng.normal(size=(*SHAPE, 4)).astype(np.float32)
    truth = made()
    chance = 1 / (1 + np.exp(-logits.astype(float)))
    negative = -((1 - truth.heat) ** 4) * chance**2 * np.log(1 - chance)
    focal = np.where(truth.heat == 1, -((1 - chance) ** 2) * np.log(chance), negative).sum()
    error = np.abs(sides - truth.sides)[truth.there].mean(-1).sum()
    assert float(centers.loss(logits, sides, truth)) == pytest.approx((focal + error) / 3, rel=1e-4)


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match=r"window must be odd and most from 1 to the map's 88 cells, got 4 and 5"):
        pure.detect(np.zeros((*SHAPE, 2)), np.zeros((*SHAPE, 4)), most=5, window=4)
    with pytest.raises(ValueError, match=r"boxes must be \[n, 4\]"):
        pure.targets(BOXES[0], CLASSES, shape=SHAPE, kinds=3)
