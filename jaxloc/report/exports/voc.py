"""PASCAL VOC: ``Annotations/NAME.xml``, ``JPEGImages`` and ``ImageSets/Main/SPLIT.txt``.

VOC's tools ask for images ``NAME.jpg`` and lists of their names: images of other kinds are written as JPEGs, and images
of no split are training images.

Corners are whole pixels that count from 1 and belong to the box, so each side of a box moves to the nearest border
between two pixels: by half a pixel at most, and not at all for boxes of whole pixels. A box thinner than that keeps
one pixel. Masks, key points and the image's own class have no place; crowds are marked as difficult; a score that is
not 1 stands in ``<score>``, which others ignore.
"""

import math
import xml.etree.ElementTree as ElementTree

from jaxloc.data.annotations import Annotated, Annotation, Problem
from jaxloc.data.annotations.records import Box
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.names import with_suffix


def write(job: Job) -> list[Annotated]:
    """Write the files and the images."""

    def write_one(image: Annotated, own: list[Problem]) -> bool:
        if not job.place(image, "JPEGImages", own, jpeg=True):
            return False
        root = _to_xml(image)
        ElementTree.indent(root)
        job.write(f"Annotations/{with_suffix(image.name, '.xml')}", ElementTree.tostring(root, encoding="utf-8"))
        return True

    written = job.written("writing", write_one)
    for split, images in by_split(written, "train").items():
        names = "".join(f"{with_suffix(image.name, '')}\n" for image in images)
        job.write(f"ImageSets/Main/{split}.txt", names)
    return written


def to_pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """``xmin, ymin, xmax, ymax``, counted from 1 and inclusive, of a half-open box in an image of this size."""
    x0, x1 = _side(box[0], box[2], width)
    y0, y1 = _side(box[1], box[3], height)
    return x0, y0, x1, y1


def _side(start: float, stop: float, length: int) -> tuple[int, int]:
    first, last = math.floor(start + 0.5) + 1, math.floor(stop + 0.5)
    if last < first:  # thinner than a pixel: the one that holds its middle
        first = last = math.floor((start + stop) / 2) + 1
    return min(max(first, 1), length), min(max(last, 1), length)


def _to_xml(image: Annotated) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", image.name)
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        _add(size, name, str(value))
    _add(root, "segmented", "0")
    for one in image.annotations:
        root.append(_object(one, image))
    return root


def _object(one: Annotation, image: Annotated) -> ElementTree.Element:
    entry = ElementTree.Element("object")
    _add(entry, "name", one.category)
    _add(entry, "pose", "Unspecified")
    _add(entry, "truncated", str(int(one.truncated)))
    _add(entry, "difficult", str(int(one.difficult or one.crowd)))
    if one.score != 1:
        _add(entry, "score", repr(one.score))
    _add_box(entry, one.box, image)
    for name, box in one.parts:
        part = ElementTree.SubElement(entry, "part")
        _add(part, "name", name)
        _add_box(part, box, image)
    return entry


def _add_box(entry: ElementTree.Element, box: Box, image: Annotated) -> None:
    corners = to_pixels(box, image.width or 0, image.height or 0)
    place_of_box = ElementTree.SubElement(entry, "bndbox")
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
        _add(place_of_box, name, str(value))


def _add(entry: ElementTree.Element, name: str, text: str) -> None:
    # XML has no way to write control characters.
    shown = "".join(letter if letter.isprintable() else "�" for letter in text)
    ElementTree.SubElement(entry, name).text = shown
