"""A network with a head of its own: the same layers below, exact under padding, kept by weights files."""

import functools

import jax
import numpy as np
import pytest

from jaxloc.models import extract_features, weights_file
from jaxloc.models.classifier import logits
from jaxloc.models.headed import HEAD, with_head
from tests.compiled import jitted
from tests.models import narrow, vits

NAMES = ("cat", "dog", "person")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
SIZES = np.array([[64, 96], [48, 64]], np.int32)


@pytest.fixture(scope="module")
def headed():
    backbone = with_head(narrow.BACKBONE, "pool5", NAMES, independent=True)
    return narrow.weights(backbone, top=True)


def test_the_head_reads_the_average_of_each_images_own_cells(headed):
    layers = ("pool5", HEAD)
    extract = jax.jit(functools.partial(extract_features, backbone=headed.backbone, layers=layers))
    found = extract(headed.params, IMAGES, SIZES)
    assert found[HEAD].features.shape == (2, 1, 1, 3)
    expected = jitted(logits)(headed.params, IMAGES, SIZES, backbone=narrow.BACKBONE, layer="pool5")
    np.testing.assert_allclose(found[HEAD].features[:, 0, 0], expected, atol=1e-5)


def test_layers_above_and_the_classifier_of_before_are_left_out():
    backbone = with_head(narrow.BACKBONE, "relu4_3", NAMES)
    assert backbone.layer_names[-2:] == ("relu4_3", HEAD)
    assert backbone.convolutions[-1] == "conv4_3"
    assert set(backbone.defaults[:3]) == {"relu4_3"}
    assert {"head/kernel", "conv4_3/kernel"} < backbone.all_shapes(head=True).keys()
    assert not any(name.startswith(("conv5", "fc")) for name in backbone.all_shapes(head=True))
    assert backbone == with_head(narrow.BACKBONE, "relu4_3", list(NAMES))


def test_a_vision_transformer_gets_a_head_of_its_patches():
    plain = vits.BACKBONES["tiny-dino"]
    backbone = with_head(plain, plain.defaults.retrieval, NAMES)
    assert backbone.all_shapes(head=True)["head/kernel"] == (plain.layer(plain.defaults.retrieval).channels, 3)


def test_a_weights_file_keeps_the_head_and_the_names_of_its_classes(headed, tmp_path):
    weights_file.save(tmp_path / "w.safetensors", headed)
    read = weights_file.read(tmp_path / "w.safetensors")
    assert read.backbone == headed.backbone
    assert (read.backbone.class_names, read.backbone.class_number("DOG")) == (NAMES, 1)
    assert read.backbone.head.independent
    assert read.checksum == headed.checksum
