"""A linear classifier on vectors of images: choose C, fit, evaluate, save.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017, section 4.3:
a linear SVM on SCDA_flip+ with α = 1 of a fine-tuned network. Vectors are not scaled: their blocks have unit length,
and scaling each dimension would undo that. The paper does not say how it chose C; here the accuracy on images held out
of the training set decides.
"""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from jaxloc import svm
from jaxloc._files import write_safetensors
from jaxloc.errors import UsageError

FORMAT = "jaxloc-classifier-1"

CANDIDATES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of C that are tried."""

_fit = jax.jit(svm.fit, static_argnames="classes")


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """A hyperplane for each class: the highest ``weights @ vector + bias`` wins.

    Attributes:
        classes: their names.
        weights: float32 ``[c, d]``.
        bias: float32 ``[c]``.
        settings: what its vectors are (layer, network's checksum, …), in words, by name.
    """

    classes: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score of each class for vectors ``[n, d]``: float32 ``[n, c]``.

        Raises:
            UsageError: the vectors have another dimension.
        """
        vectors = _check_vectors(vectors)
        if vectors.shape[1] != self.weights.shape[1]:
            raise UsageError(
                f"the classifier reads vectors of {self.weights.shape[1]} dimensions, not {vectors.shape[1]}: "
                "describe the images as it was trained"
            )
        return vectors @ self.weights.T + self.bias

    def predict(self, vectors: np.ndarray) -> list[str]:
        """Name of the best class for each of the vectors ``[n, d]``."""
        return [self.classes[best] for best in self.scores(vectors).argmax(1)]


@dataclasses.dataclass(frozen=True)
class Choice:
    """How C was chosen.

    Attributes:
        regularization: the C with the highest accuracy; of equals the smallest.
        accuracies: share of the held-out vectors that each C got right.
    """

    regularization: float
    accuracies: Mapping[float, float]


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How many of one class's vectors were recognised."""

    name: str
    correct: int
    count: int

    @property
    def accuracy(self) -> float:
        """Share that was recognised."""
        return self.correct / self.count


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often vectors of one class were taken for another."""

    name: str
    predicted: str
    count: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Accuracy of a classifier on labelled vectors.

    Attributes:
        accuracy: share of all vectors whose class was recognised.
        mean_class_accuracy: the same for each class, averaged over the classes.
        classes: of each class among the labels, in order of name.
        confusions: wrong pairs, the most frequent first.
        predicted: the class given to each vector.
    """

    accuracy: float
    mean_class_accuracy: float
    classes: list[ClassScore]
    confusions: list[Confusion]
    predicted: list[str]


@dataclasses.dataclass(frozen=True)
class Classified:
    """A fitted classifier, its choice of C, and its accuracy.

    Attributes:
        classifier: fitted on all training vectors.
        choice: how C was chosen; ``None`` if it was given.
        regularization: the C it was fitted with.
        converged: whether every class met the solver's tolerance.
        evaluation: on the test vectors.
    """

    classifier: LinearClassifier
    choice: Choice | None
    regularization: float
    converged: bool
    evaluation: Evaluation


def classify(
    vectors: np.ndarray,
    labels: Sequence[str],
    test_vectors: np.ndarray,
    test_labels: Sequence[str],
    *,
    regularization: float | None = None,
    candidates: Sequence[float] = CANDIDATES,
    folds: int = 3,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Classified:
    """Choose C on the training vectors, fit on all of them, and measure on the test vectors.

    Args:
        vectors: ``[n, d]``, to train on.
        labels: their classes.
        test_vectors: ``[m, d]``.
        test_labels: their classes; one that was not trained counts as wrong.
        regularization: C; ``None`` chooses it among ``candidates``.
        candidates: values of C to try.
        folds: parts of the training set, each held out once.
        seed: decides the parts.
        settings: kept with the classifier.

    Raises:
        UsageError: nothing to train or test on, fewer than two classes, or values that are not numbers.
    """
    vectors, test_vectors = _check_vectors(vectors), _check_vectors(test_vectors)
    classes, targets = _targets(vectors, labels)
    choice = None
    if regularization is None:
        choice = choose_c(vectors, targets, classes=len(classes), candidates=candidates, folds=folds, seed=seed)
        regularization = choice.regularization
    everyone = np.ones(len(targets), bool)  # given, so that the program that chose C is used again
    machine = _fit(vectors, targets, classes=len(classes), regularization=regularization, valid=everyone)
    classifier = LinearClassifier(
        classes, np.asarray(machine.weights), np.asarray(machine.bias), dict(settings or {}) | {"kind": "linear SVM"}
    )
    converged = bool(machine.converged.all())
    return Classified(classifier, choice, regularization, converged, evaluate(classifier, test_vectors, test_labels))


def choose_c(
    vectors: np.ndarray,
    targets: np.ndarray,
    *,
    classes: int,
    candidates: Sequence[float] = CANDIDATES,
    folds: int = 3,
    seed: int = 0,
) -> Choice:
    """Choose C by cross-validation, stratified by class.

    Args:
        vectors: ``[n, d]``.
        targets: int ``[n]``.
        classes: their number.
        candidates: values of C to try, above 0.
        folds: parts, each held out once; from 2 on.
        seed: decides which vectors are held out.

    Raises:
        UsageError: a candidate that is not above 0, fewer than two parts, or too few vectors to hold any out.
    """
    vectors, targets = _check_vectors(vectors), np.asarray(targets)
    if not candidates or min(candidates) <= 0:
        raise UsageError(f"C must be above 0, not {', '.join(map(str, candidates)) or 'nothing'}")
    if folds < 2:
        raise UsageError(f"there must be at least 2 parts to hold out in turn, not {folds}")
    part = assign_folds(targets, folds, seed)
    held_out = [test for number in range(folds) if (test := part == number).any() and not test.all()]
    if not held_out:
        raise UsageError(f"{len(targets)} images are too few to hold any out: give C, or more images")
    on_device = jnp.asarray(vectors)
    correct = dict.fromkeys(sorted(candidates), 0)
    for regularization in correct:
        for test in held_out:
            machine = _fit(on_device, targets, classes=classes, regularization=regularization, valid=~test)
            predicted = np.asarray(_predict(machine, on_device))
            correct[regularization] += int((predicted == targets)[test].sum())
    total = sum(int(test.sum()) for test in held_out)
    accuracies = {regularization: hits / total for regularization, hits in correct.items()}
    return Choice(max(accuracies, key=lambda value: (accuracies[value], -value)), accuracies)


_predict = jax.jit(svm.predict)


def assign_folds(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Part ``0 … folds − 1`` of each vector, at random, with every class spread evenly: int ``[n]``."""
    rng = np.random.default_rng(seed)
    parts = np.zeros(len(targets), np.int64)
    dealt = 0
    for target in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == target))
        parts[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return parts


def hold_out_share(targets: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A random ``share`` of each class, at least one of those with two or more, and never all: bool ``[n]``."""
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(targets), bool)
    for target in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == target))
        wanted = max(1, round(share * len(members))) if share else 0
        held_out[members[: min(wanted, len(members) - 1)]] = True
    return held_out


