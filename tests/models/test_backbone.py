"""A network as a value."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxloc import models
from jaxloc.errors import UsageError, WeightsError
from tests.models import narrow


def test_defaults_are_the_papers_layers():
    vgg16, vgg19 = models.find("vgg16"), models.find("vgg19")
    assert vgg16.with_below(vgg16.defaults.localization) == ("relu5_3", "relu5_2")
    assert vgg19.with_below(vgg19.defaults.localization) == ("relu5_4", "relu5_3")
    assert vgg16.defaults[1:] == ("pool5", "relu5_2", "aggregation")
    assert vgg19.defaults[1:] == ("pool5", "relu5_3", "aggregation")


def test_layers_say_their_stride_channels_and_smallest_side():
    vgg16 = models.find("vgg16")
    assert vgg16.layer("relu5_3") == models.Layer("relu5_3", 16, 512, 16, "relu5_2")
    assert vgg16.layer("fc8") == models.Layer("fc8", 32, 1000, 224, signed=True)
    assert vgg16.minimum_side(["relu1_1", "pool5"]) == 32


@pytest.mark.parametrize("layer", ["relu5_1", "pool5", "fc7"])
def test_a_layer_without_one_below_in_its_block_names_another(layer):
    with pytest.raises(UsageError, match=f"no convolution of the same block lies below '{layer}'; use for .* relu5_3"):
        models.find("vgg16").with_below(layer)


def test_a_backbone_is_hashable_and_equal_by_value():
    again = models.vgg.backbone("vgg16")
    assert again == models.find("vgg16")
    assert hash(again) == hash(models.find("vgg16"))
    other = dataclasses.replace(again, preprocessing=models.CAFFE_BGR)
    assert other != again
    assert jax.jit(lambda x, backbone: x + len(backbone.layers), static_argnums=1)(1, other) == 22


def test_expected_arrays_are_those_of_the_module():
    shapes = narrow.BACKBONE.all_shapes(head=True)
    assert shapes["conv1_1/kernel"] == (3, 3, 3, 6)
    assert shapes["fc6/kernel"] == (7, 7, 8, 12)
    assert shapes["fc8/bias"] == (10,)
    assert set(narrow.BACKBONE.shapes("relu1_2")) == {
        f"conv1_{i}/{kind}" for i in (1, 2) for kind in ("kernel", "bias")
    }
    names = {name.split("/")[0] for name in narrow.BACKBONE.all_shapes(head=False)}
    assert names == {name for block in narrow.BACKBONE.blocks for name in block}


def test_a_narrow_network_is_loaded_from_its_file_by_its_registered_name(tmp_path, monkeypatch):
    loaded = models.load(narrow.write(tmp_path / "narrow.safetensors"))
    assert loaded.backbone == narrow.BACKBONE
    image = np.zeros((32, 48, 3), np.uint8)
    assert models.extract_features(loaded.params, image, backbone=loaded.backbone)["relu5_3"].features.shape == (
        2,
        3,
        8,
    )
    monkeypatch.delitem(models.BACKBONES, "vgg16-narrow")
    with pytest.raises(
        WeightsError, match=r"narrow\.safetensors: unknown backbone 'vgg16-narrow'; known: vgg16, vgg19"
    ):
        models.load(tmp_path / "narrow.safetensors")
