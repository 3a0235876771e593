"""Learn classes from sentences: the language stream beside an image's own."""

import json
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxloc._files import digest
from jaxloc._jit import standard_promotion
from jaxloc.models.sentences import SentenceScores, Vocabulary
from jaxloc.models.training import Tally, cross_entropy
from jaxloc.run.loop import head_loop
from jaxloc.run.sampling import shuffled_batch
from jaxloc.run.training_checkpoints import Checkpoints

_LENGTH, _BATCH, _RATE, _DECAY, _EVERY = 40, 64, 1e-3, 1e-2, 200


class LanguageStream:
    """A classifier of sentences, learnt from ``sentences`` and their classes ``targets``, int ``[n]``.

    A stopped training resumes from its checkpoints in ``folder``.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        targets: np.ndarray,
        folder: str | os.PathLike[str],
        *,
        classes: int,
        steps: int = 600,
        seed: int = 0,
    ) -> None:
        self._vocabulary = Vocabulary(sentences)
        network = SentenceScores(len(self._vocabulary), classes)
        self._scores = jax.jit(network.apply)
        words, numbers = self._vocabulary.encode(sentences, _LENGTH), np.arange(len(sentences))

        def loss(params: Any, fixed: None, words: jax.Array, targets: jax.Array) -> tuple[jax.Array, Tally]:
            return cross_entropy(network.apply(params, words), targets)

        def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
            some = shuffled_batch(numbers, _BATCH, number, seed=seed)
            return words[some], targets[some]

        with standard_promotion():
            params = jax.jit(network.init)(jax.random.key(seed), words[:1])
        with Checkpoints(folder) as checkpoints:
            self._params = head_loop(
                params,
                loss,
                draw,
                steps=steps,
                every=_EVERY,
                checkpoints=checkpoints,
                settings={
                    "sentences": digest(json.dumps([*sentences, targets.tolist()])),
                    "classes": classes,
                    "steps": steps,
                    "seed": seed,
                },
                learning_rate=_RATE,
                weight_decay=_DECAY,
                purpose="learning from sentences",
            ).run()

    @standard_promotion()
    def scores(self, sentences: Sequence[str]) -> np.ndarray:
        """Logits of each class, float32 ``[n, classes]``."""
        return np.asarray(self._scores(self._params, self._vocabulary.encode(sentences, _LENGTH)))
