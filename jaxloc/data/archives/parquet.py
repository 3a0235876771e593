"""Parquet files with a column of encoded images, as Hugging Face writes them; read by row group.

Reading is cheapest in stored order: one row group is read at a time, and a few are kept in memory.
"""

import collections
import dataclasses
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxloc.data import remote
from jaxloc.data.sources import Labels, Part, Record, compact
from jaxloc.errors import ImageError, UsageError

_IMAGES = ("image.bytes", "image", "bytes", "img.bytes", "img")
_NAMES = ("name", "path", "file_name", "image.path", "img.path")
_LABEL = "label"

_BYTES = ("binary", "large_binary", "binary_view")
_TEXT = ("string", "large_string", "string_view")
"""Types by their Arrow names; not every version of Arrow knows all."""


def _memory() -> int:
    """A sixteenth of the machine's memory, at most 1 GB; 256 MB if unknown."""
    try:
        return min(1 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16)
    except (AttributeError, ValueError, OSError):
        return 1 << 28


_MEMORY = _memory()
"""Bytes of row groups kept in memory; at least one is kept."""


@dataclasses.dataclass(frozen=True)
class ParquetRow(Record):
    """The image of one row, by its number in the file and that in its row group."""

    file: str
    column: str
    group: int
    row: int
    number: int
    archive_bytes: int | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}#{self.number:08}"

    def read(self) -> bytes:
        """Read the image, with its row group unless that is in memory."""
        value = remote.persist(self.file, lambda: _row_groups.get(self.file, self.group, self.column)[self.row]).as_py()
        if value is None:
            raise ImageError("its row holds no image")
        return value


class Parquet(Part):
    """The rows of one file. Indexing reads names and labels only.

    Names come from a column ``name``, ``path``, ``file_name`` or ``image.path`` if its values are distinct, else from
    row numbers. Labels come from a column ``label``.
    """

    def __init__(self, place: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.place = place
        _row_groups.forget(place)
        with remote.reaching(place), remote.open_file(place, ahead=False) as handle:
            self._bytes = handle.seek(0, os.SEEK_END)
            handle.seek(0)
            try:
                with pq.ParquetFile(handle) as file:
                    leaves = _leaves(file.schema_arrow)
                    self._column = _find(leaves, _IMAGES, _BYTES)
                    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                    self._names = _read_names(file, _find(leaves, _NAMES, _TEXT))
                    self.labels = _read_labels(file)
            except (pa.ArrowException, OSError) as error:
                reason = " ".join(str(error).split())
                raise UsageError(
                    f"{place}: truncated, or no Parquet file ({reason}): copy or write it again"
                ) from error
        if self._column is None:
            columns = ", ".join(f"{name} ({kind})" for name, kind in leaves.items() if "." not in name) or "none"
            raise UsageError(
                f"{place}: no column of encoded images: name it image, bytes or image.bytes, with values of type "
                f"binary; its columns: {columns}"
            )
        self._starts = np.cumsum([0, *counts])
        if not len(self):
            raise UsageError(f"{place}: holds no image: it has no rows")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, number: int) -> str:
        """Name of the row, or its number."""
        return self._names[number].as_py() if self._names else super().name(number)

    def path(self, number: int) -> ParquetRow:
        """Position of the row."""
        group = int(np.searchsorted(self._starts, number, side="right")) - 1
        row = number - int(self._starts[group])
        return ParquetRow(self.place, self._column or "", group, row, number, self._bytes)


def _leaves(schema: Any) -> dict[str, Any]:
    """Types of the columns; columns inside a struct by dotted names."""
    import pyarrow as pa

    found = {}
    for field in schema:
        found[field.name] = field.type
        if pa.types.is_struct(field.type):
            found |= {f"{field.name}.{inner.name}": inner.type for inner in field.type}
    return found


def _find(leaves: dict[str, Any], names: tuple[str, ...], types: tuple[str, ...]) -> str | None:
    """The first of these columns that holds, also by dictionary, values of one of these types."""
    import pyarrow as pa

    kinds = {name: str(kind.value_type if pa.types.is_dictionary(kind) else kind) for name, kind in leaves.items()}
    return next((name for name in names if kinds.get(name) in types), None)


def _read_names(file: Any, column: str | None) -> Any:
    names: dict[str, None] = {}
    for value in _values(file, column) if column else ():
        relative = "/".join(part for part in (value or "").split("/") if part not in ("", ".", ".."))
        if not relative or relative in names:
            return None
        names[relative] = None
    return compact(names) if names else None


def _read_labels(file: Any) -> Labels | None:
    if _LABEL not in file.schema_arrow.names:
        return None
    about = json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
    classes = about.get("info", {}).get("features", {}).get(_LABEL, {}).get("names")

    def text(value: Any) -> str | None:
        if value is None or (classes and value < 0):
            return None
        return classes[value] if classes else str(value)

    return Labels(text(value) for value in _values(file, _LABEL))


def _values(file: Any, column: str) -> Iterator[Any]:
    for group in range(file.metadata.num_row_groups):
        yield from _flat(file.read_row_group(group, columns=[column]), column).to_pylist()


def _flat(table: Any, column: str) -> Any:
    import pyarrow.compute as pc

    name, *inner = column.split(".")
    return pc.struct_field(table[name], inner) if inner else table[name]


class _RowGroups:
    """The row groups read last, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: collections.OrderedDict[tuple[str, int, str], Any] = collections.OrderedDict()

    def forget(self, place: str) -> None:
        """Drop a file that may have been written again."""
        with self._lock:
            self._known = collections.OrderedDict((key, kept) for key, kept in self._known.items() if key[0] != place)

    def get(self, place: str, group: int, column: str) -> Any:
        import pyarrow.parquet as pq

        key = (place, group, column)
        with self._lock:
            if key not in self._known:
                with remote.open_file(place, ahead=False) as handle, pq.ParquetFile(handle) as file:
                    self._known[key] = _flat(file.read_row_group(group, columns=[column]), column)
                while len(self._known) > 1 and sum(values.nbytes for values in self._known.values()) > _MEMORY:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]


_row_groups = _RowGroups()
