"""Small files that come with data sets: text tables, MATLAB files, folders of images."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxloc.data.kinds import is_image, suffix
from jaxloc.errors import UsageError


def rows(path: Path, fields: int) -> Iterator[list[str]]:
    """Lines of a text table, split at white space; the last field takes the rest.

    Raises:
        UsageError: the file is missing or not text, or a line has fewer fields.
    """
    for number, line in enumerate(lines(path), 1):
        found = line.split(None, fields - 1)
        if len(found) < fields:
            raise UsageError(f"{path}: line {number} has {len(found)} fields and not {fields}: {line[:80]!r}")
        yield found


def lines(path: Path) -> list[str]:
    """Lines of a text file, without blank ones.

    Raises:
        UsageError: the file is missing or not text.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file: the data set needs it, unpack it again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable as text ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def numbers(path: Path, texts: Sequence[str]) -> list[float]:
    """Numbers in a file; raises ``UsageError`` that names the file for anything else."""
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"{path}: a number was expected ({error})") from error


def matlab(path: Path, *names: str) -> list[Any]:
    """Variables of a MATLAB file, structures as objects.

    Raises:
        UsageError: the file is missing or damaged, or lacks a variable.
    """
    import scipy.io

    try:
        found = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file: the data set needs it, fetch it again") from error
    except Exception as error:  # a damaged file can raise anything in the reader
        raise UsageError(f"{path}: not readable as a MATLAB file ({error})") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"{path}: holds no variable {missing[0]}: is it the file of this data set?")
    return [found[name] for name in names]


def images(folder: Path) -> list[str]:
    """Names of the image files in a folder, not below, in order; empty if the folder does not exist."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_file())
    return [name for name in names if suffix(name) and is_image(name)]


def folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, in order; empty if the folder does not exist."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())
