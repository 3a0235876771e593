import dataclasses
import sys

import h5py
import numpy as np
import pytest
import scipy.io

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find
from jaxloc.models.preprocessing import CAFFE_RGB
from weights_convert import matconvnet_file

MEAN = np.array([123.5, 116.25, 104.0], np.float32)
AVERAGES = {
    "one pixel": MEAN.reshape(1, 1, 3),
    "an image": MEAN + np.array([-2, 2], np.float32).reshape(2, 1, 1) * np.ones((1, 4, 1), np.float32),
    "a row": MEAN.reshape(1, 3),
}


def network(flat, average=AVERAGES["one pixel"], *, old=False):
    """What MatConvNet saves, with cells as lists: dense layers are convolutions, others lie between."""
    layers = []
    for name in sorted({name.split("/")[0] for name in flat}):
        arrays = [flat[f"{name}/kernel"], flat[f"{name}/bias"].reshape(1, -1)]
        layer = {"name": name, "type": "conv", "stride": np.ones((1, 2))}
        layers.append(layer | ({"filters": arrays[0], "biases": arrays[1]} if old else {"weights": arrays}))
        layers.append({"name": name.replace("conv", "relu"), "type": "relu", "weights": []})
    normalization = {"averageImage": average, "imageSize": np.array([[224.0, 224, 3]])}
    if old:
        return {"layers": layers, "normalization": normalization, "classes": {"name": ["cat", "dog"]}}
    return {"layers": layers, "meta": {"normalization": normalization, "classes": {"name": ["cat", "dog"]}}}


def cells(value):
    """Lists as the object arrays that scipy writes as cells."""
    if isinstance(value, dict):
        return {name: cells(item) for name, item in value.items()}
    if isinstance(value, list):
        array = np.empty((1, len(value)), object)
        for i, item in enumerate(value):
            array[0, i] = cells(item)
        return array
    return value


def write_5(path, tree):
    scipy.io.savemat(path, cells(tree), do_compression=True)


def write_73(path, tree):
    """As MATLAB's ``save -v7.3``: axes in reverse, text as 16-bit characters, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        hidden = file.create_group("#refs#")

        def put(group, name, value):
            if isinstance(value, dict):
                item = group.create_group(name)
                item.attrs["MATLAB_class"] = np.bytes_("struct")
                for key, child in value.items():
                    put(item, key, child)
            elif isinstance(value, str):
                item = group.create_dataset(name, data=np.array([[ord(letter)] for letter in value], np.uint16))
                item.attrs["MATLAB_class"] = np.bytes_("char")
            elif isinstance(value, list) and not value:
                item = group.create_dataset(name, data=np.zeros(2, np.uint64))
                item.attrs["MATLAB_class"] = np.bytes_("cell")
                item.attrs["MATLAB_empty"] = np.uint8(1)
            elif isinstance(value, list):
                references = np.empty((len(value), 1), h5py.ref_dtype)
                for i, child in enumerate(value):
                    references[i, 0] = put(hidden, str(len(hidden)), child).ref
                item = group.create_dataset(name, data=references, dtype=h5py.ref_dtype)
                item.attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                item = group.create_dataset(name, data=value.T)
                item.attrs["MATLAB_class"] = np.bytes_("single")
            return item

        for name, value in tree.items():
            put(file, name, value)
    with path.open("rb+") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")


both = pytest.mark.parametrize("write", [write_5, write_73])


@both
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_every_array_comes_back_under_our_name(tmp_path, narrow, write, old, top, architecture):
    flat = narrow(architecture, top=top)
    path = tmp_path / "imagenet-vgg-verydeep.mat"
    write(path, network(flat, old=old))
    found = matconvnet_file.read(path)
    assert found.arrays.keys() == flat.keys()
    for name, array in flat.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    assert found.source == "MatConvNet file imagenet-vgg-verydeep.mat"


@both
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("old", [True, False])
def test_the_mean_is_that_of_the_average_image(tmp_path, narrow, write, average, old):
    write(tmp_path / "vgg.mat", network(narrow(top=False), AVERAGES[average], old=old))
    found = matconvnet_file.read(tmp_path / "vgg.mat")
    assert found.preprocessing == type(CAFFE_RGB)(255.0, (123.5, 116.25, 104.0), (1.0, 1.0, 1.0), "rgb")


@both
def test_without_an_average_image_the_mean_is_caffes(tmp_path, narrow, write):
    tree = network(narrow(top=False))
    del tree["meta"]
    write(tmp_path / "vgg.mat", tree)
    assert matconvnet_file.read(tmp_path / "vgg.mat").preprocessing == CAFFE_RGB


@both
def test_real_widths_pass_every_check(tmp_path, wide, write):
    tree = network(wide, np.array([123.68, 116.779, 103.939], np.float32).reshape(1, 1, 3))
    if write is write_5:
        scipy.io.savemat(tmp_path / "vgg.mat", cells(tree))
    else:
        write(tmp_path / "vgg.mat", tree)
    weights = weights_convert.read(tmp_path / "vgg.mat")
    assert weights.backbone == dataclasses.replace(find("vgg16"), preprocessing=CAFFE_RGB)
    np.testing.assert_array_equal(weights.params["conv4_2"]["kernel"], wide["conv4_2/kernel"])


@both
def test_other_matlab_files_are_refused(tmp_path, write):
    write(tmp_path / "net.mat", {"layers": np.zeros((2, 2))})
    with pytest.raises(WeightsError, match=r"net\.mat: has no cell array 'layers': give a network for vl_simplenn"):
        weights_convert.read(tmp_path / "net.mat")


@both
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, narrow, write, share):
    path = tmp_path / "vgg.mat"
    write(path, network(narrow()))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"vgg\.mat: damaged or incomplete \(.*\): download or copy it again$"):
        weights_convert.read(path)


def test_without_h5py_the_message_names_the_extra(tmp_path, narrow, monkeypatch):
    write_73(tmp_path / "vgg.mat", network(narrow()))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"vgg\.mat: reading HDF5 needs h5py: pip install 'jaxloc\[convert\]'$"):
        weights_convert.read(tmp_path / "vgg.mat")
