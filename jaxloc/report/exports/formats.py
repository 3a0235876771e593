"""Export formats by name: the one list that the command line, the jobs and the docs take them from.

To add a format, write a module of its name with ``write(job, **options) -> list[Annotated]`` and register it here.
Importing this module imports no writer.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxloc.data.annotations import Annotated
    from jaxloc.report.exports.job import Job


@dataclasses.dataclass(frozen=True)
class Format:
    """A layout of another tool.

    Attributes:
        name: as users write it; also the name of the module that writes it.
        title: what is written and for whom, in a line.
        options: the fields of ``ExportOptions`` that this format alone uses; its writer takes them as keywords.
        flat: all images lie in one folder, so slashes in their names become underscores.
        needs_images: the images are part of the format and cannot be left out.
        needs_sizes: images of unknown size cannot be exported.
        needs_masks: whether it is made of masks, from the values of ``options``.
        holds_boxes: boxes can be read back from it.
        first_number: number of its first class; ``None`` if classes have no numbers.
        jpeg: its images are JPEGs called ``.jpg``.
        keeps_gaps: numbers need not follow one another.
    """

    name: str
    title: str
    options: tuple[str, ...] = ()
    flat: bool = False
    needs_images: bool = False
    needs_sizes: bool = True
    needs_masks: Callable[..., bool] = lambda **_: False
    holds_boxes: bool = True
    first_number: int | None = None
    keeps_gaps: bool = False
    jpeg: bool = False

    def write(self, job: "Job", **options: Any) -> "list[Annotated]":
        """Fill the job's folder and return the images written."""
        written: list[Annotated] = importlib.import_module(f"{__package__}.{self.name}").write(job, **options)
        return written


FORMATS = {
    format.name: format
    for format in (
        Format(
            "coco",
            "JSON of boxes, masks and scores: pycocotools, detectron2, supervision",
            needs_sizes=False,
            first_number=1,
            keeps_gaps=True,
        ),
        Format("voc", "PASCAL VOC's XML files and split lists", flat=True, jpeg=True),
        Format(
            "yolo",
            "data.yaml, images and labels: Ultralytics",
            options=("segments",),
            flat=True,
            needs_masks=lambda segments: segments,
            first_number=0,
        ),
        Format("tfds", "ArrayRecord files: tensorflow-datasets", needs_images=True, first_number=0),
        Format("parquet", "one table, a row for each image: Hugging Face datasets, pandas", first_number=0),
        Format(
            "masks",
            "PNG files of class numbers: segmentation",
            needs_masks=lambda: True,
            holds_boxes=False,
            first_number=1,
        ),
        Format(
            "crops",
            "one image for each object, in a folder for each class: classifiers",
            options=("margin", "square"),
            needs_images=True,
            holds_boxes=False,
        ),
    )
}
"""Every format by name."""
