"""A data set as tensorflow-datasets prepares it: ArrayRecord files that are read without tensorflow.

The folder is a version's: ``tfds.builder_from_directory(FOLDER).as_data_source()``. ``objects/bbox`` is TFDS's own, in
32 bits and shares of the sides; ``objects/box`` has ``x0, y0, x1, y1`` in pixels in 64 bits. ``mask`` is there if any
picture has one: class numbers as in ``masks``, 255 throughout where a picture has none. Pictures are stored as they are
if they are upright colour JPEGs or PNGs, and written again as such if not.
"""

import contextlib
import io
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc.data.annotations import Annotated, Problem
from jaxloc.errors import UsageError
from jaxloc.report.exports.masks import UNKNOWN, class_map, has_mask
from jaxloc.report.exports.pictures import encode, to_bytes
from jaxloc.report.text import displayable

_FLAGS = ("difficult", "truncated", "crowd")


def write(
    folder: Path, images: Sequence[Annotated], categories: Sequence[str], found: list[Problem]
) -> list[Annotated]:
    """Write the data set; pictures of no split are its ``train``.

    Raises:
        UsageError: tensorflow-datasets or array_record is not installed.
    """
    tfds = _import()
    written: dict[str, Annotated] = {}
    masked = any(map(has_mask, images))

    class JaxlocExport(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[name-defined,call-arg]
        """Pictures and their objects, exported by jaxloc."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(builder=self, features=_features(tfds, categories, masked))

        def _split_generators(self, download_manager: Any) -> dict[str, Any]:
            splits = sorted({split for image in images for split in image.splits}) or ["train"]
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
            for image in images:
                data = encode(image, found, plain=True) if not image.splits or split in image.splits else None
                if data is not None:
                    written[image.name] = image
                    yield image.name, _example(tfds, image, data, categories, masked, found)

    with _quiet():
        builder = JaxlocExport(data_dir=folder / "prepared", file_format="array_record")
        builder.download_and_prepare()
    for file in Path(builder.data_dir).iterdir():
        shutil.move(file, folder / file.name)
    shutil.rmtree(folder / "prepared")
    return list(written.values())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the builder's own words and bars off the terminal."""
    silence = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        warnings.simplefilter("ignore")
        yield


def _import() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_datasets as tfds
            from array_record.python import array_record_module  # noqa: F401
    except ImportError as error:
        raise UsageError("exporting to tfds needs tensorflow-datasets: pip install 'jaxloc[tfds]'") from error
    return tfds


def _features(tfds: Any, categories: Sequence[str], masked: bool) -> Any:
    classes = tfds.features.ClassLabel(names=[displayable(name) for name in categories])
    objects = {
        "bbox": tfds.features.BBoxFeature(),
        "box": tfds.features.Tensor(shape=(4,), dtype=np.float64),
        "label": classes,
        "score": tfds.features.Scalar(np.float64),
        **{flag: tfds.features.Scalar(np.bool_) for flag in _FLAGS},
    }
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "name": tfds.features.Text(),
        "objects": tfds.features.Sequence(objects),
    }
    if masked:
        features["mask"] = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    return tfds.features.FeaturesDict(features)


def _example(
    tfds: Any, image: Annotated, data: bytes, categories: Sequence[str], masked: bool, found: list[Problem]
) -> dict[str, Any]:
    width, height = image.width or 0, image.height or 0
    objects = []
    for one in image.annotations:
        x0, y0, x1, y1 = one.box
        objects.append(
            {
                "bbox": tfds.features.BBox(ymin=y0 / height, xmin=x0 / width, ymax=y1 / height, xmax=x1 / width),
                "box": np.array(one.box, np.float64),
                "label": categories.index(one.category),
                "score": one.score,
                **{flag: getattr(one, flag) for flag in _FLAGS},
            }
        )
    example: dict[str, Any] = {"image": io.BytesIO(data), "name": image.name, "objects": objects}
    if masked:
        values = class_map(image, categories, found)
        values = np.full((height, width), UNKNOWN, np.uint8) if values is None else values
        example["mask"] = io.BytesIO(to_bytes(Image.fromarray(values), "PNG"))
    return example
