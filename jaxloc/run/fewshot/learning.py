"""Learn a piecewise mapping from episodes of base classes, on vectors that stay as they are."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import piecewise
from jaxloc._files import digest
from jaxloc.errors import UsageError
from jaxloc.models.training import Tally, TrainState, cross_entropy
from jaxloc.options import FewShotOptions
from jaxloc.report.text import counted
from jaxloc.run.fewshot.classifiers import accuracies, classifiers
from jaxloc.run.loop import Figures, head_loop
from jaxloc.run.retrieval.arrays_file import of_array
from jaxloc.run.sampling import Episodes
from jaxloc.run.training_checkpoints import Checkpoints

_ENOUGH_CLASSES = 50
"""Base classes below which a mapping is warned about: the nearest mean is then likely to be better."""

_WAYS, _QUERIES, _EACH, _SHOTS = 5, 15, 4, 5
"""Classes of an episode, queries of each, episodes of a step; and exemplars if base classes are small."""
_HELD_OUT, _LEAST, _SHARE = 100, 20, 5
"""Episodes of a validation; base classes that it needs, of which it takes one in ``_SHARE``."""
_RATE, _DECAY, _EVERY = 1e-3, 1e-4, 50


def cautions(labels: Sequence[str], *, shots: int) -> list[str]:
    """Warnings of a mapping that was learnt from images of these classes: too few classes, or too few images of one."""
    images = _enough(labels, shots)
    told = []
    if len(images) < _ENOUGH_CLASSES:
        told.append(
            f"The mapping was learnt from {counted(len(images), 'base class')}; below about {_ENOUGH_CLASSES} the "
            "nearest mean is likely to be better."
        )
    smallest = min(images, key=lambda name: images[name])
    if (queries := images[smallest] - shots) < _QUERIES:
        told.append(
            f"The smallest base class, {smallest!r}, has {images[smallest]} images: the {shots}-shot mapping was "
            f"learnt with {counted(queries, 'query')} of each class, not {_QUERIES}; add images to it or take it out."
        )
    return told


def shots_for(labels: Sequence[str], exemplars: int) -> int:
    """Exemplars of a class in an episode: as many as are given, or at most 5 if no two base classes have more."""
    return exemplars if len(_enough(labels, exemplars)) > 1 else min(exemplars, _SHOTS)


def learn(
    vectors: np.ndarray,
    labels: Sequence[str],
    folder: str | os.PathLike[str],
    options: FewShotOptions,
    *,
    shots: int,
    residual: bool,
) -> piecewise.Mapping:
    """Learn a mapping; a stopped call resumes from its checkpoints in ``folder``.

    With at least 20 base classes a fifth of them is held out, and the state that names those best is taken.

    Args:
        vectors: bilinear vectors of the base images, float32 ``[n, k²]``.
        labels: their classes.
        folder: for checkpoints, which lie in a folder of their own for each training.
        options: of the job.
        shots: exemplars of a class in an episode.
        residual: which form the mapping has; see ``piecewise.init``.
    """
    images = _enough(labels, shots)
    classes = list(images)
    if len(classes) < 2:
        raise UsageError(
            f"{len(classes)} base classes have more than {shots} images, and a mapping is learnt from at least 2: give "
            "more base images, or leave out the mapping with --mapping none"
        )
    order = np.random.default_rng([options.seed, 0]).permutation(classes).tolist()
    held_out = order[: len(order) // _SHARE] if len(order) >= _LEAST else []
    queries = min(_QUERIES, min(images.values()) - shots)

    def episodes(names: list[str], stream: int) -> Episodes:
        targets = np.array([names.index(label) if label in names else -1 for label in labels])
        ways = min(_WAYS, len(names))
        return Episodes(targets, ways=ways, shots=shots, queries=queries, seed=options.seed, stream=stream)

    train = episodes(order[len(held_out) :], 1)
    fixed = jnp.asarray(vectors)

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        return stacked(train, range(_EACH * number, _EACH * (number + 1)))

    def validate(state: TrainState) -> Figures:
        return {"quality": float(accuracies(state.trained, fixed, *checked).mean())}

    checked = stacked(episodes(held_out, 2), range(_HELD_OUT)) if held_out else ()
    key = jax.random.key(options.seed)
    mapping = piecewise.init(key, pieces=options.dimension, dimension=options.dimension, residual=residual)
    settings = {
        "vectors": of_array(vectors),
        "classes": classes,
        "shots": shots,
        "residual": residual,
        "seed": options.seed,
        "steps": options.steps,
    }
    with Checkpoints(Path(folder) / digest(json.dumps(settings))) as checkpoints:
        loop = head_loop(
            mapping,
            _loss,
            draw,
            steps=options.steps,
            every=_EVERY,
            checkpoints=checkpoints,
            settings=settings,
            fixed=fixed,
            validate=validate if held_out else None,
            learning_rate=_RATE,
            cure="choose another --seed, or leave out the mapping with --mapping none",
            weight_decay=_DECAY,
            purpose=f"learning a mapping, {shots}-shot",
        )
        return loop.run()


def _enough(labels: Sequence[str], shots: int) -> dict[str, int]:
    """Number of images of each class that has more of them than ``shots``, in order of name."""
    return {name: count for name, count in sorted(Counter(labels).items()) if count > shots}


def stacked(episodes: Episodes, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Exemplars ``[e, w, s]`` and queries ``[e, w, q]`` of some episodes."""
    drawn = [episodes.draw(number) for number in numbers]
    return np.stack([one.exemplars for one in drawn]), np.stack([one.queries for one in drawn])


def _loss(
    mapping: piecewise.Mapping, vectors: jax.Array, exemplars: jax.Array, queries: jax.Array
) -> tuple[jax.Array, Tally]:
    """Mean negative log-likelihood of the queries of some episodes (equation 10)."""
    count, ways = exemplars.shape[:2]
    means = vectors[exemplars].mean(2)
    planes = classifiers(mapping, means.reshape(count * ways, -1)).reshape(means.shape)
    scores = jnp.einsum("ewqd,ecd->ewqc", vectors[queries], planes)
    targets = jnp.broadcast_to(jnp.arange(ways)[:, None], scores.shape[:-1])
    return cross_entropy(scores, targets)
