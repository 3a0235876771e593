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
from tests.compiled import jitted

LAYERS = ("relu1_2", "relu2_1", "pool2", "relu3_3", "relu5_3")
ERROR = {"winograd": 5e-6, "winograd2x2": 2e-6}
PAIR_SIZES = np.array([[48, 64], [33, 17]])
TILINGS = {"winograd": winograd.TILES_OF_4, "winograd2x2": winograd.TILES_OF_2}


@pytest.fixture(scope="module")
def prepared(vgg16):
    """The embedded weights in every form."""
    return {
        conv: models.prepare(vgg16.params, vgg16.backbone, conv=conv) for conv in ("direct", "winograd", "winograd2x2")
    }


@pytest.fixture(scope="module")
def extract(vgg16):
    return functools.partial(jitted(models.extract_features), backbone=vgg16.backbone)


@pytest.fixture(scope="module")
def pair(cat):
    """Two images in one batch, of which one is padded."""
    return np.stack([cat[:48, :64], cat[100:148, 90:154]])


@pytest.fixture(scope="module")
def pool1(prepared, extract, pair):
    """Features of ``pair``."""
    return extract(prepared["winograd"], pair, PAIR_SIZES, layers=("pool1",))["pool1"].features


def layer(channels: int, width: int, seed: int = 0) -> Convolution:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(3, 3, channels, width)) * np.sqrt(2 / (9 * channels))
    return Convolution(kernel.astype(np.float32), rng.normal(size=width).astype(np.float32))


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


def convolve(x, layers, sizes, *, pooled):
    """As one program of its own: the size of a band, which tests change, is no argument."""
    return jitted(lambda *arrays: convolution.convolve(*arrays, pooled=pooled))(x, layers, sizes)


@pytest.mark.parametrize("conv", TILINGS)
@pytest.mark.parametrize("size", [(1, 1), (13, 6)])
def test_one_layer_equals_float64_at_every_size(conv, size, monkeypatch):
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 16)
    x = np.random.default_rng(1).normal(size=(2, *size, 12)).astype(np.float32)
    plain = layer(12, 20)
    assert_close(convolve(x, [transformed(plain, conv)], None, pooled=False), reference(x, plain), 5e-6)


