"""The XML files of PASCAL VOC's kind that several data sets come with, one for each image."""

import dataclasses
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.annotations.voc import read_voc_file
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.errors import UsageError


def read_xml(into: Gathering, path: Path, *, first_pixel: int) -> Annotated | None:
    """The objects and the size that one file tells; ``None`` if it is missing or damaged, which is reported.

    Args:
        into: takes what disagrees.
        path: of the file.
        first_pixel: 1 where boxes count pixels from 1 and include both ends (PASCAL); 0 where they are corners
            (ImageNet, whose boxes reach from 0 to the image's width).
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
    """The image with all of its objects of this class, which is its own."""
    annotations = tuple(dataclasses.replace(one, category=category) for one in image.annotations)
    damaged = (category,) if image.damaged else ()
    return dataclasses.replace(image, category=category, annotations=annotations, damaged=damaged)
