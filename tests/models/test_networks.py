"""Every network: padded against alone, and the sizes, channels and signs that its layers are said to have."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxloc import models
from jaxloc._jit import standard_promotion
from jaxloc.models import alexnet, efficientnet, resnet, squeezenet, weights_file
from jaxloc.models.asking import classifier
from tests.compiled import jitted
from tests.golden import make_networks
from tests.models import narrow
from tests.soaked import soaked
from weights_convert import state_dict

NARROW = {
    backbone.name: backbone
    for backbone in (
        alexnet.backbone(name="alexnet-narrow", widths=(6, 5, 7, 6, 8), dense=(9, 8), classes=7),
        resnet.backbone("resnet18", name="resnet18-narrow", width=3, classes=7),
        resnet.backbone("resnet50", name="resnet50-narrow", depths=(1, 2, 1, 1), width=2, classes=7),
        squeezenet.backbone(name="squeezenet-narrow", stem=5, squeezed=(1, 2, 2, 1, 2, 2, 1, 2), classes=7),
        efficientnet.backbone("efficientnet-lite0", name="lite-narrow", narrow=0.2, shallow=0.3, head=9, classes=7),
    )
}
"""A network of each kind, real in everything but its widths and the repeats of its deepest stages."""

KINDS = pytest.mark.parametrize("backbone", NARROW.values(), ids=NARROW)
REAL = ("alexnet", "squeezenet1_1", "resnet18", "resnet50", "efficientnet-lite0", "vit_tiny_patch16")
"""Other vision transformers differ in width and depth, and else as ``test_vit`` shows."""
DEEPER = [
    pytest.param(name, marks=pytest.mark.soak)
    for name in ("dinov3_vits16", *resnet.VARIANTS, *efficientnet.VARIANTS)
    if name not in REAL
]
SIZES = [(71, 90), (84, 77)]
PADDED = (88, 96)
extract = jitted(models.extract_features)


def below_head(backbone: models.Backbone) -> tuple[str, ...]:
    return tuple(name for name in backbone.layer_names if not backbone.needs_head([name]))


def images(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


@KINDS
@pytest.mark.parametrize("number", soaked(range(len(SIZES)), [0]), ids=lambda number: str(SIZES[number]))
def test_padded_equals_alone_at_every_layer(backbone, number):
    params = narrow.weights(backbone, top=True).params
    alone = images(np.random.default_rng(0))
    batch = np.full((len(alone), *PADDED, 3), 255, np.uint8)
    for slot, image in zip(batch, alone, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image
    layers = tuple(layer.name for layer in backbone.layers if layer.minimum_side <= min(map(min, SIZES)))
    padded = extract(params, batch, np.array(SIZES), backbone=backbone, layers=layers)
    expected = extract(params, alone[number], backbone=backbone, layers=layers)
    for layer in layers:
        (features, size), found = expected[layer], padded[layer].features[number]
        rows, columns = features.shape[:2]
        np.testing.assert_array_equal(padded[layer].size[number], [rows, columns], err_msg=layer)
        np.testing.assert_array_equal(size, [rows, columns], err_msg=layer)
        scale = np.abs(features).max()
        assert scale > 0
        np.testing.assert_allclose(found[:rows, :columns], features, atol=1e-5 * scale, err_msg=layer)
        assert not found[rows:].any()
        assert not found[:, columns:].any()
        assert backbone.layer(layer).signed == bool((features < 0).any()), layer
    if averaged := backbone.head.averages:
        features, size = padded[averaged].features[number], padded[averaged].size[number]
        probabilities = jitted(classifier(params, backbone=backbone).of_map)(features, size)
        scores = expected[backbone.head.layer].features[0, 0]
        np.testing.assert_allclose(probabilities, jax.nn.softmax(scores), atol=1e-5)


@pytest.mark.parametrize("name", [*REAL, *DEEPER])
def test_every_layer_has_the_cells_and_channels_it_says(name):
    backbone = models.find(name)
    layers = backbone.layer_names
    params = backbone.abstract_params(head=True)
    function = functools.partial(models.extract_features, backbone=backbone, layers=layers)
    side = 224 if backbone.head is None else backbone.head.side
    maps = jax.eval_shape(function, params, jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8))
    for layer in backbone.layers:
        features = maps[layer.name].features
        assert features.shape[-1] == layer.channels, layer
        if not backbone.needs_head([layer.name]):
            assert abs(features.shape[1] - side / layer.stride) <= 2, layer
        if layer.below:
            assert maps[layer.below].features.shape[1:3] == features.shape[1:3]
    if backbone.head is not None:
        assert maps[backbone.head.layer].features.shape == (2, 1, 1, 1000)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "resnet18", "efficientnet-lite0"])
def test_the_smallest_side_of_a_layer_gives_it_a_cell(name):
    backbone = models.find(name)
    variables = {"params": backbone.abstract_params(head=True)}
    for layer in backbone.layers[:: max(1, len(backbone.layers) // 6)]:
        module = backbone.module.clone(layers=(layer.name,))
        image = jax.ShapeDtypeStruct((1, layer.minimum_side, layer.minimum_side, 3), jnp.float32)
        with standard_promotion():
            maps = jax.eval_shape(module.apply, variables, image)
        assert min(maps[layer.name].features.shape[1:3]) >= 1


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "resnet18", "resnet50", "efficientnet-lite0"])
def test_published_names_give_the_activations_of_torchvision_and_timm(name):
    golden = np.load(make_networks.PATH)
    found = state_dict.from_state_dict(make_networks.parameters(json.loads(str(golden[f"{name} names"]))), "", "")
    assert found.backbone.name == name
    backbone = dataclasses.replace(found.backbone, preprocessing=found.preprocessing)
    params = weights_file.make_weights(found.arrays, backbone, "", "").params
    layers = tuple(key.removeprefix(f"{name} ") for key in golden if key.startswith(name) and key.count(" ") == 1)
    layers = tuple(layer for layer in layers if layer in backbone.layer_names)
    maps = extract(params, make_networks.IMAGE, backbone=backbone, layers=layers)
    assert len(layers) == len(backbone.layers) - len(backbone.head.layers) * (name == "alexnet")
    for layer in layers:
        *shape, largest = golden[f"{name} {layer} shape"]
        features = maps[layer].features
        assert features.shape == tuple(shape), layer
        expected = golden[f"{name} {layer}"]
        np.testing.assert_allclose(make_networks.sample(features), expected, atol=1e-5 * largest, err_msg=layer)


def test_a_head_of_other_classes_is_recognised_and_kept(tmp_path):
    shapes = json.loads(str(np.load(make_networks.PATH)["squeezenet1_1 names"]))
    shapes |= {"classifier.1.weight": [37, 512, 1, 1], "classifier.1.bias": [37]}
    safetensors.numpy.save_file(make_networks.parameters(shapes), tmp_path / "model.safetensors")
    models.save(tmp_path / "ours.safetensors", models.load(tmp_path / "model.safetensors"))
    found = models.load(tmp_path / "ours.safetensors")
    assert found.backbone.name == "squeezenet1_1"
    assert found.backbone.classes == 37
    assert found.params["conv10"]["kernel"].shape == (1, 1, 512, 37)
    assert models.find("squeezenet1_1").classes == 1000
