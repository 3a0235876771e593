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

import jax.numpy as jnp
import numpy as np

from jaxloc import svm
from jaxloc._files import StoredArrays, readable, write_safetensors
from jaxloc.errors import UsageError

FORMAT = "jaxloc-classifier-1"

CANDIDATES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of C that are tried."""
FOLDS = 3
"""Parts of the training vectors, each held out once to choose C."""


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """A hyperplane for each class: the highest ``weights @ vector + bias`` wins.

    Attributes:
        weights: float32 ``[c, d]``.
        bias: float32 ``[c]``.
        settings: what its vectors are (layer, network's checksum, …), in words, by name.
    """

    classes: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score of each class for vectors ``[n, d]``: float32 ``[n, c]``."""
        return vectors @ self.weights.T + self.bias

    def predict(self, vectors: np.ndarray) -> list[str]:
        """Name of the best class for each of the vectors ``[n, d]``."""
        return [self.classes[best] for best in self.scores(vectors).argmax(1)]


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How many of one class's vectors were recognised, and of how many."""

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
    """Accuracy of a classifier on all labelled vectors, averaged over their classes, and of each, in order of name.

    Attributes:
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
    """A fitted classifier, its C, and its accuracy.

    Attributes:
        regularization: the C it was fitted with.
        accuracies: share of the held-out training vectors that each C got right; empty if C was given.
        converged: whether every class met the solver's tolerance.
    """

    classifier: LinearClassifier
    regularization: float
    accuracies: Mapping[float, float]
    converged: bool
    evaluation: Evaluation


def classify(
    vectors: np.ndarray,
    labels: Sequence[str],
    test_vectors: np.ndarray,
    test_labels: Sequence[str],
    *,
    regularization: float | None = None,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Classified:
    """Choose C on the training vectors, fit on all of them, and measure on the test vectors.

    Vectors are float32 ``[n, d]``. A test label that was not trained counts as wrong. ``regularization`` is C; ``None``
    chooses the one of ``CANDIDATES`` with the highest accuracy on vectors held out by the ``seed``, of equals the
    smallest. ``settings`` are kept with the classifier.
    """
    for some in (vectors, test_vectors):
        if not len(some):
            raise UsageError("no images to train or test on")
        if broken := int((~np.isfinite(some).all(1)).sum()):
            raise UsageError(f"{broken} of {len(some)} vectors hold values that are not numbers: describe them again")
    names, targets = np.unique(labels, return_inverse=True)
    classes, targets = tuple(names.tolist()), targets.astype(np.int32)
    if len(classes) < 2:
        raise UsageError(f"all training images are of one class, {classes[0]!r}: give images of at least two classes")
    accuracies = {} if regularization is not None else held_out_accuracies(vectors, targets, len(classes), seed)
    if regularization is None:
        regularization = max(accuracies, key=lambda value: (accuracies[value], -value))
    everyone = np.ones(len(targets), bool)  # given, so that the program that chose C is used again
    machine = svm.fit(vectors, targets, classes=len(classes), regularization=regularization, valid=everyone)
    classifier = LinearClassifier(
        classes, np.asarray(machine.weights), np.asarray(machine.bias), dict(settings or {}) | {"kind": "linear SVM"}
    )
    evaluation = _evaluate(classifier, test_vectors, test_labels)
    return Classified(classifier, regularization, accuracies, bool(machine.converged.all()), evaluation)


def held_out_accuracies(vectors: np.ndarray, targets: np.ndarray, classes: int, seed: int) -> dict[float, float]:
    """Share of the vectors that each of ``CANDIDATES`` gets right when their fold is held out."""
    part = assign_folds(targets, FOLDS, seed)
    held_out = [test for number in range(FOLDS) if (test := part == number).any()]
    on_device = jnp.asarray(vectors)
    correct = dict.fromkeys(CANDIDATES, 0)
    for regularization in correct:
        for test in held_out:
            machine = svm.fit(on_device, targets, classes=classes, regularization=regularization, valid=~test)
            predicted = np.asarray(svm.predict(machine, on_device))
            correct[regularization] += int((predicted == targets)[test].sum())
    return {regularization: hits / len(targets) for regularization, hits in correct.items()}


def assign_folds(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Part ``0 … folds − 1`` of each vector, at random, with every class spread evenly: int ``[n]``."""
    rng = np.random.default_rng(seed)
    dealt = np.concatenate([rng.permutation(np.flatnonzero(targets == target)) for target in np.unique(targets)])
    parts = np.empty(len(targets), np.int64)
    parts[dealt] = np.arange(len(targets)) % folds
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


def _evaluate(classifier: LinearClassifier, vectors: np.ndarray, labels: Sequence[str]) -> Evaluation:
    predicted = classifier.predict(vectors)
    counts = Counter(labels)
    wrong = Counter((label, guess) for label, guess in zip(labels, predicted, strict=True) if label != guess)
    missed = Counter(label for label, _ in wrong.elements())
    classes = [ClassScore(name, counts[name] - missed[name], counts[name]) for name in sorted(counts)]
    confusions = [Confusion(*pair, count) for pair, count in sorted(wrong.items(), key=lambda item: (-item[1], item))]
    accuracy = (len(labels) - wrong.total()) / len(labels)
    return Evaluation(accuracy, float(np.mean([c.accuracy for c in classes])), classes, confusions, predicted)


def save(path: str | os.PathLike[str], classifier: LinearClassifier) -> None:
    """Write a classifier, atomically; the same classifier gives the same bytes."""
    arrays = {name: np.asarray(getattr(classifier, name), np.float32) for name in ("weights", "bias")}
    metadata = {
        "format": FORMAT,
        "classes": json.dumps(classifier.classes),
        "settings": json.dumps(dict(classifier.settings), sort_keys=True),
    }
    write_safetensors(path, arrays, metadata)


def load(path: str | os.PathLike[str]) -> LinearClassifier:
    """Read a classifier that ``save`` wrote; ``UsageError`` if the file is missing, damaged, or something else."""
    with readable(path, "missing or damaged classifier file", "train it again"):
        arrays = StoredArrays(path)
        if arrays.metadata.get("format") != FORMAT:
            raise ValueError("not a classifier that jaxloc wrote")
        classes, settings = (json.loads(arrays.metadata[name]) for name in ("classes", "settings"))
        return LinearClassifier(tuple(classes), arrays["weights"], arrays["bias"], settings)
