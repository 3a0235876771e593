"""What data sets come as: text tables, MATLAB and XML files, masks, folders of images."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Box, MaskFile
from jaxloc.data.annotations.voc import read_voc_file
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.data.kinds import is_image, suffix
from jaxloc.errors import UsageError

_AT_ONCE = 8
"""Masks that are read at once."""


def rows(path: Path, fields: int) -> Iterator[list[str]]:
    """Lines of a text table, split at white space; the last field takes the rest."""
    for number, line in enumerate(lines(path), 1):
        found = line.split(None, fields - 1)
        if len(found) < fields:
            raise UsageError(f"{path}: line {number} has {len(found)} fields and not {fields}: {line[:80]!r}")
        yield found


def lines(path: Path) -> list[str]:
    """Lines of a text file, without blank ones."""
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
    """Variables of a MATLAB file, structures as objects."""
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


def read_xml(into: Gathering, path: Path, *, first_pixel: int) -> Annotated | None:
    """Objects and size in an XML file of VOC's format; ``None`` if it is missing or damaged, which is reported.

    ``first_pixel`` is 1 if boxes count pixels from 1 and include both ends (PASCAL), 0 if they are corners (ImageNet).
    """
    if not path.is_file():
        into.report(NO_ANNOTATION, path, "is not there; its image is left out")
        return None
    try:
        image, found = read_voc_file(path, first_pixel=first_pixel)
    except UsageError as error:
        what = str(error).removeprefix(f"{path}: ")
        into.report(problems.DAMAGED, path, f"{what}; its image is left out")
        return None
    into.problems += found
    return image


def of_category(image: Annotated, category: str, **changes: Any) -> Annotated:
    """The image with its own class and that of all its objects set, and other fields."""
    annotations = tuple(dataclasses.replace(one, category=category) for one in image.annotations)
    damaged = (category,) if image.damaged else ()
    return dataclasses.replace(image, category=category, annotations=annotations, damaged=damaged, **changes)


def read_boxes(into: Gathering, masks: Mapping[str, MaskFile]) -> dict[str, Box | None]:
    """Tight box around the mask of each image; ``None`` if empty. Unreadable masks are reported and left out."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jaxloc-masks") as pool:
        found = dict(zip(masks, pool.map(_read_box, masks.values()), strict=True))
    boxes: dict[str, Box | None] = {}
    for name, box in found.items():
        if isinstance(box, UsageError):
            into.report(problems.WRONG_MASK, masks[name].path, str(box).removeprefix(f"{masks[name].path}: "))
        else:
            boxes[name] = box
    return boxes


def _read_box(mask: MaskFile) -> Box | UsageError | None:
    try:
        box = Image.fromarray(mask.read().inside).getbbox()
    except UsageError as error:
        return error
    return box and (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
