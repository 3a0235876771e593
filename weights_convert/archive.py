"""Zip archives that cannot grow when they are read."""

import os
import zipfile
from typing import BinaryIO

from jaxloc.errors import WeightsError


def open_archive(file: BinaryIO, where: str) -> zipfile.ZipFile:
    """Open a zip archive whose members together are no larger than the file.

    PyTorch and Keras store members as they are, so one that grows is not theirs, and might be a zip bomb.

    Args:
        file: opened for reading.
        where: its name, for the message.

    Raises:
        WeightsError: the members are compressed.
        zipfile.BadZipFile: damaged.
    """
    archive = zipfile.ZipFile(file)
    if sum(member.file_size for member in archive.infolist()) > os.fstat(file.fileno()).st_size:
        raise WeightsError(f"{where}: a compressed archive, which neither PyTorch nor Keras writes: get the original")
    return archive
