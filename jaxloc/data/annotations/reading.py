"""Read annotations whatever form they have."""

import dataclasses
import os
from pathlib import Path

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.coco import read_coco_file, read_coco_folder
from jaxloc.data.annotations.pictures import check_pictures, with_job_paths, with_paths
from jaxloc.data.annotations.problems import Annotations
from jaxloc.data.annotations.voc import read_voc
from jaxloc.data.annotations.yolo import is_yolo, read_yolo
from jaxloc.errors import UsageError

_KNOWN = (
    "a COCO file (.json), a folder of VOC's XML files, a YOLO data set (data.yaml, or images and labels), a folder "
    "that a job wrote, or a data set as NAME:ROOT"
)


def read(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    truth: str | os.PathLike[str] | None = None,
) -> Annotations:
    """Read what is known of pictures: ground truth or predictions.

    What is wrong in the files is mended or left out, and told: boxes that reach out of their picture are clipped;
    boxes without area, annotations of no picture or no known class, and masks of another size are dropped.

    Args:
        path: a COCO file, a folder with ``annotations.json`` (of a job or an export), a VOC folder or one of XML
            files, a YOLO data set, or a data set as ``NAME:ROOT``.
        images: the folder that the pictures' names are relative to. By default the pictures are looked for where a
            job read them, in ``images`` or ``JPEGImages`` beside the annotations, or beside the file. If it is given,
            every picture has to be there, readable and of the size that the annotations say; others are left out.
        truth: where ``path`` may be a plain list of COCO results, the COCO file that says what its ids mean.

    Raises:
        UsageError: there is nothing, it is of no known form, or it is inconsistent, naming the file and the entry.
    """
    place = Path(path)
    found = _read_files(place, truth) if place.exists() else _read_named(os.fspath(path))
    if images is None:
        return found
    folder = Path(images)
    if not folder.is_dir():
        raise UsageError(f"{images}: no such folder of pictures")
    nowhere = {name: dataclasses.replace(image, path=None) for name, image in found.images.items()}
    checked = check_pictures(with_paths(Annotations(nowhere), [folder]).images)
    filled = {name for name in checked.images if found.images[name].width is None}
    left = [problem for problem in found.problems if not (filled and problem.kind == problems.NO_SIZE)]
    return Annotations(checked.images, left + checked.problems)


def _read_named(text: str) -> Annotations:
    """What is no file of this machine: a data set, whose spec may look like an address, or a remote file."""
    from jaxloc.data.datasets import is_spec, open_dataset

    if is_spec(text):
        opened = open_dataset(text)
        return Annotations(dict(opened.images), list(opened.problems))
    if remote.is_remote(text):
        return read_coco_file(text)
    raise UsageError(f"{text}: no such file or folder: pass {_KNOWN}")


def _read_files(place: Path, truth: str | os.PathLike[str] | None) -> Annotations:
    if place.suffix.lower() == ".json":
        return _find_pictures(read_coco_file(place, truth=truth), place.parent, place)
    if is_yolo(place):
        return read_yolo(place)
    if place.is_dir():
        if (place / "annotations.json").is_file() or any(place.glob("annotations_*.json")):
            return _find_pictures(read_coco_folder(place), place)
        if (place / "Annotations").is_dir() or any(place.glob("*.xml")):
            return with_paths(read_voc(place), [place / "JPEGImages", place])
    raise UsageError(f"{place}: no annotations there that can be read: pass {_KNOWN}")


def _find_pictures(found: Annotations, folder: Path, file: Path | None = None) -> Annotations:
    parts = folder / "parts"
    if parts.is_dir():
        return with_job_paths(found, parts)
    beside = [folder / "images", folder]
    if file is not None:  # annotations/instances_train2017.json and train2017, as COCO itself is laid out
        beside += [folder.parent / file.stem.rpartition("_")[2], folder.parent / "images"]
    return with_paths(found, beside)
