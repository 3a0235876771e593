"""Checksums of arrays, kept in the files that hold them."""

import hashlib
from collections.abc import Mapping

import numpy as np


def of_array(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data).hexdigest()


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and bytes, in order of name."""
    text = "\n".join(f"{name} {arrays[name].shape} {of_array(arrays[name])}" for name in sorted(arrays))
    return hashlib.sha256(text.encode()).hexdigest()
