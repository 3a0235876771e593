"""On files laid out by hand as Keras does; ``check_against_libraries.py`` compares with Keras itself."""

import dataclasses
import io
import sys
import zipfile

import h5py
import numpy as np
import pytest

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find
from jaxloc.models.preprocessing import CAFFE_BGR
from weights_convert import keras_file

DENSE = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}


def layers(flat):
    """Keras's name and arrays of each layer, from the image upwards, dense kernels ``[in, out]``."""
    for layer in sorted({name.split("/")[0] for name in flat}):
        kernel, bias = flat[f"{layer}/kernel"], flat[f"{layer}/bias"]
        if layer.startswith("fc"):
            yield DENSE[layer], kernel.reshape(-1, kernel.shape[-1]), bias
        else:
            yield layer.replace("conv", "block").replace("_", "_conv"), kernel, bias


def write_legacy(file, flat, names=("{}_W_1:0", "{}_b_1:0"), text="S"):
    everything = [("input_1", None, None)]
    for name, kernel, bias in layers(flat):
        everything += [(name, kernel, bias)] + [(f"{name[:6]}_pool", None, None)] * (name == "block2_conv2")
    file.attrs["layer_names"] = np.array([name for name, *_ in everything], text)
    for name, kernel, bias in everything:
        group = file.create_group(name)
        arrays = {} if kernel is None else dict(zip((form.format(name) for form in names), (kernel, bias), strict=True))
        group.attrs["weight_names"] = np.array(list(arrays), text)
        for key, array in arrays.items():
            group[key] = array


def write_keras3(file, flat):
    counts = {}
    for name, *arrays in layers(flat):
        kind = "conv2d" if name.startswith("block") else "dense"
        counts[kind] = counts.get(kind, -1) + 1
        group = file.create_group(f"layers/{kind}_{counts[kind]}".removesuffix("_0")).create_group("vars")
        group.attrs["name"] = name
        for i, array in enumerate(arrays):
            group[str(i)] = array
    file.create_group("layers/flatten/vars")
    file.create_group("vars")
    file["optimizer/vars/0"] = np.zeros(1)


def assert_read(path, flat):
    found = keras_file.read(path)
    assert found.arrays.keys() == flat.keys()
    for name, array in flat.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    assert found.preprocessing == CAFFE_BGR
    assert found.source == f"Keras file {path.name}"


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("top", [True, False])
def test_the_weights_of_keras_applications_are_read(tmp_path, narrow, architecture, top):
    path = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, narrow(architecture, top=top))
    assert_read(path, narrow(architecture, top=top))


def test_a_whole_model_in_hdf5_is_read(tmp_path, narrow):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file.create_group("model_weights"), narrow(), ("{}/kernel:0", "{}/bias:0"), h5py.string_dtype())
        file.create_group("optimizer_weights")
    assert_read(path, narrow())


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("top", [True, False])
def test_weights_of_keras_3_are_read_in_the_order_of_their_numbers(tmp_path, narrow, architecture, top):
    path = tmp_path / "vgg.weights.h5"
    with h5py.File(path, "w") as file:
        write_keras3(file, narrow(architecture, top=top))
    assert_read(path, narrow(architecture, top=top))


def test_a_keras_archive_is_read(tmp_path, narrow):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_keras3(file, narrow())
    path = tmp_path / "vgg.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", buffer.getvalue())
    assert weights_convert.reading.recognise(path) == "keras"
    assert_read(path, narrow())


def test_real_widths_pass_every_check(tmp_path, wide):
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        write_legacy(file, wide)
    weights = weights_convert.read(tmp_path / "notop.h5")
    assert weights.backbone == dataclasses.replace(find("vgg16"), preprocessing=CAFFE_BGR)
    np.testing.assert_array_equal(weights.params["conv4_2"]["kernel"], wide["conv4_2/kernel"])


def test_kernels_for_theano_are_refused(tmp_path, narrow):
    flat = {name: array.T if "kernel" in name else array for name, array in narrow(top=False).items()}
    with h5py.File(tmp_path / "th.h5", "w") as file:
        write_legacy(file, flat)
    with pytest.raises(WeightsError, match=r"th\.h5: kernels \(2, 3, 3, 3\) as Theano kept them: get the file for T"):
        weights_convert.read(tmp_path / "th.h5")


def test_other_layers_are_refused(tmp_path, narrow):
    with h5py.File(tmp_path / "bn.h5", "w") as file:
        write_legacy(file, narrow() | {"conv1_1/kernel": np.zeros(3)})
    with pytest.raises(WeightsError, match=r"bn\.h5: has layers that are neither convolutions nor dense"):
        weights_convert.read(tmp_path / "bn.h5")


def test_other_hdf5_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(WeightsError, match=r"data\.h5: an HDF5 file, but not Keras's: save the model with"):
        weights_convert.read(tmp_path / "data.h5")


def test_an_array_that_is_not_stored_but_claimed_is_refused(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (2**20, 2**20), "f4", chunks=(1024, 1024))
    with pytest.raises(WeightsError, match=r"huge\.h5: damaged or incomplete \(ValueError: an array of shape"):
        weights_convert.read(tmp_path / "huge.h5")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, narrow, share):
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, narrow())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"vgg\.h5: damaged or incomplete \(.*\): download or copy it again$"):
        weights_convert.read(path)


def test_without_h5py_the_message_names_the_extra(tmp_path, narrow, monkeypatch):
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        write_legacy(file, narrow())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"vgg\.h5: reading HDF5 needs h5py: pip install 'jaxloc\[convert\]'$"):
        weights_convert.read(tmp_path / "vgg.h5")
