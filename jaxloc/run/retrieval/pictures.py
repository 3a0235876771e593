"""The pictures of a retrieval job and their labels, from folders or from a COCO file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxloc.data import Source, find_sets
from jaxloc.data.coco import Annotated, read_coco
from jaxloc.errors import UsageError

Paths = Sequence[str | os.PathLike[str]]


class Labelled(NamedTuple):
    """One picture and what is known of it.

    Attributes:
        source: the file and its name.
        label: its kind, or ``None`` if unknown.
        split: the part of the data set it belongs to, if a COCO file says so.
        boxes: its true boxes ``(x0, y0, x1, y1)`` of its own category, from a COCO file.
    """

    source: Source
    label: str | None
    split: str | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def key(self) -> str:
        """The absolute path as text that can be written in any file: what identifies a picture in a gallery."""
        return os.fsencode(self.source.path).decode("utf-8", "backslashreplace")


def find_pictures(
    paths: Paths,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
    exclude: Sequence[str | os.PathLike[str]] = (),
) -> list[Labelled]:
    """List pictures in order of name, each with its label.

    Args:
        paths: folders, pictures, or text files of paths.
        labels: a COCO file that says each image's category (``category_id``, or that of its boxes); file names are
            relative to it. Without one, a picture's label is the sub-folder it lies in.
        splits: only pictures whose ``split`` in the COCO file is one of these.
        exclude: folders in which no picture is looked for.

    Raises:
        UsageError: a path does not exist, there is no picture, or a split is asked for that no picture has.
    """
    if splits and labels is None:
        raise UsageError("a split needs --labels with a COCO file whose images have one")
    sets = find_sets(paths, per_folder=True, exclude=exclude)
    pictures = [Labelled(source, images.name) for images in sets for source in images.sources]
    if labels is not None:
        truth = read_coco(labels)
        base = Path(os.path.abspath(labels)).parent
        pictures = [_with_truth(picture, truth, base) for picture in pictures]
        if all(picture.label is None for picture in pictures):
            raise UsageError(
                f"{labels}: none of the {len(pictures)} pictures is listed; it names them like "
                f"{next(iter(truth), 'nothing')!r}, relative to its own folder"
            )
    if splits:
        known = sorted({picture.split for picture in pictures if picture.split is not None})
        missing = [split for split in splits if split not in known]
        if missing:
            raise UsageError(
                f"{labels}: no picture has the split {missing[0]!r}; there are {', '.join(known) or 'none'}"
            )
        pictures = [picture for picture in pictures if picture.split in splits]
    return sorted(pictures, key=lambda picture: (picture.source.name, str(picture.source.path)))


def _with_truth(picture: Labelled, truth: dict[str, Annotated], base: Path) -> Labelled:
    relative = Path(os.path.relpath(picture.source.path, base)).as_posix()
    known = truth.get(relative) or truth.get(picture.source.name)
    if known is None or len(known.categories) != 1:
        return Labelled(picture.source, None, None if known is None else known.split)
    label = known.categories[0]
    boxes = tuple((x0, y0, x1, y1) for x0, y0, x1, y1, _ in known.boxes.get(label, []))
    return Labelled(picture.source, label, known.split, boxes)


def check_labels(pictures: Sequence[str | None], what: str) -> None:
    """Raise ``UsageError`` unless every picture has a label.

    Args:
        pictures: their labels.
        what: which pictures they are, for the message.
    """
    missing = sum(label is None for label in pictures)
    if missing:
        raise UsageError(
            f"{missing} of {len(pictures)} {what} have no label: put pictures of one kind into a folder of their own, "
            "or name a COCO file that lists them with --labels"
        )
