"""A method is its own functions and one registration, also where it asks a classifier in its loop."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxloc import scda
from jaxloc.localizers import METHODS, Method
from jaxloc.run import steps
from tests.run.batches import runs


def asking(models, inputs, **labelling):
    """SCDA's box, scored by the classifier on the whole image and on a black one."""
    features, size = inputs.maps[0]
    found = scda.localize(features, inputs.image_size, size=size, **labelling)
    whole, black = inputs.score_fn(jnp.stack([inputs.image, 0 * inputs.image]))[:, 0]
    return found._replace(score=(whole - black) / 2)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, "asking", Method("asking", "A method that asks", "a score", asking, asks_network=True))
    load = steps.load_weights
    monkeypatch.setattr(steps, "load_weights", lambda options, layers, top: load(options, layers))
    monkeypatch.setattr(steps, "_class_scores", lambda params, images, **how: images.mean((1, 2), "float32") / 255)


def test_a_method_asks_the_network_of_each_images_pixels(images, weights, tmp_path, registered):
    asked = runs.run(images, tmp_path / "asking", weights, method="asking", workers=2)
    plain = runs.run(images, tmp_path / "scda", weights, method="scda")
    for one, other in zip(asked.images, plain.images, strict=True):
        with Image.open(Path(one.path)) as image:
            red = np.asarray(image.convert("RGB"))[..., 0]
        assert one.box == other.box
        assert 0 < one.score <= red.mean() / 255 / 2 + 1e-6  # padding is black
    assert asked.images[0].noise_score is None
