"""Winograd's convolution beside the platform's own: at every size, under every transformation, in every form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxloc import models, scda
from jaxloc.models import convolution, winograd
from jaxloc.models.convolution import Convolution

LAYERS = ("relu1_2", "relu2_1", "pool2", "relu3_3", "relu5_3")
ERROR = {"winograd": 5e-6, "winograd2x2": 1e-6}
TILINGS = {"winograd": winograd.TILES_OF_4, "winograd2x2": winograd.TILES_OF_2}


@pytest.fixture(scope="module")
def prepared(vgg16):
    """The embedded weights in every form."""
    return {
        conv: models.prepare(vgg16.params, vgg16.backbone, conv=conv) for conv in ("direct", "winograd", "winograd2x2")
    }


@pytest.fixture(scope="module")
def extract(vgg16):
    jitted = jax.jit(models.extract_features, static_argnames=("backbone", "layers", "dtype", "conv"))
    return functools.partial(jitted, backbone=vgg16.backbone)


def layer(channels: int, width: int, seed: int = 0) -> Convolution:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(3, 3, channels, width)) * np.sqrt(2 / (9 * channels))
    return Convolution(jnp.asarray(kernel, jnp.float32), jnp.asarray(rng.normal(size=width), jnp.float32))


def transformed(plain: Convolution, conv: str) -> Convolution:
    return plain._replace(kernel=winograd.transform_filters(plain.kernel, TILINGS[conv]))


def reference(x: np.ndarray, plain: Convolution) -> np.ndarray:
    """The convolution, bias and ReLU in float64, one place of the kernel at a time."""
    rows, columns = x.shape[1:3]
    around = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.float64(plain.kernel)
    total = sum(around[:, i : i + rows, j : j + columns] @ kernel[i, j] for i in range(3) for j in range(3))
    return np.maximum(total + np.float64(plain.bias), 0)


def assert_close(found, expected, tolerance: float) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * expected.max())


@pytest.mark.parametrize("conv", TILINGS)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (13, 6)])
def test_one_layer_equals_float64_at_every_size(conv, size, monkeypatch):
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 16)
    x = np.random.default_rng(1).normal(size=(2, *size, 12)).astype(np.float32)
    plain = layer(12, 20)
    found = jax.jit(convolution.convolve, static_argnames="pooled")(
        jnp.asarray(x), [transformed(plain, conv)], None, pooled=False
    )
    assert_close(found, reference(x, plain), 5e-6)


@pytest.mark.parametrize("conv", TILINGS)
@pytest.mark.parametrize(("first", "pooled", "size"), [("direct", True, (41, 30)), ("transformed", False, (19, 11))])
def test_chained_layers_equal_one_after_the_other(conv, first, pooled, size, monkeypatch):
    """Over several bands, with the edges of the image and of a valid corner in the midst of a band."""
    below, above = layer(8, 12), layer(12, 16, seed=1)
    sizes = jnp.array([size, (size[0] - 3, size[1] // 2)])
    x = convolution.inside(jax.random.normal(jax.random.key(2), (2, *size, 8)), sizes)
    convolve = jax.jit(convolution.convolve, static_argnames="pooled")
    expected = convolve(convolve(x, [below], sizes, pooled=False), [above], sizes, pooled=pooled)
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 17)
    layers = [below if first == "direct" else transformed(below, conv), transformed(above, conv)]
    assert_close(convolve(x, layers, sizes, pooled=pooled), expected, 5e-6)
    assert_close(convolve(x[:1], layers, None, pooled=pooled), expected[:1], 5e-6)


@pytest.mark.parametrize(("conv", "size"), [("winograd", (16, 16)), ("winograd2x2", (17, 33))])
def test_features_equal_direct_ones(cat, prepared, extract, conv, size):
    image = cat[20 : 20 + size[0], 30 : 30 + size[1]]
    expected = extract(prepared["direct"], image, layers=LAYERS)
    found = extract(prepared[conv], image, layers=LAYERS)
    for name in LAYERS:
        assert_close(found[name].features, expected[name].features, ERROR[conv])
        np.testing.assert_array_equal(found[name].size, expected[name].size)


def test_padded_equals_alone(cat, prepared, extract):
    sizes = [(17, 33), (63, 95)]
    batch = np.full((len(sizes), 64, 112, 3), 255, np.uint8)
    for slot, (rows, columns) in zip(batch, sizes, strict=True):
        slot[:rows, :columns] = cat[20 : 20 + rows, 30 : 30 + columns]
    padded = extract(prepared["winograd"], batch, np.array(sizes), layers=LAYERS)
    for index, size in enumerate(sizes):
        alone = extract(prepared["winograd"], batch[index, : size[0], : size[1]], layers=LAYERS)
        for name in LAYERS:
            found = np.asarray(padded[name].features[index])
            rows, columns = alone[name].size
            assert_close(found[:rows, :columns], alone[name].features, 1e-5)
            assert not found[rows:].any()
            assert not found[:, columns:].any()


def test_photographs_keep_their_masks(prepared, extract):
    photographs = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket()]
    images = np.stack([photograph[:300:2, 50:451:2] for photograph in photographs])
    direct, found = (extract(prepared[conv], images)["relu5_3"].features for conv in ("direct", "winograd"))
    for expected_map, found_map in zip(direct, found, strict=True):
        expected, localized = (scda.localize(one, np.array(images.shape[1:3])) for one in (expected_map, found_map))
        np.testing.assert_array_equal(localized.mask, expected.mask)
        np.testing.assert_array_equal(localized.box, expected.box)


def test_vmap_agrees_with_the_batch(cat, prepared, extract, vgg16):
    images = np.stack([cat[:48, :64], cat[100:148, 90:154]])
    sizes = np.array([[48, 64], [33, 17]])
    batch = extract(prepared["winograd"], images, sizes, layers=("relu2_2",))["relu2_2"].features
    one = functools.partial(models.extract_features, prepared["winograd"], backbone=vgg16.backbone, layers=("relu2_2",))
    assert_close(jax.jit(jax.vmap(one))(images, sizes)["relu2_2"].features, batch, 1e-5)


def test_gradients_of_images_equal_direct_ones(cat, prepared, vgg16, monkeypatch):
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 20)
    image = jnp.float32(cat[100:133, 90:154]) / 255

    def total(image, params):
        maps = models.extract_features(params, image, backbone=vgg16.backbone, layers=["relu2_2"])
        return (maps["relu2_2"].features ** 2).mean()

    gradient = jax.jit(jax.grad(total))
    expected = np.asarray(gradient(image, prepared["direct"]))
    found = gradient(image, prepared["winograd"])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_sharded_batch_needs_no_collective(cat, prepared, vgg16, monkeypatch):
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 20)
    images = np.stack([cat[:64, :48], cat[100:164, 90:138]])
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    data, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    function = jax.jit(functools.partial(models.extract_features, backbone=vgg16.backbone, layers=("pool2",)))
    arguments = (jax.device_put(prepared["winograd"], whole), jax.device_put(images, data))
    compiled = function.lower(*arguments).compile()
    assert not [word for word in ("all-reduce", "all-gather", "all-to-all", "permute") if word in compiled.as_text()]
    expected = function(prepared["winograd"], images)["pool2"].features
    assert_close(compiled(*arguments)["pool2"].features, expected, 1e-5)


def test_raw_parameters_are_transformed_where_the_caller_asks(cat, prepared, extract, vgg16):
    image = cat[:48, :64]
    expected = extract(prepared["winograd"], image, layers=("pool3",))["pool3"].features
    assert_close(extract(vgg16.params, image, layers=("pool3",), conv="winograd")["pool3"].features, expected, 1e-5)
    again = extract(prepared["winograd"], image, layers=("pool3",), conv="winograd")["pool3"].features
    np.testing.assert_array_equal(again, expected)


def test_the_largest_network_has_the_same_shapes_in_every_form():
    params: dict = {}
    for name, shape in models.find("vgg19").all_shapes(head=True).items():
        layer, kind = name.split("/")
        params.setdefault(layer, {})[kind] = jax.ShapeDtypeStruct(shape, jnp.float32)
    extract = functools.partial(
        models.extract_features, backbone=models.find("vgg19"), layers=("relu5_4", "pool5", "fc8")
    )
    images = jax.ShapeDtypeStruct((2, 230, 251, 3), jnp.uint8)
    direct, *others = (
        jax.eval_shape(functools.partial(extract, conv=conv), params, images)
        for conv in ("direct", "winograd", "winograd2x2")
    )
    assert others == [direct, direct]


def test_what_has_no_advantage_stays_as_it_is(vgg16, prepared):
    assert models.prepare(vgg16.params, vgg16.backbone, conv="direct") is vgg16.params
    assert models.prepare(vgg16.params, vgg16.backbone, dtype=jnp.bfloat16) is vgg16.params
    assert prepared["winograd"]["conv1_1"] is vgg16.params["conv1_1"]
    assert prepared["winograd"]["conv1_2"]["kernel"].shape == (36, 64, 64)
    assert prepared["winograd2x2"]["conv5_3"]["kernel"].shape == (16, 512, 512)
    assert (
        models.prepare(prepared["winograd"], vgg16.backbone)["conv4_1"]["kernel"]
        is prepared["winograd"]["conv4_1"]["kernel"]
    )


def test_auto_is_winograd_on_the_processor_only(vgg16, prepared, monkeypatch):
    few = {"conv2_2": vgg16.params["conv2_2"]}
    np.testing.assert_array_equal(
        models.prepare(few, vgg16.backbone)["conv2_2"]["kernel"], prepared["winograd"]["conv2_2"]["kernel"]
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert models.prepare(few, vgg16.backbone) is few


def test_wrong_kernels_say_what_is_wrong(cat, vgg16, prepared):
    extract = functools.partial(models.extract_features, backbone=vgg16.backbone, layers=("relu1_2",))
    with pytest.raises(ValueError, match="conv must be one of auto, direct, winograd, winograd2x2, not 'fft'"):
        models.prepare(vgg16.params, vgg16.backbone, conv="fft")
    with pytest.raises(ValueError, match="computes in float32, not in bfloat16"):
        models.prepare(vgg16.params, vgg16.backbone, conv="winograd", dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match="computes in float32, not in bfloat16: prepare the parameters for that dtype"):
        extract(prepared["winograd"], cat[:32, :32], dtype=jnp.bfloat16)
    for conv in ("direct", "winograd2x2"):
        with pytest.raises(ValueError, match=f"prepared for another convolution than conv='{conv}': pass plain ones"):
            extract(prepared["winograd"], cat[:32, :32], conv=conv)
    swapped = vgg16.params | {"conv1_2": vgg16.params["conv2_1"]}
    with pytest.raises(ValueError, match=r"kernel of shape \(3, 3, 64, 64\) is needed, got \(3, 3, 64, 128\)"):
        extract(swapped, cat[:32, :32])
