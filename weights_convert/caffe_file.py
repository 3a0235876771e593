"""Caffe's files (``VGG_ILSVRC_16_layers.caffemodel``): a NetParameter in Protocol Buffers' wire format.

Declared are only the fields of ``caffe.proto`` that hold weights: layers of the second (``layers``) and third
(``layer``) generation, their names, and their blobs: ``[out, in, height, width]``, in dense layers
``[1, 1, out, in]`` or ``[out, in]``; slashes in names (SqueezeNet's) are our dots. A blob's numbers, packed floats, are
declared as bytes, which have the same wire format and are not turned into Python objects one by one.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.models.preprocessing import CAFFE_BGR
from jaxloc.models.weights_file import Flat
from weights_convert.mapping import Found, by_name, out_first

_SIDES = ("num", "channels", "height", "width")
_PROTO = {
    "BlobShape": {"dim": (1, "int64")},
    "BlobProto": {name: (number, "int32") for number, name in enumerate(_SIDES, 1)}
    | {"data": (5, "bytes"), "shape": (7, "BlobShape")},
    "V1LayerParameter": {"name": (4, "bytes"), "blobs": (6, "BlobProto")},
    "LayerParameter": {"name": (1, "bytes"), "blobs": (7, "BlobProto")},
    "NetParameter": {"layers": (2, "V1LayerParameter"), "layer": (100, "LayerParameter")},
}
_REPEATED = ("dim", "blobs", "layers", "layer")


def _net_parameter() -> Any:
    """The class of NetParameter, in a pool of its own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="jaxloc/caffe.proto", package="caffe", syntax="proto2")
    for message, fields in _PROTO.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = field.LABEL_REPEATED if name in _REPEATED else field.LABEL_OPTIONAL
            nested = kind in _PROTO
            number_type = field.TYPE_MESSAGE if nested else getattr(field, f"TYPE_{kind.upper()}")
            declared.field.add(
                name=name, number=number, label=label, type=number_type, type_name=f".caffe.{kind}" if nested else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def starts(head: bytes) -> bool:
    """Whether a file begins as a NetParameter does: with its name, and then an input or a layer."""
    after_name = 2 + int.from_bytes(head[1:2])
    return head[:1] == b"\n" and head[after_name : after_name + 1] in (b"\x12", b"\x1a", b"\xa2")


def read(path: Path) -> Found:
    """Read a ``.caffemodel``; its images are BGR from 0 to 255, less Caffe's mean."""
    net = _net_parameter().FromString(path.read_bytes())
    arrays: Flat = {}
    for layer in (*net.layers, *net.layer):
        if len(layer.blobs) == 2:
            kernel, bias = map(_array, layer.blobs)
            if kernel.ndim == 4 and kernel.shape[:2] == (1, 1):
                kernel = kernel[0, 0]
            name = layer.name.decode().replace("/", ".")
            arrays |= {f"{name}/kernel": out_first(kernel), f"{name}/bias": bias.ravel()}
    return Found(arrays, by_name(arrays, str(path)), CAFFE_BGR, f"Caffe file {path.name}")


def _array(blob: Any) -> np.ndarray:
    sides = (getattr(blob, side) if blob.HasField(side) else 1 for side in _SIDES)
    return np.frombuffer(blob.data, "<f4").reshape(tuple(blob.shape.dim) or tuple(sides))
