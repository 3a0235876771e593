"""Episodes of novel classes: the accuracies, what is drawn, and what bad input gets."""

import dataclasses
import shutil

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import EpisodeOptions
from jaxloc.run.fewshot import evaluate_episodes
from jaxloc.run.fewshot.classifiers import accuracies
from jaxloc.run.fewshot.describing import Network
from jaxloc.run.fewshot.evaluation import evaluation_text, to_plain
from jaxloc.run.writing import locked


@pytest.fixture(scope="module")
def options(given) -> dict[str, object]:
    return {**given, "ways": 2, "shots": (1, 3), "episodes": 12, "draws": 2, "mapping": ("none",)}


@pytest.fixture(scope="module")
def evaluated(images, options, tmp_path_factory):
    keep = tmp_path_factory.mktemp("maps")
    done = evaluate_episodes([images], EpisodeOptions(**options, splits=2), keep=keep)
    return done, keep


def test_queries_get_the_class_of_the_nearest_mean_by_cosine():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    drawn = np.stack([rng.permutation(40)[:18].reshape(3, 6) for _ in range(5)])
    exemplars, queries = drawn[..., :2], drawn[..., 2:]
    expected = []
    for chosen, asked in zip(exemplars, queries, strict=True):
        means = vectors[chosen].mean(1)
        cosines = vectors[asked] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
        expected.append((cosines.argmax(-1) == np.arange(3)[:, None]).mean())
    np.testing.assert_allclose(accuracies(None, vectors, exemplars, queries), expected, atol=1e-6)


def test_every_classifier_is_measured_in_every_kind_of_episode(evaluated):
    done, _ = evaluated
    kinds = [(2, 1, False), (2, 1, True), (2, 3, False), (2, 3, True)]
    for name in ("SCDA, nearest mean", "bilinear 4², nearest mean"):
        lines = [line for line in done.lines if line.classifier == name]
        assert [(line.ways, line.shots, line.whole) for line in lines] == kinds
        for line in lines:
            assert line.accuracy.mean == pytest.approx(np.mean(line.splits))
            assert 0 < line.accuracy.mean <= 1
    assert done.queries == {1: 4, 3: 2}
    for base, novel in zip(done.base, done.novel, strict=True):
        assert (len(base), len(novel)) == (1, 2)
        assert sorted([*base, *novel]) == ["cat", "coffee", "face"]


def test_the_text_and_the_json_tell_what_was_measured(evaluated):
    done, _ = evaluated
    text = evaluation_text(done, 1.0)
    assert "2 splits into 1 base and 2 novel classes; 12 episodes each with 4 or 2 queries of each class" in text
    assert text.splitlines()[0].split("  ")[-1].strip() == "2-way 3-shot"
    assert "all" not in text.split("The smallest")[0]
    more = evaluation_text(dataclasses.replace(done, novel=[["cat", "coffee", "face"]]), 1.0)
    assert "all 2-way 3-shot" in more
    assert "all novel classes at once in 2 draws each" in more
    assert "The smallest class leaves fewer than 15 queries." in text
    plain = to_plain(done)
    assert plain["lines"][0]["accuracy"]["mean"] == done.lines[0].accuracy.mean
    assert [split["base"] for split in plain["splits"]] == done.base


def test_the_same_seed_gives_the_same_figures_from_kept_maps(evaluated, images, options, monkeypatch):
    done, keep = evaluated
    monkeypatch.setattr(Network, "features", None)
    again = evaluate_episodes([images], EpisodeOptions(**options, splits=2), keep=keep)
    assert again.lines == done.lines
    other = evaluate_episodes([images], EpisodeOptions(**options, splits=2, seed=5), keep=keep)
    assert other.lines != done.lines


def test_a_folder_that_another_call_writes_to_is_refused(evaluated, images, options):
    with locked(evaluated[1]), pytest.raises(UsageError, match="another process is writing to this folder"):
        evaluate_episodes([images], EpisodeOptions(**options), keep=evaluated[1])


def test_base_classes_may_be_given(images, options, tmp_path):
    base, novel = tmp_path / "base", shutil.copytree(images, tmp_path / "novel")
    base.mkdir()
    shutil.move(novel / "face", base)
    done = evaluate_episodes([novel], EpisodeOptions(**options), base=[base])
    assert (done.base, done.novel) == ([["face"]], [["cat", "coffee"]])
    with pytest.raises(UsageError, match="'cat' is among the base classes and among those to name"):
        evaluate_episodes([novel], EpisodeOptions(**options), base=[images])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ways": 3}, "3 classes, and 3-way episodes need 3 classes and at least one base class: give more classes"),
        ({"base_classes": 2}, "3 classes less 2 base classes leave fewer than 2: choose fewer --base-classes"),
        ({"shots": (5,)}, "'cat' has 5 readable images, and 5-shot episodes need at least 6: give more images"),
    ],
)
def test_too_few_classes_or_images_are_told_with_the_cure(evaluated, images, options, changed, message):
    with pytest.raises(UsageError, match=message):
        evaluate_episodes([images], EpisodeOptions(**options | changed), keep=evaluated[1])


def test_an_episode_without_exemplars_is_refused(options):
    with pytest.raises(UsageError, match="an episode needs at least one exemplar of each class, not 0"):
        EpisodeOptions(**options | {"shots": (0,)})


def test_a_mapping_is_learnt_from_base_classes_and_printed_beside_the_nearest_mean(images, options, tmp_path):
    base, novel = shutil.copytree(images, tmp_path / "base"), tmp_path / "novel"
    for kind in ("cat", "face"):
        shutil.copytree(images / kind, novel / f"other {kind}")
    quick = {"shots": (1,), "episodes": 2, "steps": 2}  # as many draws as episodes, so that programs are shared
    quick["mapping"] = ("residual", "printed")
    given = EpisodeOptions(**options | quick)
    done = evaluate_episodes([novel], given, base=[base])
    names = ["SCDA, nearest mean", "bilinear 4², nearest mean"]
    names += ["bilinear 4², piecewise, residual", "bilinear 4², piecewise, printed"]
    assert [line.classifier for line in done.lines if not line.whole] == names
    assert "The mapping was learnt from 3 base classes; below about 50" in evaluation_text(done, 1.0)


def test_a_mapping_needs_two_base_classes_of_enough_images(evaluated, images, options):
    given = EpisodeOptions(**options | {"mapping": ("residual",)})
    with pytest.raises(
        UsageError, match="1 base classes have more than 1 images, and a mapping is learnt from at least 2"
    ):
        evaluate_episodes([images], given, keep=evaluated[1])


def test_an_unknown_form_of_mapping_is_refused(options):
    with pytest.raises(UsageError, match="the mapping must be one of residual, printed, none, not 'global'"):
        EpisodeOptions(**options | {"mapping": ("global",)})
