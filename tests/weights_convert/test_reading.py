"""What holds for every format; safetensors files stand for all, being the quickest to write."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

import weights_convert
from jaxloc.errors import UsageError, WeightsError
from jaxloc.models import CAFFE_BGR, CAFFE_RGB, TORCHVISION, find, load, weights_file


def test_weights_are_checked_named_and_summed(published, wide):
    weights = weights_convert.read(published)
    assert weights.backbone == dataclasses.replace(find("vgg16"), preprocessing=TORCHVISION)
    assert weights.checksum == weights_file.checksum(wide)
    for name, array in wide.items():
        layer, kind = name.split("/")
        assert weights.params[layer][kind].dtype == np.float32
        np.testing.assert_array_equal(weights.params[layer][kind], array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "preprocessing"),
    [("torchvision", TORCHVISION), ("caffe-bgr", CAFFE_BGR), ("caffe-rgb", CAFFE_RGB)],
)
def test_the_preprocessing_can_be_named(published, name, preprocessing):
    weights = weights_convert.read(published, format="safetensors", architecture="vgg16", preprocessing=name)
    assert weights.backbone.preprocessing == preprocessing


def test_an_architecture_that_is_asked_for_must_be_there(published):
    with pytest.raises(WeightsError, match=r"model\.safetensors: not the weights of vgg19: missing: ") as error:
        weights_convert.read(published, architecture="vgg19")
    assert all(name in str(error.value) for name in ("conv3_4/bias", "conv4_4/kernel", "conv5_4/kernel"))


def test_missing_unexpected_and_misshapen_arrays_are_listed(tmp_path, wide, pytorch):
    tensors = pytorch(wide) | {"attention.weight": np.zeros(3, np.float32)}
    tensors["features.0.bias"] = np.zeros(7, np.float32)
    del tensors["features.28.bias"]
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model\.safetensors: not the weights of vgg16: ") as error:
        weights_convert.read(tmp_path / "model.safetensors")
    assert "missing: conv5_3/bias;" in str(error.value)
    assert "unexpected: attention.weight;" in str(error.value)
    assert "misshapen: conv1_1/bias (7,) (should be (64,))" in str(error.value)


@pytest.mark.parametrize("option", ["format", "architecture", "preprocessing"])
def test_unknown_options_name_the_known(published, option):
    with pytest.raises(UsageError, match=rf"^unknown {option} 'resnet'; known: auto, \w+"):
        weights_convert.read(published, **{option: "resnet"})


def test_the_known_formats_are_listed():
    assert weights_convert.FORMATS == ("torch", "safetensors", "keras", "matconvnet", "caffe", "pickle", "npz")


@pytest.mark.parametrize("format", ["auto", *weights_convert.FORMATS])
def test_a_missing_file_says_to_check_the_path(tmp_path, format):
    with pytest.raises(
        WeightsError, match=r"none\.pth: (cannot be read \(No such file.*\): check the path|no such file)$"
    ):
        weights_convert.read(tmp_path / "none.pth", format=format)


@pytest.mark.parametrize("read", [weights_convert.read, load])
def test_a_folder_of_transformers_is_its_file(published, tmp_path, read):
    with pytest.raises(
        WeightsError, match=r"without model\.safetensors or pytorch_model\.bin: name the file of weights$"
    ):
        read(tmp_path)
    shutil.copy(published, tmp_path / "model.safetensors")
    assert read(tmp_path).checksum == weights_convert.read(published).checksum


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"<!DOCTYPE html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\n\n<html>" + bytes(600),
    ],
)
def test_a_file_of_another_kind_shows_how_it_begins(tmp_path, data):
    (tmp_path / "vgg16.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=r"vgg16\.pth: of no known format, it begins with b'.*web page") as error:
        weights_convert.read(tmp_path / "vgg16.pth")
    assert "\n" not in str(error.value)


def test_what_is_written_is_what_was_read(published, tmp_path):
    weights = weights_convert.convert(published, tmp_path / "new" / "vgg16.safetensors", preprocessing="caffe-rgb")
    again = weights_file.read(tmp_path / "new" / "vgg16.safetensors")
    assert again.backbone == weights.backbone == dataclasses.replace(find("vgg16"), preprocessing=CAFFE_RGB)
    assert again.checksum == weights.checksum
    assert again.source == weights.source == "safetensors file model.safetensors"


def test_a_file_does_not_replace_itself(published):
    before = published.stat().st_mtime_ns
    with pytest.raises(UsageError, match=r"model\.safetensors: would replace the file that is read: name another"):
        weights_convert.convert(published, published)
    assert published.stat().st_mtime_ns == before


def test_a_destination_that_cannot_be_written_is_named(published, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"file/vgg16\.safetensors: cannot be written \(.*\): name another"):
        weights_convert.convert(published, tmp_path / "file" / "vgg16.safetensors")


@pytest.mark.soak  # the command, in test_command.py, imports weights_convert first, and other tests jaxloc
@pytest.mark.parametrize(
    "statement",
    [
        "import weights_convert; weights_convert.read",
        "import jaxloc.models; jaxloc.models.load",
        "import weights_convert.__main__",
    ],
)
def test_the_packages_can_be_imported_in_any_order(statement):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", statement], check=True, env=environment)
