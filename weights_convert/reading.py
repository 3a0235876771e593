"""Read a file of any known format, check it, and write jaxloc's own."""

import dataclasses
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxloc.errors import JaxlocError, UsageError, WeightsError
from jaxloc.models import weights_file
from jaxloc.models.preprocessing import FAMILIES
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Weights
from weights_convert import caffe_file, keras_file, matconvnet_file, pickle_file, state_dict, torch_file
from weights_convert.mapping import Found
from weights_convert.vit_arrays import from_npz


def _read_npz(path: Path) -> Found:
    """Read a vision transformer of big_vision's or google-research/vision_transformer's archives of Flax parameters.

    ``params/embedding/kernel``, ``params/Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel``, … behind any prefix.
    """
    with np.load(path, allow_pickle=False) as archive:
        return from_npz(dict(archive), f"NumPy file {path.name}", str(path))


_READERS: dict[str, Callable[[Path], Found]] = {
    "torch": torch_file.read,
    "safetensors": state_dict.read,
    "keras": keras_file.read,
    "matconvnet": matconvnet_file.read,
    "caffe": caffe_file.read,
    "pickle": pickle_file.read,
    "npz": _read_npz,
}
"""A reader raises ``WeightsError`` for a file of no known backbone, and anything for a damaged one."""

FORMATS = tuple(_READERS)
"""Names of the formats that can be read."""


def read(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    architecture: str = "auto",
    preprocessing: str = "auto",
) -> Weights:
    """Read weights in any known format, check every array, and name them as jaxloc does.

    Args:
        path: the file, or a folder that transformers' ``save_pretrained`` wrote.
        format: one of ``FORMATS``; ``"auto"`` recognises it by content.
        architecture: name of a backbone; ``"auto"`` recognises it by names and number of layers.
        preprocessing: one of ``jaxloc.models.preprocessing.FAMILIES``; ``"auto"`` is what the format's
            usual files expect. Give it for a PyTorch file of weights that were trained in Caffe, which looks
            like any other.

    Raises:
        UsageError: an unknown format, architecture or preprocessing.
        WeightsError: missing, damaged, of no known backbone, or the format's library is not installed.
    """
    path = Path(path)
    for what, value, known in (
        ("format", format, FORMATS),
        ("architecture", architecture, tuple(BACKBONES)),
        ("preprocessing", preprocessing, tuple(FAMILIES)),
    ):
        if value != "auto" and value not in known:
            raise UsageError(f"unknown {what} {value!r}; known: auto, {', '.join(known)}")
    found = _find(_file_in(path) if path.is_dir() else path, format)
    backbone = found.backbone
    if architecture != "auto":
        backbone = BACKBONES[architecture].varied(dict(found.backbone.variant))
    family = found.preprocessing if preprocessing == "auto" else FAMILIES[preprocessing]
    backbone = dataclasses.replace(backbone, preprocessing=family)
    return weights_file.make_weights(found.arrays, backbone, found.source, str(path))


def _file_in(folder: Path) -> Path:
    """The file of weights in a folder of transformers."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(f"{folder}: a folder without model.safetensors or pytorch_model.bin: name the file of weights")


def _find(path: Path, format: str) -> Found:
    try:
        return _READERS[recognise(path) if format == "auto" else format](path)
    except JaxlocError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except Exception as error:  # parsers promise no list of what they raise on a damaged file
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WeightsError(f"{path}: damaged or incomplete ({reason}): download or copy it again") from error


def recognise(path: Path) -> str:
    """The format of a file, by its content."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[3:10] == b'\0\0\0\0\0{"':
        return "safetensors"  # first, since the length of its header may look like another format
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        if all(name.endswith(".npy") for name in members):
            return "npz"
        return "keras" if keras_file.ARCHIVED in members else "torch"
    if head.startswith(b"\x80"):
        return "torch" if torch_file.PLAIN_MAGIC in head[:64] else "pickle"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith((matconvnet_file.VERSION_5, matconvnet_file.VERSION_73)):
        return "matconvnet"
    if caffe_file.starts(head):
        return "caffe"
    raise WeightsError(
        f"{path}: of no known format, it begins with {head[:12]!r}: "
        "look whether the download saved a web page instead, or name the format"
    )


def convert(source: str | os.PathLike[str], destination: str | os.PathLike[str], **choices: str) -> Weights:
    """Read ``source`` as ``read`` does, and write it to ``destination`` in jaxloc's own format, in one step.

    Args:
        source: the file to read.
        destination: the file to write or replace.
        choices: ``format``, ``architecture`` and ``preprocessing``, as for ``read``.

    Raises:
        UsageError: an unknown format, architecture or preprocessing, or ``destination`` is ``source``.
        WeightsError: ``source`` cannot be read, or ``destination`` cannot be written.
    """
    weights = read(source, **choices)
    write(weights, source, destination)
    return weights


def write(weights: Weights, source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Write what was read from ``source`` to ``destination``; errors as for ``convert``."""
    try:
        if Path(destination).exists() and Path(destination).samefile(source):
            raise UsageError(f"{destination}: would replace the file that is read: name another destination")
        weights_file.save(destination, weights)
    except OSError as error:
        raise WeightsError(f"{destination}: cannot be written ({error.strerror}): name another destination") from error
