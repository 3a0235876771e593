"""Refinements of an object's cells to its pixels, by name. To add one, register it in ``REFINEMENTS``.

Importing this module does not import JAX, so that commands can list the names.
"""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Refinement:
    """How a mask of cells is fitted to an image.

    Attributes:
        title: for people.
        refine: from an image, its object probabilities and further options to a bool mask ``[h, w]``. On the device:
            ``refine(image, probabilities, size=..., **options)``, jitted for each padded shape, the image zero-padded
            and ``size`` its valid rows and columns. On the host: ``refine(image, probabilities, box, **options)``.
        on_host: whether ``refine`` works on NumPy arrays of one image.
        check: raises ``UsageError`` where a library is missing.
    """

    title: str
    refine: Callable[..., Any]
    on_host: bool = False
    check: Callable[[], None] = lambda: None


def _crf(image: Any, probabilities: Any, **options: Any) -> Any:
    from jaxloc import refinement

    return refinement.crf(image, probabilities, **options) > 0.5


def _guided(image: Any, probabilities: Any, **options: Any) -> Any:
    from jaxloc import refinement

    return refinement.guided(image, probabilities, **options) > 0.5


def _grabcut(image: Any, probabilities: Any, box: Any, **options: Any) -> Any:
    from jaxloc import refinement

    return refinement.grabcut(image, probabilities, box, **options)


def _check_opencv() -> None:
    from jaxloc import refinement

    refinement.check_opencv()


REFINEMENTS = {
    "crf": Refinement("dense CRF", _crf),
    "guided": Refinement("guided filter", _guided),
    "grabcut": Refinement("GrabCut", _grabcut, on_host=True, check=_check_opencv),
}
"""By name; ``"none"``, which every job takes as well, leaves whole cells."""
