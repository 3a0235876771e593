"""Refinements of an object's cells to its pixels, by name. To add one, register it in ``REFINEMENTS``.

Importing this module does not import JAX, so that commands can list the names.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jaxloc


@dataclasses.dataclass(frozen=True)
class Refinement:
    """How a mask of cells is fitted to an image.

    Attributes:
        refine: from an image, its object probabilities and further options to a bool mask ``[h, w]``. On the device:
            ``refine(image, probabilities, size=..., **options)``, jitted for each padded shape, the image zero-padded
            and ``size`` its valid rows and columns. On the host: ``refine(image, probabilities, box, **options)``.
        on_host: whether ``refine`` works on NumPy arrays of one image.
        check: raises ``UsageError`` where a library is missing.
    """

    title: str
    refine: Callable[..., Any]
    on_host: bool = False
    check: Callable[[], Any] = lambda: None


REFINEMENTS = {
    "crf": Refinement("dense CRF", lambda *args, **options: jaxloc.refinement.crf(*args, **options) > 0.5),
    "guided": Refinement("guided filter", lambda *args, **options: jaxloc.refinement.guided(*args, **options) > 0.5),
    "grabcut": Refinement(
        "GrabCut",
        lambda *args, **options: jaxloc.refinement.grabcut(*args, **options),
        on_host=True,
        check=lambda: jaxloc.refinement.check_opencv(),
    ),
}
"""By name; ``"none"``, which every job takes as well, leaves whole cells."""
