"""Random draws of a training or a test, each a function of the seed, a stream and its number alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.errors import UsageError


class Episode(NamedTuple):
    """Images of an episode by number; row ``w`` holds those of its class ``classes[w]``.

    Attributes:
        classes: int ``[ways]``.
        exemplars: int ``[ways, shots]``.
        queries: int ``[ways, queries]``, none of them an exemplar.
    """

    classes: np.ndarray
    exemplars: np.ndarray
    queries: np.ndarray


class Episodes:
    """Episodes of few-shot recognition: ``ways`` classes, ``shots`` exemplars and ``queries`` test images of each.

    Args:
        targets: int ``[n]``, the class of each image; negative ones are left out.
        ways: number of classes.
        shots: exemplars of a class.
        queries: further images of a class.
        seed: of all draws.
        stream: tells draws for one purpose from those for another.
    """

    def __init__(
        self, targets: np.ndarray, *, ways: int, shots: int, queries: int, seed: int = 0, stream: int = 0
    ) -> None:
        self._members = _members(targets)
        self._ways, self._shots, self._each, self._seed = ways, shots, shots + queries, (seed, stream)
        if len(self._members) < ways:
            raise UsageError(f"{ways} ways need {ways} classes, and there are {len(self._members)}: lower --ways")
        fewest = min(map(len, self._members.values()))
        if fewest < self._each:
            raise UsageError(
                f"{shots} shots and {queries} queries need {self._each} images of each class, and one has {fewest}: "
                "lower --shots or --queries, or add images"
            )

    def draw(self, number: int) -> Episode:
        """Episode ``number``."""
        rng = np.random.default_rng([*self._seed, number])
        classes = rng.choice(sorted(self._members), self._ways, replace=False)
        images = np.stack([rng.choice(self._members[one], self._each, replace=False) for one in classes.tolist()])
        return Episode(classes, images[:, : self._shots], images[:, self._shots :])


class Group(NamedTuple):
    """Images by number: ``positives`` int ``[p]`` of one class, and ``negatives`` int ``[m]`` of others."""

    positives: np.ndarray
    negatives: np.ndarray


class Groups:
    """Groups of images of one class and of others, for losses that compare distances.

    A class of fewer images than are drawn gives each of them about equally often.

    Args:
        targets: int ``[n]``, the class of each image; negative ones are left out.
        positives: images of the class.
        negatives: images of other classes.
        coarse: int ``[n]``, the coarse class of each image: half of the negatives are drawn from those that share that
            of the positives, as far as there are any, and the rest from all; ``None`` draws all from all. Both halves
            may hold the same image.
        seed: of all draws.
        stream: tells draws for one purpose from those for another.
    """

    def __init__(
        self,
        targets: np.ndarray,
        *,
        positives: int,
        negatives: int,
        coarse: np.ndarray | None = None,
        seed: int = 0,
        stream: int = 0,
    ) -> None:
        self._targets, self._coarse = targets, np.zeros_like(targets) if coarse is None else coarse
        self._positives, self._negatives, self._seed = positives, negatives, (seed, stream)
        self._members = _members(targets)
        self._drawn = [one for one, members in self._members.items() if len(members) > 1]
        if len(self._members) < 2 or not self._drawn:
            raise UsageError("groups need two classes, one of which has at least two images: add images")

    def draw(self, number: int) -> Group:
        """Group ``number``."""
        rng = np.random.default_rng([*self._seed, number])
        chosen = int(rng.choice(self._drawn))
        members = self._members[chosen]
        others = np.flatnonzero((self._targets != chosen) & (self._targets >= 0))
        near = others[self._coarse[others] == self._coarse[members[0]]]
        half = self._negatives // 2 if len(near) else 0
        negatives = [*_repeated(rng, near, half), *_repeated(rng, others, self._negatives - half)]
        return Group(_repeated(rng, members, self._positives), np.array(negatives))


def _members(targets: np.ndarray) -> dict[int, np.ndarray]:
    return {int(one): np.flatnonzero(targets == one) for one in np.unique(targets[targets >= 0])}


def _repeated(rng: np.random.Generator, images: np.ndarray, number: int) -> np.ndarray:
    """Images drawn without replacement, again from all once none is left."""
    return np.resize(rng.permutation(images), number)


def shuffled_batch(
    numbers: Sequence[int] | np.ndarray, batch: int, number: int, *, seed: int, stream: int = 0
) -> np.ndarray:
    """Batch ``number`` of endless passes over ``numbers``, each in a random order of its own, int ``[batch]``."""
    first = number * batch
    passes = range(first // len(numbers), (first + batch - 1) // len(numbers) + 1)
    orders = [np.random.default_rng([seed, stream, one]).permutation(numbers) for one in passes]
    start = first - passes[0] * len(numbers)
    return np.concatenate(orders)[start : start + batch]
