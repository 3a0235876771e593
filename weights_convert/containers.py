"""Zip archives and HDF5 files that cannot grow when they are read."""

import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxloc.errors import WeightsError

LARGEST = 2**28
"""More numbers than any array of a known network; HDF5 can declare sizes that it does not store."""


def open_zip(file: BinaryIO, where: str) -> zipfile.ZipFile:
    """Open a zip archive whose members together are no larger than the file.

    PyTorch and Keras store members as they are, so one that grows is not theirs, and might be a zip bomb.
    """
    archive = zipfile.ZipFile(file)
    if sum(member.file_size for member in archive.infolist()) > os.fstat(file.fileno()).st_size:
        raise WeightsError(f"{where}: a compressed archive, which neither PyTorch nor Keras writes: get the original")
    return archive


def open_hdf5(file: Path | BinaryIO, where: str) -> Any:
    """An ``h5py.File`` for reading."""
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{where}: reading HDF5 needs h5py: pip install 'jaxloc[convert]'") from error
    return h5py.File(file, "r")


def read_array(dataset: Any) -> np.ndarray:
    """All of an ``h5py.Dataset``."""
    if dataset.size > LARGEST:
        raise ValueError(f"an array of shape {dataset.shape}")
    return dataset[()]
