"""Jobs whose method asks a classifier: the class to find in each image set, and how often a long search asks."""

import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from jaxloc.errors import UsageError
from jaxloc.models.backbone import Backbone
from jaxloc.report.text import counted
from jaxloc.run.steps import Steps

_MANY = 100_000
"""Passes of a job that are announced before it begins."""


def classes_of_sets(names: Sequence[str], backbone: Backbone) -> tuple[np.ndarray, list[str]]:
    """The class of each set's name.

    Returns:
        numbers int32 ``[sets]``, -1 where the classifier lacks the class; and a line about each such set.
    """
    found, lines = np.full(len(names), -1, np.int32), []
    for number, name in enumerate(names):
        try:
            if name.isdecimal():  # which class_number takes for the number of a class
                raise UsageError("a number is not the name of a class")
            found[number] = backbone.class_number(name)
        except UsageError as error:
            lines.append(f"{name}: the most probable class of each image was found, for {error}")
    return found, lines


def announce(steps: Steps, images: int) -> None:
    """Say how many passes a long search will make."""
    each = steps.method.passes(steps.options) * steps.classes_each
    if images * each >= _MANY:
        tqdm.write(
            f"{steps.method.name} asks the network about {each:,} times for an image: {images * each:,} passes of "
            f"{counted(images, 'image')}.",
            file=sys.stderr,
        )
