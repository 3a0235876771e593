"""Scores of classes from a sentence: words, a temporal convolution, the maximum over time.

Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, over words; the language stream beside
images of He & Peng, "Fine-grained image classification via combining vision and language", CVPR 2017, is larger and of
characters. Words are those of the training sentences; others are one word of their own.
"""

import re
from collections.abc import Iterable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
PADDING, UNKNOWN = 0, 1


class Vocabulary:
    """Numbers of words: 0 is padding, 1 any word that is not known."""

    def __init__(self, sentences: Iterable[str]) -> None:
        words = sorted({word for sentence in sentences for word in words_of(sentence)})
        self._numbers = {word: number for number, word in enumerate(words, UNKNOWN + 1)}

    def __len__(self) -> int:
        """One more than the largest number."""
        return UNKNOWN + 1 + len(self._numbers)

    def encode(self, sentences: Sequence[str], length: int) -> np.ndarray:
        """Numbers of the first ``length`` words of each sentence, int32 ``[n, length]``, padded at the end."""
        encoded = np.full((len(sentences), length), PADDING, np.int32)
        for row, sentence in zip(encoded, sentences, strict=True):
            numbers = [self._numbers.get(word, UNKNOWN) for word in words_of(sentence)[:length]]
            row[: len(numbers)] = numbers
        return encoded


def words_of(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without punctuation."""
    return _WORD.findall(sentence.lower())


class SentenceScores(nn.Module):
    """The network.

    Attributes:
        vocabulary: number of words, with padding and the unknown one.
        width: channels of the convolution over three words.
    """

    vocabulary: int
    classes: int
    embedding: int = 64
    width: int = 128

    @nn.compact
    def __call__(self, words: jax.Array) -> jax.Array:
        """Scores of the classes, float32 ``[n, classes]``, of sentences int32 ``[n, length]``."""
        there = (words != PADDING)[..., None]
        x = jnp.where(there, nn.Embed(self.vocabulary, self.embedding, name="embedding")(words), 0)
        x = jnp.where(there, nn.relu(nn.Conv(self.width, (3,), name="convolution")(x)), 0)
        return nn.Dense(self.classes, name="scores")(x.max(1))
