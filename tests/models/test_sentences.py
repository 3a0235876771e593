"""Words to numbers, and scores that do not depend on padding."""

import jax
import numpy as np

from jaxloc._jit import standard_promotion
from jaxloc.models.sentences import SentenceScores, Vocabulary, words_of


def test_words_are_those_of_the_training_sentences_in_lower_case():
    assert words_of("This bird's RED, red-brown belly_3!") == ["this", "bird's", "red", "red", "brown", "belly", "3"]
    vocabulary = Vocabulary(["A red bird", "a blue bird."])
    assert len(vocabulary) == 6  # padding, unknown, a, bird, blue, red
    encoded = vocabulary.encode(["A blue cat", "bird " * 9], 4)
    np.testing.assert_array_equal(encoded, [[2, 4, 1, 0], [3, 3, 3, 3]])


@standard_promotion()
def test_padding_and_the_place_of_a_phrase_change_nothing():
    network = SentenceScores(vocabulary=9, classes=3, embedding=4, width=5)
    words = np.array([[2, 3, 4, 0, 0]])
    params = network.init(jax.random.key(0), words)
    params = jax.tree.map(lambda x: x + 0.1, params)
    scores = network.apply(params, words)
    longer = network.apply(params, np.array([[2, 3, 4, 0, 0, 0, 0, 0]]))
    np.testing.assert_allclose(longer, scores, rtol=1e-6)
    other = network.apply(params, np.array([[4, 3, 2, 0, 0]]))
    assert np.abs(other - scores).max() > 1e-4  # the order of words counts
