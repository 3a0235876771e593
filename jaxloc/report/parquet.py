"""A job's findings as Parquet files, one for each shard, and many of them as one lazily read sequence.

A file has a row for each image, followed by a row for each skipped image. Any reader of Parquet can open it.
"""

import contextlib
import dataclasses
import itertools
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxloc._files import atomic_path
from jaxloc.errors import UsageError
from jaxloc.report.records import Finding, Skipped, Stored, StoredImages

_TEXT, _INT, _NUMBER, _FLAG, _BYTES = pa.string(), pa.int32(), pa.float64(), pa.bool_(), pa.binary()
_CORNERS = ("x0", "y0", "x1", "y1")
SCHEMA = pa.schema(
    [
        *(("name", _TEXT), ("path", _TEXT), ("local", _FLAG), ("category", _TEXT), ("width", _INT), ("height", _INT)),
        *((corner, _NUMBER) for corner in _CORNERS),
        *(("score", _NUMBER), ("found", _FLAG), ("noise_score", _NUMBER), ("noisy", _FLAG)),
        *(("deviation", _BYTES), ("reason", _TEXT)),
        *(("heat", _BYTES), ("heat_rows", _INT), ("heat_columns", _INT), ("thumbnail", _BYTES), ("mask", _BYTES)),
        *(("parts", pa.list_(pa.list_(_NUMBER))), ("rank", _INT), ("class_name", _TEXT), ("probability", _NUMBER)),
        *(("point", pa.list_(_NUMBER)), ("passes", _INT), ("regions", pa.list_(pa.list_(_NUMBER)))),
        ("objects", pa.list_(pa.list_(_NUMBER))),
    ],
    metadata={"format": "jaxloc-findings-6"},
)
"""The columns: as in ``Finding`` and ``Skipped``; ``x0`` to ``y1``, ``heat`` and ``deviation`` (float16) are null if
missing, ``local`` says whether ``path`` is a file's, ``reason`` is why an image was skipped, or another image's
``note``. A file's metadata also has ``images``, the number of rows before those of skipped images."""

_HEAVY = ("deviation", "heat", "heat_rows", "heat_columns", "thumbnail")
_LIGHT = tuple(name for name in SCHEMA.names if name not in _HEAVY)
_SAME = (
    "name", "category", "width", "height", "score", "found", "noise_score", "noisy", "thumbnail", "mask", "parts",
    "rank", "class_name", "probability", "point", "passes", "regions", "objects",
)  # fmt: skip
"""Columns that hold an attribute of ``Finding`` as it is."""
_ROWS = 1024
"""Rows that are written and read at once."""

_Record = TypeVar("_Record", Finding, Skipped)


def write(path: str | os.PathLike[str], findings: Sequence[Finding], skipped: Sequence[Skipped]) -> None:
    """Write one shard in one step: readers see the old file or the new one, the same bytes for the same content."""
    schema = SCHEMA.with_metadata({**SCHEMA.metadata, "images": str(len(findings))})
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=["category", "reason"],
            write_statistics=list(_LIGHT),
            write_page_checksum=True,
        ) as writer,
    ):
        for rows in (map(_image_row, findings), map(dataclasses.asdict, skipped)):
            while some := list(itertools.islice(rows, _ROWS)):
                writer.write_table(pa.Table.from_pylist(some, schema=schema))


def _image_row(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(finding, name) for name in _SAME}
    row |= {"reason": finding.note, "path": str(finding.path), "local": isinstance(finding.path, Path)}
    if finding.box is not None:
        row |= zip(_CORNERS, finding.box, strict=True)
    if finding.deviation is not None:
        row["deviation"] = finding.deviation.astype(np.float16).tobytes()
    if finding.heat is not None:
        rows, columns = finding.heat.shape
        row |= {"heat": finding.heat.astype(np.int8).tobytes(), "heat_rows": rows, "heat_columns": columns}
    return row


