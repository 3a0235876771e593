"""Choosing C, fitting and measuring a linear classifier on vectors."""

import numpy as np
import pytest
import safetensors.numpy
from sklearn.metrics import confusion_matrix
from sklearn.svm import LinearSVC

from jaxloc.errors import UsageError
from jaxloc.run import classify
from jaxloc.run.classify import LinearClassifier

NAMES = ("ant", "bee", "cow")


def vectors_of(labels, *, spread: float = 0.8, seed: int = 0) -> np.ndarray:
    centres = {name: np.eye(6)[number] for number, name in enumerate(NAMES)}
    rng = np.random.default_rng(seed)
    return np.array([centres[name] + spread * rng.normal(size=6) for name in labels], np.float32)


LABELS = [NAMES[number % 3] for number in range(60)]
TRAIN, TEST = vectors_of(LABELS), vectors_of(LABELS, seed=1)


def test_accuracies_are_those_of_scikit_learn():
    done = classify.classify(TRAIN, LABELS, TEST, LABELS, regularization=1.0)
    expected = LinearSVC(dual=False, tol=1e-9).fit(TRAIN.astype(np.float64), LABELS).predict(TEST)
    assert done.evaluation.predicted == list(expected)
    assert done.evaluation.accuracy == pytest.approx(np.mean(expected == LABELS))
    assert not done.accuracies
    assert done.converged
    counts = confusion_matrix(LABELS, expected, labels=NAMES)
    assert [score.correct for score in done.evaluation.classes] == list(np.diag(counts))
    assert [score.count for score in done.evaluation.classes] == list(counts.sum(1))
    assert done.evaluation.mean_class_accuracy == pytest.approx((np.diag(counts) / counts.sum(1)).mean())
    found = {(pair.name, pair.predicted): pair.count for pair in done.evaluation.confusions}
    assert found == {(NAMES[i], NAMES[j]): counts[i, j] for i in range(3) for j in range(3) if i != j and counts[i, j]}
    most = [pair.count for pair in done.evaluation.confusions]
    assert most == sorted(most, reverse=True)
    assert len(most) > 1


def test_c_is_the_best_on_vectors_held_out_and_of_equals_the_smallest():
    done = classify.classify(TRAIN, LABELS, TEST, LABELS, seed=5)
    targets = np.searchsorted(NAMES, LABELS)
    part = classify.assign_folds(targets, classify.FOLDS, 5)
    assert list(done.accuracies) == list(classify.CANDIDATES)
    for value in classify.CANDIDATES:
        hits = 0
        for number in range(classify.FOLDS):
            machine = LinearSVC(dual=False, C=value, tol=1e-9).fit(TRAIN[part != number], targets[part != number])
            hits += (machine.predict(TRAIN[part == number]) == targets[part == number]).sum()
        assert done.accuracies[value] == pytest.approx(hits / 60)
    best = max(done.accuracies.values())
    assert done.regularization == min(value for value, share in done.accuracies.items() if share == best)
    easy = classify.classify(vectors_of(LABELS, spread=0.01), LABELS, TEST, LABELS)
    assert easy.regularization == min(classify.CANDIDATES)
    again = classify.classify(TRAIN, LABELS, TEST, LABELS, regularization=done.regularization)
    np.testing.assert_array_equal(again.classifier.weights, done.classifier.weights)


def test_folds_spread_every_class_evenly():
    targets = np.array([0] * 10 + [1] * 5 + [2])
    part = classify.assign_folds(targets, 3, 0)
    for target, most in ((0, 4), (1, 2), (2, 1)):
        counts = np.bincount(part[targets == target], minlength=3)
        assert counts.max() == most
        assert counts.max() - counts.min() <= 1
    assert np.bincount(part).max() - np.bincount(part).min() <= 1
    assert (classify.assign_folds(targets, 3, 1) != part).any()


def test_a_share_is_held_out_of_each_class_but_never_all_of_it():
    targets = np.array([0] * 10 + [1] * 2 + [2])
    held_out = classify.hold_out_share(targets, 0.3, 0)
    assert [int(held_out[targets == target].sum()) for target in range(3)] == [3, 1, 0]
    assert not classify.hold_out_share(targets, 0.0, 0).any()
    assert [int(classify.hold_out_share(targets, 0.99, 0)[targets == t].sum()) for t in range(3)] == [9, 1, 0]


def test_a_class_that_was_not_trained_counts_as_wrong():
    done = classify.classify(TRAIN, LABELS, TEST[:4], ["ant", "bee", "cow", "dog"], regularization=1.0)
    assert [score.name for score in done.evaluation.classes] == ["ant", "bee", "cow", "dog"]
    assert done.evaluation.classes[-1].correct == 0
    assert done.evaluation.classes[-1].accuracy == 0
    assert done.evaluation.accuracy <= 0.75


def test_a_classifier_comes_back_from_its_file_the_same(tmp_path):
    settings = {"vectors": "scda_flip+"}
    done = classify.classify(TRAIN, LABELS, TEST, LABELS, regularization=1.0, settings=settings)
    for name in ("a", "b"):
        classify.save(tmp_path / name, done.classifier)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = classify.load(tmp_path / "a")
    assert loaded.classes == NAMES
    assert loaded.settings == {"vectors": "scda_flip+", "kind": "linear SVM"}
    np.testing.assert_array_equal(loaded.scores(TEST), done.classifier.scores(TEST))
    assert loaded.predict(TEST) == done.evaluation.predicted


def test_weights_come_back_in_order_however_they_lie_in_memory(tmp_path):
    weights = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    classify.save(tmp_path / "file", LinearClassifier(NAMES, weights, np.zeros(3, np.float32)))
    np.testing.assert_array_equal(classify.load(tmp_path / "file").weights, weights)


def test_a_file_that_is_no_classifier_is_refused(tmp_path):
    path = tmp_path / "file"
    for write in (lambda: None, lambda: path.write_bytes(b"nothing of the kind")):
        write()
        with pytest.raises(UsageError, match="missing or damaged classifier file"):
            classify.load(path)
    safetensors.numpy.save_file({"weights": np.ones((2, 3))}, path)
    with pytest.raises(UsageError, match="not a classifier that jaxloc wrote"):
        classify.load(path)


def test_what_cannot_be_classified_is_refused():
    def run(vectors=TRAIN, labels=LABELS, test=TEST, test_labels=LABELS, **options):
        return classify.classify(vectors, labels, test, test_labels, **options)

    with pytest.raises(UsageError, match="all training images are of one class, 'ant'"):
        run(labels=["ant"] * 60)
    with pytest.raises(UsageError, match="no images to train or test on"):
        run(test=TEST[:0], test_labels=[])
    with pytest.raises(UsageError, match="1 of 60 vectors hold values that are not numbers"):
        run(vectors=np.where(np.arange(60)[:, None] == 3, np.nan, TRAIN))
