"""The language stream: it learns the words that tell classes apart, and resumes to the same bits."""

import numpy as np
import pytest

from jaxloc.run import language
from jaxloc.run.language import LanguageStream
from tests.run import helpers

COLOURS = ("red", "blue", "green")
SENTENCES = [f"a {size} bird with a {colour} belly" for size in ("small", "large", "tall") for colour in COLOURS]
TARGETS = np.tile(np.arange(3), 3)


def test_classes_follow_from_the_words_that_tell_them_apart(tmp_path):
    stream = LanguageStream(SENTENCES, TARGETS, tmp_path, classes=3, steps=40)
    asked = ["the belly is red", "its huge wings are green", "a blue one"]
    np.testing.assert_array_equal(stream.scores(asked).argmax(1), [0, 2, 1])


@pytest.mark.soak  # the loop is tested in run/test_loop.py and run/test_finetune.py
def test_a_stopped_training_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(language, "_EVERY", 4)

    def learn(name):
        return LanguageStream(SENTENCES, TARGETS, tmp_path / name, classes=3, steps=6).scores(SENTENCES)

    unbroken = learn("unbroken")
    with helpers.killed_after_periods(1), pytest.raises(InterruptedError):
        learn("broken")
    np.testing.assert_array_equal(learn("broken"), unbroken)
