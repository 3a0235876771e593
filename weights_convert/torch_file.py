"""PyTorch's files without PyTorch: the zip format, and the plain one from before version 1.6.

Both are a pickle of tensors that name storages. In a zip archive the storages are members ``data/KEY`` beside
the pickle; in the plain format they follow the pickle, each with its length in front.
"""

import io
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.report.text import some_of
from weights_convert import unpickle
from weights_convert.containers import open_zip
from weights_convert.mapping import Found
from weights_convert.state_dict import from_state_dict
from weights_convert.unpickle import Tensor

PLAIN_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")
"""The bytes of the number that opens a file in the plain format, near its beginning."""

_WRAPPERS = ("state_dict", "model_state_dict", "net", "model")
"""Keys under which training scripts usually keep the state dict; under another it is found as well."""


def read(path: Path) -> Found:
    """Read a PyTorch file that holds a state dict."""
    return from_state_dict(read_tensors(path), f"PyTorch file {path.name}", str(path))


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a state dict by its name, with the file's shapes and number types."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        tree, data = (_read_zip if zipped else _read_plain)(file, str(path))
    return {
        name: tensor.view(tensor.storage.numbers(data[tensor.storage.key]))
        for name, tensor in _state_dict(tree, str(path)).items()
    }


def _read_zip(file: BinaryIO, where: str) -> tuple[Any, dict[str, bytes]]:
    with open_zip(file, where) as archive:
        members = archive.namelist()
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsError(f"{where}: a zip archive, but not PyTorch's: give the .pth file itself")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in members:
            raise WeightsError(
                f"{where}: a TorchScript program: torch.save(torch.jit.load(FILE).state_dict(), 'net.pth'), "
                "and convert net.pth"
            )
        tree, storages = unpickle.load(io.BytesIO(archive.read(f"{folder}data.pkl")), where)
        return tree, {key: archive.read(f"{folder}data/{key}") for key in storages}


def _read_plain(file: BinaryIO, where: str) -> tuple[Any, dict[str, bytes]]:
    for _ in range(3):  # a number, a version and facts about the machine
        unpickle.load(file, where)
    tree, storages = unpickle.load(file, where)
    keys, _ = unpickle.load(file, where)
    end = os.fstat(file.fileno()).st_size
    data = {}
    for key in keys:
        (size,) = struct.unpack("<q", file.read(8))
        length = size * storages[key].number_type.itemsize
        if not 0 <= length <= end - file.tell():
            raise ValueError(f"{length} bytes wanted where {end - file.tell()} are left")
        data[key] = file.read(length)
    return tree, data


def _state_dict(tree: Any, where: str) -> Mapping[str, Tensor]:
    """The dict with most tensors by name: the tree, or one of its values or their values; of equal ones the first."""
    dicts = {id(tree): tree} if isinstance(tree, dict) else {}
    for _ in range(2):
        inner = (value for one in dicts.values() for value in one.values() if isinstance(value, dict))
        dicts |= {id(value): value for value in inner}
    states = [
        {name: value for name, value in one.items() if isinstance(name, str) and isinstance(value, Tensor)}
        for one in dicts.values()
    ]
    most = max(states, key=len, default={})
    if most:
        return most
    holds = f"its keys are {some_of(list(map(str, tree)))}" if dicts and tree else "it holds none"
    raise WeightsError(
        f"{where}: holds no state dict: looked for tensors by name, also under {', '.join(_WRAPPERS)} or another key, "
        f"and {holds}; save model.state_dict() with torch.save and convert that"
    )
