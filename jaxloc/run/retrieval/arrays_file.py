"""Arrays in safetensors files with a format and a checksum."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors

from jaxloc._files import readable, write_safetensors


def of_array(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data).hexdigest()


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and bytes, in order of name."""
    text = "\n".join(f"{name} {arrays[name].shape} {of_array(arrays[name])}" for name in sorted(arrays))
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, format: str, arrays: Mapping[str, np.ndarray], **metadata: str) -> None:
    """Write arrays in one step; the same arrays give the same bytes."""
    write_safetensors(path, arrays, {"format": format, "arrays_checksum": of_arrays(arrays)} | metadata)


def read(path: Path, format: str, *, cure: str) -> dict[str, np.ndarray]:
    """Arrays that ``write`` wrote."""
    with readable(path, "damaged or missing", cure), safetensors.safe_open(path, "np") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != format:
            raise ValueError(f"not of the format {format}")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if of_arrays(arrays) != metadata.get("arrays_checksum"):
            raise ValueError("its checksum is wrong")
        return arrays