def evaluate(classifier: LinearClassifier, vectors: np.ndarray, labels: Sequence[str]) -> Evaluation:
    """Accuracy over all vectors and of each class, and the confusions.

    Args:
        classifier: to measure.
        vectors: ``[n, d]``.
        labels: their true classes; one that the classifier does not know counts as wrong.

    Raises:
        UsageError: no vectors, or of another dimension than the classifier's.
    """
    _check_labels(vectors, labels)
    predicted = classifier.predict(vectors)
    counts = Counter(labels)
    correct = Counter(label for label, guess in zip(labels, predicted, strict=True) if label == guess)
    wrong = Counter((label, guess) for label, guess in zip(labels, predicted, strict=True) if label != guess)
    classes = [ClassScore(name, correct[name], counts[name]) for name in sorted(counts)]
    confusions = [Confusion(*pair, count) for pair, count in sorted(wrong.items(), key=lambda item: (-item[1], item))]
    accuracy = sum(correct.values()) / len(labels)
    return Evaluation(accuracy, float(np.mean([c.accuracy for c in classes])), classes, confusions, predicted)


def save(path: str | os.PathLike[str], classifier: LinearClassifier) -> None:
    """Write a classifier, atomically; the same classifier gives the same bytes."""
    # safetensors writes the buffer as it lies, so a transposed array would come back scrambled.
    weights = np.ascontiguousarray(classifier.weights, np.float32)
    arrays = {"weights": weights, "bias": np.ascontiguousarray(classifier.bias, np.float32)}
    metadata = {
        "format": FORMAT,
        "classes": json.dumps(classifier.classes),
        "settings": json.dumps(dict(classifier.settings), sort_keys=True),
    }
    write_safetensors(path, arrays, metadata)


def load(path: str | os.PathLike[str]) -> LinearClassifier:
    """Read a classifier that ``save`` wrote.

    Raises:
        UsageError: missing, damaged, or something else.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such classifier file")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UsageError(f"{path}: not a classifier that jaxloc wrote")
            weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
        classes = tuple(json.loads(metadata["classes"]))
        if weights.ndim != 2 or not len(classes) == len(weights) == len(bias):
            raise ValueError(f"{len(classes)} classes, weights {weights.shape}, bias {bias.shape}")
        return LinearClassifier(classes, weights, bias, json.loads(metadata["settings"]))
    except UsageError:
        raise
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: damaged classifier file ({error}): train it again") from error


def _targets(vectors: np.ndarray, labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    _check_labels(vectors, labels)
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise UsageError(f"all training images are of one class, {classes[0]!r}: give images of at least two classes")
    return classes, np.searchsorted(np.asarray(classes), np.asarray(labels)).astype(np.int32)


def _check_labels(vectors: np.ndarray, labels: Sequence[str]) -> None:
    if len(vectors) != len(labels):
        raise UsageError(f"{len(vectors)} vectors, but {len(labels)} labels")
    if not len(labels):
        raise UsageError("no images to train or test on")


def _check_vectors(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2:
        raise UsageError(f"vectors must be [n, d], got shape {vectors.shape}")
    broken = int((~np.isfinite(vectors).all(1)).sum())
    if broken:
        raise UsageError(f"{broken} of {len(vectors)} vectors hold values that are not numbers: describe them again")
    return vectors
