"""Networks' own classifiers, in memory."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import models
from jaxloc.errors import UsageError
from jaxloc.models import alexnet
from tests.compiled import jitted
from tests.models import narrow
from tests.run import helpers

BACKBONE = alexnet.backbone(name="alexnet-classes", widths=(6, 5, 7, 6, 8), dense=(9, 8))


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with helpers.one_device():
        yield


def test_probabilities_are_those_of_the_middle_of_each_image():
    weights = narrow.weights(BACKBONE, top=True)
    pixels = np.random.default_rng(0).integers(0, 256, (256, 300, 3), np.uint8)
    net = jaxloc.load(weights)
    found = net.classify([pixels, Image.fromarray(pixels[:, :256])])
    assert found.shape == (2, 1000)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    middle = pixels[16:240, 38:262]  # 224 of 256 pixels of the shorter side
    scores = jitted(models.extract_features)(weights.params, middle, backbone=BACKBONE, layers=("fc8",))["fc8"].features
    np.testing.assert_allclose(found[0], jax.nn.softmax(scores[0, 0]), rtol=1e-3)
    assert np.abs(found[0] - found[1]).max() > 1e-6


def test_class_names_are_imagenets():
    names = models.find("efficientnet-lite0").class_names
    assert len(names) == 1000
    assert names[0] == "tench, Tinca tinca"
    assert names[281] == "tabby, tabby cat"
    assert names[999] == "toilet tissue, toilet paper, bathroom tissue"


def test_weights_without_a_classifier_name_the_cure():
    with pytest.raises(UsageError, match=r"no classifier, so there is no fc8: convert a file once with .*vgg16-3979"):
        jaxloc.load(narrow.weights()).classify(np.zeros((224, 224, 3), np.uint8))
    other = jaxloc.load(narrow.weights(narrow.BACKBONE))
    with pytest.raises(UsageError, match="the names of the 10 classes of this VGG-16 are not known"):
        _ = other.class_names


@pytest.mark.photos
@pytest.mark.parametrize(("name", "share"), [("efficientnet-lite0", 0.75), ("squeezenet1_1", 0.5)])
def test_a_published_classifier_knows_photographs(photos_folder, name, share):
    folder = photos_folder / "imagenet_200"
    labels = list(json.loads((folder / "labels.json").read_text()).items())[::8]
    found = jaxloc.load(name).classify([folder / file for file, _ in labels])
    right = found.argmax(1) == [label for _, label in labels]
    assert right.mean() > share
