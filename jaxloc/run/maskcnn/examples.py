"""Images with a class, boxes of named parts, and whether they are to be tested on."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.data import Source, annotations
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.errors import UsageError
from jaxloc.metrics import part_boxes
from jaxloc.run.classify import hold_out_share

_NOWHERE = (np.nan,) * 4


class Examples(NamedTuple):
    """Images of a set.

    Attributes:
        parts: names of the parts.
        boxes: float64 ``[n, k, 4]``, ``x0, y0, x1, y1`` of each part in pixels of the original image; NaN where it is
            not seen.
        test: bool ``[n]``, images to test on.
    """

    sources: Sequence[Source]
    labels: list[str]
    parts: list[str]
    boxes: np.ndarray
    test: np.ndarray


def read_examples(data: str | os.PathLike[str], *, test_share: float, seed: int) -> Examples:
    """Read a set whose objects have named parts, or key points that CUB's head and torso surround.

    An image's class is its own, or its folder if all images of the set are of one class. Images of the split ``test``
    are tested on, or a share of each class if there is no such split.
    """
    return examples_of(annotations.read(data).images, os.fspath(data), test_share=test_share, seed=seed)


def examples_of(annotated: Mapping[str, Annotated], data: str, *, test_share: float, seed: int) -> Examples:
    """``read_examples`` of images whose annotations have been read from ``data``."""
    images = [image for image in annotated.values() if image.path is not None]
    found = [_parts(image) for image in images]
    test = np.array(["test" in image.splits for image in images], bool)
    parts = list(dict.fromkeys(name for boxes, tested in zip(found, test, strict=True) if not tested for name in boxes))
    if not parts:
        raise UsageError(
            f"{data}: no image to learn from has named parts or CUB's key points: pass cub200:FOLDER, a COCO file with "
            "parts, or the result of `jaxloc colocalize IMAGES --parts 2`"
        )
    labels = [image.category or (next(iter(image.labels)) if len(image.labels) == 1 else None) for image in images]
    if len(set(labels)) == 1:
        labels = [os.path.basename(os.path.dirname(str(image.path))) for image in images]
    for image, label in zip(images, labels, strict=True):
        if label is None:
            raise UsageError(f"{data}: {image.name} has no class of its own: give each image one")
    named = [str(label) for label in labels]
    classes, targets = np.unique(named, return_inverse=True)
    if len(classes) < 2:
        raise UsageError(f"{data}: all images are of one class, {classes[0]!r}, and telling classes apart needs two")
    if not test.any():
        test = hold_out_share(targets, test_share, seed)
    boxes = np.array([[one.get(part, _NOWHERE) for part in parts] for one in found], np.float64)
    sources = [Source(image.path, image.name) for image in images if image.path is not None]
    return Examples(sources, named, parts, boxes, test)


def _parts(image: Annotated) -> dict[str, tuple[float, float, float, float]]:
    """Boxes of the parts of the image's largest object."""

    def area(one: Annotation) -> float:
        x0, y0, x1, y1 = one.box
        return (x1 - x0) * (y1 - y0)

    if not image.annotations:
        return {}
    one = max(image.annotations, key=area)
    return dict(one.parts) or part_boxes({point.name: (point.x, point.y) for point in one.keypoints if point.visible})
