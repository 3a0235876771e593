"""Groups that were found in a pile of images, against the classes of the truth."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from jaxloc.data.annotations import Annotated
from jaxloc.errors import UsageError
from jaxloc.metrics import BCubed, bcubed, normalized_mutual_information, purity


class GroupScores(NamedTuple):
    """How well groups agree with classes.

    Attributes:
        images: number of images that have a group and one true class.
        purity: share of the images that are of the most frequent class of their group, in [0, 1].
        information: normalised mutual information, in [0, 1].
        bcubed: precision, recall and F, in [0, 1].
        left_out: images with a group and several true classes, or none.
    """

    images: int
    groups: int
    classes: int
    purity: float
    information: float
    bcubed: BCubed
    left_out: tuple[str, ...] = ()


def measure_groups(predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated]) -> GroupScores:
    """Compare the image set of each predicted image, its group, with its true class."""
    grouped = {name: image.category for name, image in predictions.items() if name in truth and image.category}
    pairs = {name: (group, truth[name].categories) for name, group in grouped.items()}
    left_out = tuple(name for name, (_, classes) in pairs.items() if len(classes) != 1)
    some = [(group, classes[0]) for group, classes in pairs.values() if len(classes) == 1]
    if not some:
        raise UsageError("no image has both a group and one true class: compare what `jaxloc discover` wrote")
    groups, classes = zip(*some, strict=True)
    return GroupScores(
        images=len(some),
        groups=len(set(groups)),
        classes=len(set(classes)),
        purity=purity(groups, classes),
        information=normalized_mutual_information(groups, classes),
        bcubed=bcubed(groups, classes),
        left_out=left_out,
    )


def with_true_classes(predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated]) -> dict[str, Annotated]:
    """Predictions whose boxes are of the true class of their image: the name of a group says nothing of a class.

    Images with several true classes, or none, keep the names of their groups.
    """
    named = {}
    for name, image in predictions.items():
        classes = truth[name].categories if name in truth else []
        if len(classes) == 1:
            boxes = tuple(dataclasses.replace(one, category=classes[0]) for one in image.annotations)
            image = dataclasses.replace(image, category=classes[0], annotations=boxes)
        named[name] = image
    return named


def groups_text(scores: GroupScores) -> str:
    """The figures in per cent, in a line."""
    precision, recall, f = (100 * value for value in scores.bcubed)
    return (
        f"Groups: {scores.groups:,} of {scores.images:,} images in {scores.classes:,} classes: purity "
        f"{100 * scores.purity:.2f}, NMI {100 * scores.information:.2f}, BCubed precision {precision:.2f}, recall "
        f"{recall:.2f}, F {f:.2f}, in per cent. Boxes count for the class of their image."
    )
