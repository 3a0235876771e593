"""HDF5 files, which need ``h5py``."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxloc.errors import WeightsError

LARGEST = 2**28
"""More numbers than any array of a known network; HDF5 can declare sizes that it does not store."""


def open_hdf5(file: Path | BinaryIO, where: str) -> Any:
    """An ``h5py.File`` for reading.

    Args:
        file: a path, or the file's bytes as a file.
        where: its name, for the message.

    Raises:
        WeightsError: h5py is missing.
        OSError: damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{where}: reading HDF5 needs h5py: pip install 'jaxloc[convert]'") from error
    return h5py.File(file, "r")


def read_array(dataset: Any) -> np.ndarray:
    """All of an ``h5py.Dataset``.

    Raises:
        ValueError: it claims to be larger than ``LARGEST``.
    """
    if dataset.size > LARGEST:
        raise ValueError(f"an array of shape {dataset.shape}")
    return dataset[()]