def _finding(row: dict[str, Any]) -> Finding:
    corners, heat, deviation = tuple(row[name] for name in _CORNERS), row.get("heat"), row.get("deviation")
    values: dict[str, Any] = {name: row.get(name) for name in _SAME}
    values |= {
        "path": Path(row["path"]) if row["local"] else row["path"],
        "note": row["reason"],
        "box": None if corners[0] is None else corners,
        "deviation": None if deviation is None else np.frombuffer(deviation, np.float16),
        "heat": None if heat is None else np.frombuffer(heat, np.int8).reshape(row["heat_rows"], row["heat_columns"]),
        "parts": tuple(part and tuple(part) for part in row["parts"]),
        "point": row["point"] and tuple(row["point"]),
        "regions": tuple(map(tuple, row["regions"])),
        "objects": tuple(map(tuple, row["objects"])),
    }
    return Finding(**values)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[pq.ParquetFile, list[int], list[int]]]:
    """Open a shard; yield it with the numbers of the row groups of its images, and of its skipped images."""
    try:
        with open(path, "rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as shard:
            metadata = shard.metadata.metadata or {}
            if metadata.get(b"format") != SCHEMA.metadata[b"format"] or not shard.schema_arrow.equals(SCHEMA):
                raise ValueError("its columns are not those of findings")
            images = int(metadata[b"images"])
            groups = range(shard.num_row_groups)
            starts = [0, *itertools.accumulate(_count(shard, [group]) for group in groups)]
            if images not in starts:
                raise ValueError("its counts do not agree")
            border = starts.index(images)
            yield shard, list(groups[:border]), list(groups[border:])
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file: run the same command again") from error
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            reason = error.strerror
            raise UsageError(f"{path}: cannot be read ({reason}): mend that and run the same command again") from error
        reason = str(error).partition("\n")[0].rstrip(".")
        cure = "delete it and run the same command again"
        raise UsageError(f"{path}: not readable as findings ({reason}): {cure}") from error


def _images(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[Finding]:
    with _opened(path) as (shard, groups, _):
        yield from map(_finding, _rows(shard, groups, columns))


def _rows(shard: pq.ParquetFile, groups: list[int], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of row groups, with some of the columns."""
    missing = _count(shard, groups)
    for batch in _batches(shard, groups, columns):
        yield from batch.to_pylist()
        missing -= len(batch)
    if missing:
        raise ValueError("rows are missing")


def _batches(shard: pq.ParquetFile, groups: list[int], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if groups:  # pyarrow 18 and 19 take none for a mistake
        # Threads cost more than so few rows take to read.
        yield from shard.iter_batches(_ROWS, row_groups=groups, columns=columns, use_threads=False)


def _count(shard: pq.ParquetFile, groups: Iterable[int]) -> int:
    return sum(shard.metadata.row_group(group).num_rows for group in groups)


class _Sharded(Stored[_Record]):
    """Records of many shards as one sequence, whose length is read at once."""

    def __init__(self, files: Sequence[str | os.PathLike[str]]) -> None:
        counts = [self._count(path) for path in files]
        self._files = list(itertools.compress(files, counts))
        self._length = sum(counts)

    @abstractmethod
    def _count(self, path: str | os.PathLike[str]) -> int: ...

    @abstractmethod
    def _read(self, path: str | os.PathLike[str]) -> Iterator[_Record]: ...

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[_Record]:
        return itertools.chain.from_iterable(map(self._read, self._files))


class Images(_Sharded[Finding], StoredImages):
    """The images of many shards, as ``Findings`` takes them."""

    def light(self, *, deviations: bool = False) -> Iterator[Finding]:
        """Each image in order; heat maps, thumbnails and, unless asked for, deviations are not read and ``None``."""
        columns = (*_LIGHT, "deviation") if deviations else _LIGHT
        return itertools.chain.from_iterable(_images(path, columns) for path in self._files)

    def categories(self) -> set[str]:
        """The names of the image sets; nothing else is read."""
        found: set[str] = set()
        for path in self._files:
            with _opened(path) as (shard, groups, _):
                for batch in _batches(shard, groups, ["category"]):
                    found.update(batch["category"].unique().to_pylist())
        return found

    def _count(self, path: str | os.PathLike[str]) -> int:
        with _opened(path) as (shard, groups, _):
            return _count(shard, groups)

    def _read(self, path: str | os.PathLike[str]) -> Iterator[Finding]:
        return _images(path, SCHEMA.names)


class SkippedImages(_Sharded[Skipped]):
    """The skipped images of many shards, as ``Findings`` takes them."""

    def _count(self, path: str | os.PathLike[str]) -> int:
        with _opened(path) as (shard, _, groups):
            return _count(shard, groups)

    def _read(self, path: str | os.PathLike[str]) -> Iterator[Skipped]:
        with _opened(path) as (shard, _, groups):
            for row in _rows(shard, groups, ("name", "category", "reason")):
                yield Skipped(**row)
