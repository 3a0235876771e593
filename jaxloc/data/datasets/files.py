"""Reading the small files that data sets come with: text tables, MATLAB files, folders of images."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxloc.data.kinds import is_image, suffix
from jaxloc.errors import UsageError


def find_root(name: str, root: str, marker: str, *, below: Sequence[str] = ()) -> Path:
    """The folder that holds a file or folder of this name: the root, or one of those usual below it.

    Raises:
        UsageError: none does.
    """
    if not os.path.isdir(root):
        raise UsageError(f"{name}:{root}: no such folder")
    for folder in (Path(root), *(Path(root, inner) for inner in below)):
        if (folder / marker).exists():
            return Path(os.path.abspath(folder))
    raise UsageError(
        f"{name}:{root}: holds no {marker}: see `jaxloc datasets {name}` for the layout expected, and point at its top"
    )


def rows(path: Path, fields: int, *, separator: str | None = None) -> Iterator[list[str]]:
    """The lines of a text table, split; the last field takes what is left.

    Raises:
        UsageError: the file is missing or not text, or a line has fewer fields.
    """
    for number, line in enumerate(lines(path), 1):
        found = line.split(separator, fields - 1)
        if len(found) < fields:
            raise UsageError(f"{path}: line {number} has {len(found)} fields and not {fields}: {line[:80]!r}")
        yield found


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        UsageError: it is missing or not text.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file: the data set needs it, unpack it again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable as text ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def numbers(path: Path, texts: Sequence[str]) -> list[float]:
    """Texts as numbers.

    Raises:
        UsageError: one is none, naming the file.
    """
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"{path}: a number was expected ({error})") from error


def matlab(path: Path, *names: str) -> list[Any]:
    """Variables of a MATLAB file, with structures as objects.

    Raises:
        UsageError: the file is missing or damaged, or lacks one.
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


def images(folder: Path, suffixes: Sequence[str] = ()) -> list[str]:
    """Names of the image files in a folder, in order; empty where there is no such folder.

    Args:
        folder: to look in, not below.
        suffixes: in lower case, to take only those; empty means any that images have.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_file())
    return [name for name in names if (suffix(name) in suffixes if suffixes else suffix(name) and is_image(name))]


def folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, in order; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())
