"""Projections fitted to feature maps that are made up: what each method learns, and what is refused."""

import dataclasses

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import ReidOptions
from jaxloc.run.frozen import FrozenMaps
from jaxloc.run.reid.fitting import KNOWS_KINDS, fit, vectors
from jaxloc.run.retrieval.scoring import score
from jaxloc.run.training_checkpoints import Checkpoints
from tests.soaked import soaked

OPTIONS = ReidOptions(method="rnn-ha", hidden=24, steps=60, step_images=48, learning_rate=0.01, validation_steps=30)
METHODS = ("rnn-ha", "rnn-h", "fc-ha", "ccl", "mixed", "triplet")
PER_KIND, EACH = 6, 6


def made_up(kinds: int = 4) -> tuple[FrozenMaps, np.ndarray, np.ndarray]:
    """Maps whose cells show the kind, one cell anywhere the identity, half of the channels how the image was taken."""
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(kinds * PER_KIND), EACH)
    signs = rng.normal(size=(kinds * PER_KIND, 16))
    looks = rng.normal(size=(kinds, 16))
    features = rng.normal(size=(len(identities), 3, 4, 16)) + looks[identities // PER_KIND][:, None, None]
    features[..., 8:] += 2 * rng.normal(size=(len(identities), 1, 1, 8))
    for number, identity in enumerate(identities):
        features[number, rng.integers(3), rng.integers(3), :8] += 8 * signs[identity, :8]
    features[:, :, 3] = 0
    sizes = np.full((len(identities), 2), 3, np.int32)
    return FrozenMaps(np.maximum(features, 0).astype(np.float32), sizes), identities, identities // PER_KIND


@pytest.fixture(scope="module")
def maps():
    return made_up()


def precision(found, identities):
    return score(found, identities, found, identities, same=np.arange(len(identities))).mean.ap_step


@pytest.mark.parametrize("case", soaked([*METHODS, "rnn-ha, a kind unknown"], ["rnn-ha, a kind unknown"]))
def test_what_is_learnt_finds_identities_better_than_the_average(maps, case, tmp_path):
    frozen, identities, kinds = maps
    method, _, unknown = case.partition(", ")
    some = np.where(kinds == 2, -1, kinds) if unknown else kinds
    options = dataclasses.replace(OPTIONS, method=method, validation_share=0)
    with Checkpoints(tmp_path) as checkpoints:
        projection, loop = fit(frozen, identities, some, options, checkpoints=checkpoints, settings={})
    assert [name for name in projection.params if name in ("kind", "identity")] == []
    assert np.isfinite(loop.history[-1]["loss"])
    assert loop.history[-1]["accuracy"] > loop.history[0]["accuracy"]
    found = vectors(projection, frozen, np.arange(len(identities)))
    average = frozen.features.mean((1, 2))
    assert precision(found, identities) > precision(average, identities) + 5
    np.testing.assert_allclose(vectors(projection, frozen, np.array([5])), found[5:6], atol=1e-5)


def test_identities_are_held_out_to_choose_the_best_state_if_there_are_twenty(maps, tmp_path):
    frozen, identities, kinds = maps
    options = dataclasses.replace(OPTIONS, method="triplet", steps=9, validation_steps=3)
    with Checkpoints(tmp_path) as checkpoints:
        _, loop = fit(frozen, identities, kinds, options, checkpoints=checkpoints, settings={})
    qualities = [figures["quality"] for figures in loop.history]
    assert loop.best == int(np.argmax(qualities))
    assert 0 < min(qualities) <= max(qualities) <= 1
    less = FrozenMaps(frozen.features, np.where(identities[:, None] < 19, frozen.sizes, 0))
    with Checkpoints(tmp_path / "less") as checkpoints:
        _, loop = fit(less, identities, kinds, options, checkpoints=checkpoints, settings={})
    assert "quality" not in loop.history[0]


def test_kinds_are_needed_by_methods_that_learn_them(maps, tmp_path):
    frozen, identities, _ = maps
    quick, unknown = dataclasses.replace(OPTIONS, steps=1, validation_share=0), np.full(len(identities), -1)
    for method in METHODS:
        options = dataclasses.replace(quick, method=method)
        with Checkpoints(tmp_path / method) as checkpoints:
            if method in KNOWS_KINDS:
                with pytest.raises(UsageError, match=f"^{method} learns the kinds of identities, and none is known"):
                    fit(frozen, identities, unknown, options, checkpoints=checkpoints, settings={})
            else:
                fit(frozen, identities, unknown, options, checkpoints=checkpoints, settings={})


def test_one_identity_is_refused(maps, tmp_path):
    frozen, identities, kinds = maps
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(UsageError, match="usable images of 1 identity,"):
        fit(frozen, 0 * identities, 0 * kinds, OPTIONS, checkpoints=checkpoints, settings={})


def test_images_in_a_step_come_in_groups():
    with pytest.raises(UsageError, match="step images must be a multiple of 12, not 50"):
        ReidOptions(step_images=50)
