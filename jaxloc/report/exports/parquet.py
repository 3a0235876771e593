"""Parquet as Hugging Face ``datasets`` reads it: ``data/SPLIT-00000-of-00001.parquet``, a row for each image.

``image`` holds the encoded image and its name, ``label`` the number of the image's class (its own, or that of all
its objects; null if there are several or none), ``objects`` a list for each field: ``bbox`` is
``x, y, width, height`` in pixels as ``datasets`` has it, in 64 bits; ``category`` the class's number, from 0. ``mask``
is there if any image has one: a PNG of class numbers, see ``masks``. Without images, the column ``image`` is omitted.
"""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jaxloc.data.annotations import Annotated, Problem
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.masks import class_map, has_mask, to_png
from jaxloc.report.exports.placement import encode

_ROWS = 100
"""Maximum number of images in a row group, which readers load at once."""

_BYTES = 64 << 20
"""Bytes of encoded images that complete a row group."""

_FILE = 10_000
"""Maximum number of images in a file."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FLAGS = ("difficult", "truncated", "crowd")


def write(job: Job) -> list[Annotated]:
    """Write the files; with the placements ``"link"`` and ``"copy"`` the table holds the images' bytes."""
    schema = _schema(job.categories, job.placement != "none", any(map(has_mask, job.images)))
    numbers = {category: number for number, category in enumerate(job.categories)}

    def to_row(image: Annotated, own: list[Problem]) -> dict[str, Any] | None:
        return _row(image, numbers, schema, own)

    written: dict[str, Annotated] = {}
    (job.folder / "data").mkdir()
    for split, images in by_split(job.images, "train").items():
        rows = job.each(f"writing {split}", to_row, images)
        count = math.ceil(len(images) / _FILE)
        for number in range(count):
            path = job.folder / "data" / f"{split}-{number:05d}-of-{count:05d}.parquet"
            with pq.ParquetWriter(path, schema, compression="zstd") as writer:
                for group in _groups(itertools.islice(rows, _FILE)):
                    written |= {image.name: image for image, _ in group}
                    writer.write_table(pa.Table.from_pylist([row for _, row in group], schema=schema))
    return list(written.values())


def _groups(
    rows: Iterable[tuple[Annotated, dict[str, Any] | None]],
) -> Iterator[list[tuple[Annotated, dict[str, Any]]]]:
    """The rows of readable images in row groups."""
    group = []
    size = 0
    for image, row in rows:
        if row is None:
            continue
        group.append((image, row))
        size += sum(len(row[column]["bytes"]) for column in ("image", "mask") if row.get(column))
        if len(group) == _ROWS or size >= _BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _row(
    image: Annotated, numbers: Mapping[str, int], schema: pa.Schema, found: list[Problem]
) -> dict[str, Any] | None:
    objects = image.annotations
    own = set(image.categories)
    row: dict[str, Any] = {
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "label": numbers[own.pop()] if len(own) == 1 else None,
        "noise_score": image.noise_score,
        "objects": {
            "bbox": [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in (one.box for one in objects)],
            "category": [numbers[one.category] for one in objects],
            "score": [one.score for one in objects],
            **{flag: [getattr(one, flag) for one in objects] for flag in FLAGS},
        },
    }
    if "mask" in schema.names:
        values = class_map(image, list(numbers), found)
        row["mask"] = None if values is None else {"bytes": to_png(values), "path": None}
    if "image" in schema.names:
        data = encode(image, found)
        if data is None:
            return None
        row["image"] = {"bytes": data, "path": image.name}
    return row


def _schema(categories: Sequence[str], with_images: bool, with_masks: bool) -> pa.Schema:
    objects = {
        "bbox": pa.list_(pa.list_(pa.float64())),
        "category": pa.list_(pa.int64()),
        "score": pa.list_(pa.float64()),
    }
    objects |= {flag: pa.list_(pa.bool_()) for flag in FLAGS}
    columns = {"image": _IMAGE} if with_images else {}
    columns |= {"name": pa.string(), "width": pa.int32(), "height": pa.int32(), "label": pa.int64()}
    columns |= {"noise_score": pa.float64(), "objects": pa.struct(list(objects.items()))}
    columns |= {"mask": _IMAGE} if with_masks else {}
    classes = {"names": list(categories), "_type": "ClassLabel"}
    features: dict[str, Any] = {name: _feature(kind) for name, kind in columns.items()}
    features["label"] = classes
    features["objects"] = {name: _feature(kind) for name, kind in objects.items()} | {"category": _list(classes)}
    about = json.dumps({"info": {"features": features}})
    return pa.schema(list(columns.items()), metadata={"huggingface": about})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return _list(_feature(kind.value_type))
    names = {"double": "float64"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _list(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "Sequence"}
