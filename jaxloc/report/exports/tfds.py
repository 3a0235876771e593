"""A data set as tensorflow-datasets prepares it: ArrayRecord files that are read without tensorflow.

The folder is a version's: ``tfds.builder_from_directory(FOLDER).as_data_source()``. ``objects/bbox`` is TFDS's own, in
32 bits and shares of the sides; ``objects/box`` has ``x0, y0, x1, y1`` in pixels in 64 bits. ``mask`` is there if any
image has one: class numbers as in ``masks``, 255 throughout where an image has none. Images are stored as they are
if they are upright colour JPEGs or PNGs, and written again as such if not.
"""

import contextlib
import functools
import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc.data.annotations import Annotated, Problem
from jaxloc.errors import UsageError
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.masks import UNKNOWN, class_map, has_mask
from jaxloc.report.exports.parquet import FLAGS
from jaxloc.report.exports.placement import encode, to_bytes

_NAME = "jaxloc_export"
_BYTES = 128 << 20
"""Of records, after which the next file begins."""


def write(job: Job) -> list[Annotated]:
    """Write the data set; images of no split are its ``train``.

    Records are sorted by the hashes of their names, as tensorflow-datasets shuffles them. Its own writer is not used,
    since it holds a whole split in memory or needs tensorflow.
    """
    tfds = _import()
    features = _features(tfds, job.categories, any(map(has_mask, job.images)))
    numbers = {category: number for number, category in enumerate(job.categories)}

    def to_record(image: Annotated, own: list[Problem]) -> bytes | None:
        data = encode(image, own, plain=True)
        return None if data is None else features.serialize_example(_example(tfds, image, data, numbers, features, own))

    def place(split: str, image: Annotated) -> bytes:
        return hashlib.md5(f"{split}{image.name}".encode(), usedforsecurity=False).digest()

    written: dict[str, Annotated] = {}
    splits = []
    for split, images in by_split(job.images, "train").items():
        images.sort(key=functools.partial(place, split))
        files = tfds.core.ShardedFileTemplate(
            data_dir=job.folder, dataset_name=_NAME, split=split, filetype_suffix="array_record"
        )
        lengths, size = _write_shards(files, job.each(f"writing {split}", to_record, images), written)
        if lengths:
            splits.append(tfds.core.SplitInfo(split, lengths, size, filename_template=files))
    if splits:
        _describe(tfds, job.folder, features, splits)
    return list(written.values())


def _write_shards(
    files: Any, records: Iterator[tuple[Annotated, bytes | None]], written: dict[str, Annotated]
) -> tuple[list[int], int]:
    """Write the records; return the number of records of each file and the bytes of all."""
    from array_record.python.array_record_module import ArrayRecordWriter

    lengths: list[int] = []
    sizes: list[int] = []
    with contextlib.ExitStack() as opened:
        for image, record in records:
            if record is None:
                continue
            if not sizes or sizes[-1] >= _BYTES:
                opened.close()
                path = os.fspath(_unnumbered(files, len(sizes)))
                writer = opened.enter_context(contextlib.closing(ArrayRecordWriter(path, "group_size:1")))
                lengths.append(0)
                sizes.append(0)
            writer.write(record)
            written[image.name] = image
            lengths[-1] += 1
            sizes[-1] += len(record)
    for number in range(len(sizes)):
        os.rename(_unnumbered(files, number), files.sharded_filepath(shard_index=number, num_shards=len(sizes)))
    return lengths, sum(sizes)


def _unnumbered(files: Any, number: int) -> Path:
    """The temporary path of a file, until the number of files is known."""
    return Path(files.data_dir) / f"{files.split}-{number}.part"


def _describe(tfds: Any, folder: Path, features: Any, splits: Sequence[Any]) -> None:
    from tensorflow_datasets.core.dataset_info import DatasetIdentity

    identity = DatasetIdentity(
        name=_NAME, version=tfds.core.Version("1.0.0"), data_dir=os.fspath(folder), module_name=__name__
    )
    about = tfds.core.DatasetInfo(builder=identity, features=features)
    about.set_file_format("array_record")
    about.set_splits(tfds.core.SplitDict(splits))
    about.write_to_directory(folder)


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
    classes = tfds.features.ClassLabel(names=list(categories))
    objects = {
        "bbox": tfds.features.BBoxFeature(),
        "box": tfds.features.Tensor(shape=(4,), dtype=np.float64),
        "label": classes,
        "score": tfds.features.Scalar(np.float64),
        **{flag: tfds.features.Scalar(np.bool_) for flag in FLAGS},
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
    tfds: Any, image: Annotated, data: bytes, numbers: Mapping[str, int], features: Any, found: list[Problem]
) -> dict[str, Any]:
    width, height = image.width or 0, image.height or 0
    objects = [
        {
            "bbox": tfds.features.BBox(ymin=y0 / height, xmin=x0 / width, ymax=y1 / height, xmax=x1 / width),
            "box": np.array(one.box, np.float64),
            "label": numbers[one.category],
            "score": one.score,
            **{flag: getattr(one, flag) for flag in FLAGS},
        }
        for one in image.annotations
        for x0, y0, x1, y1 in [one.box]
    ]
    example: dict[str, Any] = {"image": io.BytesIO(data), "name": image.name, "objects": objects}
    if "mask" in features:
        values = class_map(image, list(numbers), found)
        values = np.full((height, width), UNKNOWN, np.uint8) if values is None else values
        example["mask"] = io.BytesIO(to_bytes(Image.fromarray(values), "PNG"))
    return example
