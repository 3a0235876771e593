"""VGG: against torch, padded against alone, layer by layer, under every transformation."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxloc import models, scda
from tests.compiled import jitted
from tests.models import narrow

LAYERS = ("relu1_2", "pool2", "relu3_3", "relu4_3", "relu5_3", "pool4")
SIZES = [(16, 16), (17, 33), (47, 63), (64, 80)]
"""Few, since each is compiled."""

GOLDEN = Path(__file__).parent.parent / "golden" / "relu5_3.npz"


@pytest.fixture(scope="session")
def extract(vgg16):
    """``extract(images, sizes, layers=…)`` with the embedded weights, compiled."""
    return functools.partial(jitted(models.extract_features), vgg16.params, backbone=vgg16.backbone)


@pytest.fixture(scope="session")
def alone(cat, extract):
    """The features of a crop of the photograph of each of ``SIZES``, by itself."""
    return {size: extract(crop(cat, *size), layers=LAYERS) for size in SIZES}


@pytest.fixture(scope="session")
def batch(cat, extract):
    """The same of a padded batch of all crops."""
    images = np.full((len(SIZES), *SIZES[-1], 3), 255, np.uint8)
    for slot, size in zip(images, SIZES, strict=True):
        slot[: size[0], : size[1]] = crop(cat, *size)
    return extract(images, np.array(SIZES), layers=LAYERS)


def crop(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.ascontiguousarray(image[20 : 20 + rows, 30 : 30 + columns])


def tiny_weights(architecture: str, seed: int = 0) -> dict:
    """Weights of the right names with random values, fully connected layers included, made lazily small in scale."""
    rng = np.random.default_rng(seed)
    params: dict = {}
    for name, shape in models.find(architecture).all_shapes(head=False).items():
        layer, kind = name.split("/")
        scale = np.sqrt(2 / np.prod(shape[:-1])) if kind == "kernel" else 0.1
        params.setdefault(layer, {})[kind] = (rng.normal(size=shape) * scale).astype(np.float32)
    return params


def test_relu5_3_equals_torchvision_on_a_photograph(cat, extract, vgg16):
    golden = np.load(GOLDEN)
    assert str(golden["checksum"]) == vgg16.checksum
    found = extract(cat)["relu5_3"].features
    expected = golden["features"]
    np.testing.assert_allclose(found[..., ::32], expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("index", range(len(SIZES)), ids=map(str, SIZES))
def test_padded_equals_alone_at_every_size(alone, batch, index):
    for layer in LAYERS:
        expected, found = alone[SIZES[index]][layer], batch[layer].features[index]
        rows, columns = expected.features.shape[:2]
        np.testing.assert_array_equal(batch[layer].size[index], [rows, columns])
        np.testing.assert_array_equal(expected.size, [rows, columns])
        np.testing.assert_allclose(found[:rows, :columns], expected.features, atol=1e-5 * expected.features.max())
        assert not found[rows:].any()
        assert not found[:, columns:].any()


def test_mixed_sizes_in_one_batch_give_the_masks_and_boxes_of_each_alone(alone, batch):
    localize = jitted(scda.localize)
    maps = batch["relu5_3"]
    for index, size in enumerate(SIZES):
        features = alone[size]["relu5_3"].features
        expected = localize(features, np.array(size))
        found = localize(maps.features[index], np.array(size), size=maps.size[index])
        np.testing.assert_array_equal(found.box, expected.box)
        rows, columns = features.shape[:2]
        np.testing.assert_array_equal(found.mask[:rows, :columns], expected.mask)


def test_unmasked_padding_would_have_leaked(cat, alone, extract):
    """The test above can fail: without ``sizes`` the same padding corrupts the features."""
    padded = np.pad(crop(cat, 47, 63), ((0, 17), (0, 17), (0, 0)))
    expected = alone[47, 63]["relu5_3"].features
    leaked = extract(padded, layers=LAYERS)["relu5_3"].features[:2, :3]
    assert np.abs(leaked - expected).max() > 0.01 * expected.max()


def test_uint8_and_float_images_agree(cat, alone, extract):
    by_byte = alone[SIZES[-1]]["relu5_3"].features
    by_float = extract(np.float32(crop(cat, *SIZES[-1])) / 255)["relu5_3"].features
    np.testing.assert_allclose(by_byte, by_float, atol=1e-5 * by_float.max())  # the bound that is documented


@pytest.mark.soak  # in test_convolution.py, and of sizes in a batch above
def test_vmap_and_batch_agree(cat, extract, vgg16):
    images = np.stack([crop(cat, 48, 64), crop(cat[::-1], 48, 64), crop(cat[:, ::-1], 48, 64)])
    sizes = np.array([[48, 64], [33, 64], [48, 17]])
    batch = extract(images, sizes)["relu5_3"]
    one = functools.partial(models.extract_features, backbone=vgg16.backbone)
    mapped = jitted(jax.vmap(one, (None, 0, 0)))(vgg16.params, images, sizes)["relu5_3"]
    np.testing.assert_allclose(mapped.features, batch.features, atol=1e-4)
    np.testing.assert_array_equal(mapped.size, batch.size)


def test_batch_shards_over_two_devices_without_a_collective(cat):
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    images = np.stack([crop(cat, 32, 48), crop(cat[::-1], 32, 48)])
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    data, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    weights = narrow.weights()
    function = jax.jit(functools.partial(models.extract_features, backbone=weights.backbone))
    arguments = (jax.device_put(weights.params, whole), jax.device_put(images, data))
    compiled = function.lower(*arguments).compile()
    assert not [word for word in ("all-reduce", "all-gather", "all-to-all") if word in compiled.as_text()]
    expected = function(weights.params, images)["relu5_3"].features
    np.testing.assert_allclose(compiled(*arguments)["relu5_3"].features, expected, atol=1e-4)


def test_computes_no_deeper_than_asked(cat, vgg16):
    shallow = {name: vgg16.params[name] for name in ("conv1_1", "conv1_2", "conv2_1")}
    extract = functools.partial(models.extract_features, backbone=vgg16.backbone, layers=("relu2_1",))
    assert list(jax.eval_shape(extract, shallow, crop(cat, 32, 32))) == ["relu2_1"]
    assert jax.jit(extract).lower(vgg16.params, crop(cat, 32, 32)).as_text().count("stablehlo.convolution") == 3


def test_layers_come_back_in_the_order_asked_for(cat, vgg16):
    extract = functools.partial(models.extract_features, backbone=vgg16.backbone)
    maps = jax.eval_shape(
        functools.partial(extract, layers=("pool3", "relu1_1", "relu5_3")), vgg16.params, cat[:32, :32]
    )
    assert list(jax.tree.leaves(list(maps))) == sorted(maps)  # jit returns dicts with sorted keys
    assert maps["relu1_1"].features.shape == (32, 32, 64)
    assert maps["pool3"].features.shape == (4, 4, 256)


def test_bfloat16_is_close_and_typed(cat, alone, extract):
    full = alone[SIZES[-1]]["relu5_3"].features
    half = extract(crop(cat, *SIZES[-1]), dtype=jnp.bfloat16)["relu5_3"].features
    assert half.dtype == jnp.bfloat16
    assert np.linalg.norm(half.astype(np.float32) - full) / np.linalg.norm(full) < 0.03


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_every_layer_has_the_shape_its_name_says(architecture):
    backbone = models.find(architecture)
    layers = [name for name in backbone.layer_names if not backbone.needs_head([name])]
    assert len(layers) == {"vgg16": 18, "vgg19": 21}[architecture]
    function = functools.partial(models.extract_features, backbone=backbone, layers=tuple(layers))
    shapes = jax.eval_shape(function, tiny_weights(architecture), np.zeros((2, 70, 90, 3), np.float32))
    for layer, (features, size) in shapes.items():
        known = backbone.layer(layer)
        assert features.shape == (2, 70 // known.stride, 90 // known.stride, known.channels)
        assert size.shape == (2, 2)


def test_fully_connected_layers_are_convolutions_over_larger_images():
    names = models.find("vgg16").all_shapes(head=True)
    params: dict = {}
    for name, shape in names.items():
        layer, kind = name.split("/")
        params.setdefault(layer, {})[kind] = jax.ShapeDtypeStruct(shape, jnp.float32)
    function = functools.partial(models.extract_features, backbone=models.find("vgg16"), layers=("fc6", "fc7", "fc8"))
    exact = jax.eval_shape(function, params, jax.ShapeDtypeStruct((224, 224, 3), jnp.float32))
    assert {layer: m.features.shape for layer, m in exact.items()} == {
        "fc6": (1, 1, 4096),
        "fc7": (1, 1, 4096),
        "fc8": (1, 1, 1000),
    }
    larger = jax.eval_shape(function, params, jax.ShapeDtypeStruct((3, 256, 320, 3), jnp.float32))
    assert larger["fc8"].features.shape == (3, 2, 4, 1000)


def test_wrong_images_say_what_is_wrong(cat, vgg16):
    extract = functools.partial(models.extract_features, vgg16.params, backbone=vgg16.backbone)
    with pytest.raises(ValueError, match=r"images must be RGB.*\(300, 451\)"):
        extract(cat[..., 0])
    with pytest.raises(ValueError, match="unknown layer 'relu9_9'; vgg16 has relu1_1"):
        extract(cat, layers=("relu9_9",))
    with pytest.raises(ValueError, match=r"5×40 are too small.*16 pixels"):
        extract(cat[:5, :40])
    with pytest.raises(ValueError, match=r"sizes must be \(1, 2\)"):
        extract(cat[None], np.array([300, 451]))
    with pytest.raises(ValueError, match="no classifier, so there is no fc7"):
        extract(cat, layers=("fc7",))
    with pytest.raises(ValueError, match="unknown backbone 'resnet'; known: vgg16, vgg19"):
        models.find("resnet")
    inexact = dataclasses.replace(vgg16.backbone, padding_exact=False)
    with pytest.raises(ValueError, match="padding changes the features of VGG-16"):
        models.extract_features(vgg16.params, cat[None], np.array([[300, 451]]), backbone=inexact)
