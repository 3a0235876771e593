"""On files that Protocol Buffers' own library writes, from the part of ``caffe.proto`` that matters here."""

import dataclasses

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find
from jaxloc.models.preprocessing import CAFFE_BGR
from weights_convert import caffe_file

CAFFE = {
    "BlobShape": [("dim", 1, "int64", "packed")],
    "BlobProto": [
        *((side, number, "int32", "") for number, side in enumerate(("num", "channels", "height", "width"), 1)),
        ("data", 5, "float", "packed"),
        ("diff", 6, "float", "packed"),
        ("shape", 7, "BlobShape", ""),
    ],
    "V1LayerParameter": [
        ("name", 4, "string", ""),
        ("type", 5, "int32", ""),
        ("blobs", 6, "BlobProto", "repeated"),
    ],
    "LayerParameter": [
        ("name", 1, "string", ""),
        ("type", 2, "string", ""),
        ("blobs", 7, "BlobProto", "repeated"),
    ],
    "NetParameter": [
        ("name", 1, "string", ""),
        ("layers", 2, "V1LayerParameter", "repeated"),
        ("input", 3, "string", "repeated"),
        ("force_backward", 5, "int32", ""),
        ("layer", 100, "LayerParameter", "repeated"),
    ],
}


def message_classes():
    """Classes of Caffe's messages."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in CAFFE.items():
        description = file.message_type.add(name=message)
        for name, number, kind, label in fields:
            field = description.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if label else kinds.LABEL_OPTIONAL
            field.options.packed = label == "packed"
            if kind in CAFFE:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in CAFFE}


@pytest.fixture(scope="module")
def messages():
    return message_classes()


def write(path, flat, messages, generation):
    net = messages["NetParameter"](name="VGG_ILSVRC_16_layers", input=["data"], force_backward=0)
    layers = net.layers if generation == 1 else net.layer
    for name in sorted({name.rpartition("/")[0] for name in flat}):
        layer = layers.add(name=name)
        weight = flat[f"{name}/kernel"].transpose(3, 2, 0, 1)
        if name.startswith("fc"):
            weight = weight.reshape(len(weight), -1)
        for array in (weight, flat[f"{name}/bias"]):
            blob = layer.blobs.add()
            blob.data.extend(array.ravel().tolist())
            if generation == 1:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
        layers.add(name=name.replace("conv", "relu"))
    path.write_bytes(net.SerializeToString())


both = pytest.mark.parametrize("generation", [1, 2])


@both
@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("top", [True, False])
def test_every_array_comes_back_under_our_name(tmp_path, narrow, messages, generation, architecture, top):
    flat = narrow(architecture, top=top)
    path = tmp_path / "VGG_ILSVRC_16_layers.caffemodel"
    write(path, flat, messages, generation)
    assert weights_convert.reading.recognise(path) == "caffe"
    found = caffe_file.read(path)
    assert found.arrays.keys() == flat.keys()
    for name, array in flat.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    assert found.preprocessing == CAFFE_BGR
    assert found.source == "Caffe file VGG_ILSVRC_16_layers.caffemodel"


def test_real_widths_pass_every_check(tmp_path, wide, messages):
    write(tmp_path / "vgg", wide, messages, 1)
    weights = weights_convert.read(tmp_path / "vgg")
    assert weights.backbone == dataclasses.replace(find("vgg16"), preprocessing=CAFFE_BGR)
    np.testing.assert_array_equal(weights.params["conv4_2"]["kernel"], wide["conv4_2/kernel"])


def test_squeezenets_names_have_slashes(tmp_path, messages):
    weights = find("squeezenet1_1").all_shapes(head=True)
    flat = {name: np.full(shape, number, np.float32) for number, (name, shape) in enumerate(weights.items())}
    write(tmp_path / "net", {name.replace(".", "/"): array for name, array in flat.items()}, messages, 2)
    found = weights_convert.read(tmp_path / "net")
    assert found.backbone.name == "squeezenet1_1"
    for name, array in flat.items():
        layer, kind = name.split("/")
        np.testing.assert_array_equal(found.params[layer][kind], array)


@both
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, narrow, messages, generation, share):
    path = tmp_path / "vgg.caffemodel"
    write(path, narrow(), messages, generation)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"vgg\.caffemodel: damaged or incomplete .*: download or copy it again$"):
        weights_convert.read(path)


@pytest.mark.parametrize("data", [b"\x0a" + b"\xff" * 11, b"\x0a\x05vgg", b"\x0b", b"\x0a\xff"])
def test_bytes_that_are_no_message_are_refused(tmp_path, data):
    (tmp_path / "vgg").write_bytes(data)
    with pytest.raises(WeightsError, match=r"vgg: damaged or incomplete \(DecodeError"):
        weights_convert.read(tmp_path / "vgg", format="caffe")
