"""The images of a retrieval job and their labels, from folders or from a COCO file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxloc.data import Record, Source, find_sets
from jaxloc.data.annotations import Annotated, read_coco
from jaxloc.errors import UsageError

Paths = Sequence[str | os.PathLike[str]]
Box = tuple[float, float, float, float]


class Labelled(NamedTuple):
    """An image, its label if known, its splits, and its true boxes ``x0, y0, x1, y1`` of its own category."""

    source: Source
    label: str | None
    splits: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def key(self) -> str:
        """The absolute path as text: what identifies an image in a gallery."""
        return str(self.source.path)


def largest_box(boxes: Iterable[Box]) -> Box | None:
    """The box of largest area; the first of equal ones."""
    return max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)


def find_images(
    paths: Paths,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
    exclude: Sequence[str | os.PathLike[str]] = (),
) -> list[Labelled]:
    """List images in order of name, each with its label.

    Args:
        paths: folders, images, or text files of paths.
        labels: a COCO file that says each image's category (``category_id``, or that of its boxes); file names are
            relative to it. Without one, an image's label is the name of its folder.
        splits: only images that are in one of these splits of the COCO file.
        exclude: folders that are not searched.
    """
    if splits and labels is None:
        raise UsageError("a split needs --labels with a COCO file whose images have one")
    sets = find_sets(paths, exclude=exclude)
    sets.tell_ignored()
    photos = [Labelled(source, _own_label(source)) for images in sets for source in images.sources]
    if labels is not None:
        truth = read_coco(labels)
        base = Path(os.path.abspath(labels)).parent
        photos = [_with_truth(image, truth, base) for image in photos]
        if all(image.label is None for image in photos):
            raise UsageError(
                f"{labels}: none of the {len(photos)} images is listed; it names them like "
                f"{next(iter(truth), 'nothing')!r}, relative to its own folder"
            )
    if splits:
        known = sorted({split for image in photos for split in image.splits})
        missing = [split for split in splits if split not in known]
        if missing:
            raise UsageError(f"{labels}: no image has the split {missing[0]!r}; there are {', '.join(known) or 'none'}")
        photos = [image for image in photos if set(image.splits) & set(splits)]
    return sorted(photos, key=lambda image: (image.source.name, str(image.source.path)))


def _own_label(source: Source) -> str | None:
    """The label that an archive or data set gives an image, or the name of its file's folder."""
    label = source.label
    if label is None and not isinstance(source.path, Record):
        label = source.path.parent.name
    return label


def _with_truth(image: Labelled, truth: dict[str, Annotated], base: Path) -> Labelled:
    path = image.source.path
    relative = "" if isinstance(path, Record) else Path(os.path.relpath(path, base)).as_posix()
    known = truth.get(relative) or truth.get(image.source.name)
    if known is None or len(known.categories) != 1:
        return Labelled(image.source, None, () if known is None else known.splits)
    label = known.categories[0]
    boxes = tuple((x0, y0, x1, y1) for x0, y0, x1, y1, _ in known.boxes.get(known.categories[0], []))
    return Labelled(image.source, label, known.splits, boxes)


def check_labels(labels: Sequence[str | None], what: str, *, several: bool = True) -> None:
    """Raise ``UsageError`` unless every image has a label, and, if ``several`` are needed, there are several."""
    cure = "put images of one kind into a folder of their own, or name a COCO file that lists them with --labels"
    missing = sum(label is None for label in labels)
    if missing:
        raise UsageError(f"{missing} of {len(labels)} {what} have no label: {cure}")
    if several and len(set(labels)) == 1 and len(labels) > 1:
        raise UsageError(f"all {len(labels)} {what} have the same label, {labels[0]!r}, so any result is right: {cure}")