@pytest.mark.parametrize(
    ("conv", "first", "size"),
    [("winograd", "direct", (41, 30)), ("winograd", "transformed", (19, 11)), ("winograd2x2", "transformed", (19, 11))],
)
def test_chained_layers_equal_one_after_the_other(conv, first, size, monkeypatch):
    """Over several bands, with the edges of the image and of a valid corner in the midst of a band."""
    below, above = layer(8, 12), layer(12, 16, seed=1)
    sizes = np.array([size, (size[0] - 3, size[1] // 2)])
    inside = (np.indices(size) < sizes[:, :, None, None]).all(1)[..., None]
    x = inside * np.random.default_rng(2).normal(size=(2, *size, 8)).astype(np.float32)
    expected = inside * reference(inside * reference(x, below), above)
    pooled = first == "direct"
    if pooled:
        rows, columns = np.array(size) // 2
        cells = expected[:, : 2 * rows, : 2 * columns].reshape(2, rows, 2, columns, 2, 16)
        inside = (np.indices((rows, columns)) < sizes[:, :, None, None] // 2).all(1)[..., None]
        expected = inside * cells.max((2, 4))
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 17)
    layers = [below if first == "direct" else transformed(below, conv), transformed(above, conv)]
    assert_close(convolve(x, layers, sizes, pooled=pooled), expected, 5e-6)
    if conv == "winograd":
        assert_close(convolve(x[:1], layers, None, pooled=pooled), expected[:1], 5e-6)


@pytest.mark.soak  # a whole network in the larger form is tested below, a layer in this form above
def test_features_equal_direct_ones(cat, prepared, extract):
    image = cat[20:37, 30:63]
    expected, found = (extract(prepared[conv], image, layers=LAYERS) for conv in ("direct", "winograd2x2"))
    for name in LAYERS:
        assert_close(found[name].features, expected[name].features, ERROR["winograd2x2"])
        np.testing.assert_array_equal(found[name].size, expected[name].size)


def test_photographs_of_any_size_in_one_batch_keep_their_features_and_masks(prepared, extract):
    photographs = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket()]
    images = np.stack([photograph[:288:6, 50:434:6] for photograph in photographs])
    sizes = np.array([[48, 64], [17, 33], [48, 64], [31, 47]])
    for image, (rows, columns) in zip(images, sizes, strict=True):
        image[rows:], image[:, columns:] = 255, 255
    expected, found = (extract(prepared[conv], images, sizes, layers=LAYERS) for conv in ("direct", "winograd"))
    for name in LAYERS:
        np.testing.assert_array_equal(found[name].size, expected[name].size)
        assert_close(found[name].features[0], expected[name].features[0], ERROR["winograd"])
        assert_close(found[name].features, expected[name].features, 1e-5)
        for one, (rows, columns) in zip(found[name].features, found[name].size, strict=True):
            assert not one[rows:].any()
            assert not one[:, columns:].any()
    localize = jitted(jax.vmap(lambda features, image, size: scda.localize(features, image, size=size)))
    one, other = (localize(maps["relu5_3"].features, sizes, maps["relu5_3"].size) for maps in (expected, found))
    assert one.found[[0, 2]].all()
    np.testing.assert_array_equal(other.mask, one.mask)
    np.testing.assert_array_equal(other.box, one.box)


def test_vmap_agrees_with_the_batch(pair, pool1, prepared, vgg16):
    one = functools.partial(models.extract_features, backbone=vgg16.backbone, layers=("pool1",))
    mapped = jitted(jax.vmap(one, (None, 0, 0)))(prepared["winograd"], pair, PAIR_SIZES)
    assert_close(mapped["pool1"].features, pool1, 1e-5)


def test_gradients_of_images_equal_direct_ones(cat, prepared, vgg16, monkeypatch):
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 20)
    image = np.float32(cat[100:133, 90:154]) / 255

    def total(image, params):
        maps = models.extract_features(params, image, backbone=vgg16.backbone, layers=["pool1"])
        return (maps["pool1"].features ** 2).mean()

    gradient = jitted(jax.grad(total))
    expected = gradient(image, prepared["direct"])
    found = gradient(image, prepared["winograd"])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_sharded_batch_needs_no_collective(pair, pool1, prepared, vgg16, monkeypatch):
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    monkeypatch.setattr(convolution, "_BAND_BYTES", 1 << 20)
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    data, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    function = jax.jit(functools.partial(models.extract_features, backbone=vgg16.backbone, layers=("pool1",)))
    arguments = (jax.device_put(prepared["winograd"], whole), *jax.device_put((pair, PAIR_SIZES), data))
    compiled = function.lower(*arguments).compile()
    assert not [word for word in ("all-reduce", "all-gather", "all-to-all", "permute") if word in compiled.as_text()]
    assert_close(compiled(*arguments)["pool1"].features, pool1, 1e-5)


def test_raw_parameters_are_transformed_where_the_caller_asks(pair, pool1, prepared, extract, vgg16):
    asking = functools.partial(extract, layers=("pool1",), conv="winograd")
    assert_close(asking(vgg16.params, pair, PAIR_SIZES)["pool1"].features, pool1, 1e-5)
    np.testing.assert_array_equal(asking(prepared["winograd"], pair, PAIR_SIZES)["pool1"].features, pool1)


def test_the_largest_network_has_the_same_shapes_in_every_form():
    backbone = models.find("vgg19")
    params = backbone.abstract_params(head=True)
    extract = functools.partial(models.extract_features, backbone=backbone, layers=("relu5_4", "pool5", "fc8"))
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
