"""Images made in memory."""

import numpy as np

from jaxloc.data.annotations import Annotated, Annotation, Rle
from jaxloc.run.evaluation import Evaluation

RIGHT, WRONG = (10.0, 10.0, 50.0, 50.0), (60.0, 60.0, 90.0, 90.0)


def image(name: str, *boxes, category: str | None = "bus", size: int | None = 100, **more) -> Annotated:
    """A square image with objects: a box each, or a whole ``Annotation``."""
    objects = [one if isinstance(one, Annotation) else Annotation(category or "bus", one) for one in boxes]
    return Annotated(name, category, tuple(objects), width=size, height=size, **more)


def images(*some: Annotated) -> dict[str, Annotated]:
    return {one.name: one for one in some}


def mask(rows: slice, columns: slice, side: int = 100) -> np.ndarray:
    inside = np.zeros((side, side), bool)
    inside[rows, columns] = True
    return inside


def masked(inside: np.ndarray, box=RIGHT, category: str = "bus", **more) -> Annotation:
    return Annotation(category, box, mask=Rle.of(inside), **more)


def names(result: Evaluation, kind: str) -> tuple[str, ...]:
    """What a note of a kind names; fails if there is none."""
    (note,) = (note for note in result.notes if note.kind == kind)
    return note.names


def kinds(result: Evaluation) -> set[str]:
    return {note.kind for note in result.notes}
