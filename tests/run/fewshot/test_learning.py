"""Learning a mapping: it tells new classes apart, resumes to the same bits, and is chosen on held-out classes."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import FewShotOptions
from jaxloc.run.fewshot import learning
from jaxloc.run.fewshot.classifiers import accuracies
from jaxloc.run.fewshot.learning import learn, stacked
from jaxloc.run.loop import head_loop
from jaxloc.run.sampling import Episodes
from tests.run import helpers
from tests.soaked import soaked

OPTIONS = FewShotOptions(dimension=4, steps=60)


def clusters(classes, each=8, seed=0):
    """Unit vectors around a direction of each class, and their classes; half of the numbers say nothing."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(classes, 16)) * (np.arange(16) % 2)
    vectors = np.repeat(centers, each, 0) + rng.normal(size=(classes * each, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def labels(classes, each=8):
    return [f"{number:02d}" for number in range(classes) for _ in range(each)]


def share_named(mapping, seed=9):
    targets = np.repeat(np.arange(6), 8)
    episodes = Episodes(targets, ways=3, shots=1, queries=5, seed=0)
    return float(accuracies(mapping, clusters(6, seed=seed), *stacked(episodes, range(200))).mean())


@pytest.mark.parametrize("residual", soaked([True, False], [True]))
def test_a_mapping_of_base_classes_names_novel_ones(residual, tmp_path):
    mapping = learn(clusters(19), labels(19), tmp_path, OPTIONS, shots=1, residual=residual)
    assert (mapping.log_scale is not None) == residual
    assert share_named(mapping) > (share_named(None) - 0.02 if residual else 1 / 3 + 0.05)


@pytest.mark.soak  # the loop is tested in run/test_loop.py and run/test_finetune.py
def test_a_stopped_training_resumes_to_the_same_bits(tmp_path):
    given = clusters(5), labels(5)
    unbroken = learn(*given, tmp_path / "unbroken", OPTIONS, shots=1, residual=True)
    with helpers.killed_after_periods(1), pytest.raises(InterruptedError):
        learn(*given, tmp_path / "broken", OPTIONS, shots=1, residual=True)
    resumed = learn(*given, tmp_path / "broken", OPTIONS, shots=1, residual=True)
    jax.tree.map(np.testing.assert_array_equal, resumed, unbroken)


def test_a_loss_that_is_not_finite_tells_a_cure_that_can_be_followed(tmp_path):
    with pytest.raises(UsageError, match=r"not finite in step 1: choose another --seed, or leave out the mapping with"):
        learn(clusters(5) * np.float32(np.nan), labels(5), tmp_path, OPTIONS, shots=1, residual=True)


def test_a_small_base_class_that_lowers_the_queries_of_all_is_told():
    large = labels(50, each=20)
    assert learning.cautions(large, shots=5) == []
    assert learning.cautions([*large, "small"], shots=5) == []
    (told,) = learning.cautions([*large, *["small"] * 6], shots=5)
    assert told.startswith("The smallest base class, 'small', has 6 images: the 5-shot mapping was learnt with 1 query")
    few, _ = learning.cautions([*labels(9), "small"], shots=1)
    assert few.startswith("The mapping was learnt from 9 base classes; below about 50")


@pytest.mark.parametrize(("exemplars", "shots"), [(1, 1), (19, 19), (20, 5), (30, 5)])
def test_more_exemplars_than_base_images_are_learnt_for_five(exemplars, shots):
    assert learning.shots_for(labels(3, each=20), exemplars) == shots


def test_with_twenty_classes_a_fifth_is_held_out_to_choose_the_state(tmp_path, monkeypatch):
    trained, made = [], []
    monkeypatch.setattr(
        learning, "stacked", lambda episodes, numbers: made.append(episodes) or stacked(episodes, numbers)
    )
    monkeypatch.setattr(
        learning, "head_loop", lambda *args, **options: trained.append(options) or head_loop(*args, **options)
    )
    quick = dataclasses.replace(OPTIONS, steps=2)
    learn(clusters(20), labels(20), tmp_path, quick, shots=1, residual=True)
    assert trained[0]["validate"] is not None
    checked, drawn = made[0], made[1]
    classes = [{int(one) // 8 for number in range(50) for one in episodes.draw(number).queries.ravel()}
               for episodes in (checked, drawn)]  # fmt: skip
    assert [len(some) for some in classes] == [4, 16]
    assert not classes[0] & classes[1]
    learn(clusters(19), labels(19), tmp_path, quick, shots=1, residual=True)
    assert trained[1]["validate"] is None
