"""The table beside a gallery's vectors: one Parquet file for each shard."""

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("name", pa.string()),
        pa.field("label", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("found", pa.bool_()),
        pa.field("box", pa.list_(pa.float32())),
        pa.field("bytes", pa.int64()),
        pa.field("checksum", pa.string()),
    ]
)


class Row(NamedTuple):
    """One image of a gallery.

    Attributes:
        path: the file, absolute.
        name: relative to what the user pointed at.
        label: its kind, or ``None`` if unknown.
        width: of the original image, in pixels.
        height: likewise.
        found: False if no cell was selected; a descriptor of selected cells is zero then, and ranks last.
        box: ``x0, y0, x1, y1`` of the object in pixels of the original, or ``None``.
        bytes: the file's size, or that of its archive.
        checksum: SHA-256 of the file.
    """

    path: str
    name: str
    label: str | None
    width: int
    height: int
    found: bool
    box: tuple[float, float, float, float] | None
    bytes: int
    checksum: str


class Table:
    """Rows kept as columns.

    Args:
        columns: with the schema of a gallery's table.
    """

    def __init__(self, columns: pa.Table) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return self._columns.num_rows

    @property
    def paths(self) -> list[str]:
        """Every image's path."""
        return self._columns["path"].to_pylist()

    @property
    def sizes(self) -> dict[str, int]:
        """Size in bytes by path."""
        return dict(zip(self.paths, self._columns["bytes"].to_pylist(), strict=True))

    @property
    def labels(self) -> np.ndarray:
        """Every image's label, as objects: text or ``None``."""
        return np.array(self._columns["label"].to_pylist(), object)

    @property
    def not_found(self) -> int:
        """Images in which nothing was selected."""
        return len(self) - (pc.sum(self._columns["found"]).as_py() or 0)

    def row(self, index: int) -> Row:
        """One row, by its place."""
        return _row(self._columns.slice(index, 1).to_pylist()[0])

    def rows(self) -> list[Row]:
        """All rows."""
        return [_row(values) for values in self._columns.to_pylist()]


def _row(values: dict[str, object]) -> Row:
    box = values["box"]
    return Row(**{**values, "box": None if box is None else tuple(box)})  # type: ignore[arg-type]


def to_bytes(rows: Sequence[Row]) -> bytes:
    """Rows as a Parquet file; the same rows give the same bytes."""
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=_SCHEMA)
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def from_bytes(data: bytes) -> Table:
    """Read what ``to_bytes`` wrote."""
    return Table(pq.read_table(io.BytesIO(data), schema=_SCHEMA))


def join(parts: Iterable[Table]) -> Table:
    """Several tables as one, in order."""
    return Table(pa.concat_tables([_SCHEMA.empty_table(), *(part._columns for part in parts)]))
