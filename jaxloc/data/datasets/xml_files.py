"""XML files in PASCAL VOC's format, one for each image, as several data sets have them."""

import dataclasses
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.annotations.voc import read_voc_file
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.errors import UsageError


def read_xml(into: Gathering, path: Path, *, first_pixel: int) -> Annotated | None:
    """Objects and size in one file; ``None`` if it is missing or damaged, which is reported.

    Args:
        into: takes the problems.
        path: of the file.
        first_pixel: 1 if boxes count pixels from 1 and include both ends (PASCAL); 0 if they are corners (ImageNet).
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


def of_category(image: Annotated, category: str) -> Annotated:
    """The image with its own class and that of all its objects set."""
    annotations = tuple(dataclasses.replace(one, category=category) for one in image.annotations)
    damaged = (category,) if image.damaged else ()
    return dataclasses.replace(image, category=category, annotations=annotations, damaged=damaged)
