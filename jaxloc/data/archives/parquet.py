"""Parquet files with a column of encoded images, as Hugging Face writes them; read by row group.

Reading is cheapest in stored order: one row group is read at a time, and a few are kept in memory.
"""

import collections
import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxloc.data import remote
from jaxloc.data.formats import starts_as_image
from jaxloc.data.sources import Labels, Part, Record, compact
from jaxloc.errors import ImageError, UsageError

_IMAGES = ("image.bytes", "image", "bytes", "img.bytes", "img")
_NAMES = ("name", "path", "file_name", "image.path", "img.path")
_LABELS = ("label", "labels", "class", "category", "target", "cls")


class Columns(NamedTuple):
    """Columns of images and of labels that were asked for."""

    image: str | None = None
    label: str | None = None


FOUND = Columns()
"""Those that are found by name, metadata or content."""

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

    Images come from a column ``image``, ``bytes`` or ``img``, else from the first that Hugging Face's metadata calls
    images, else from the first whose values start as images do. Names come from a column ``name``, ``path``,
    ``file_name`` or ``path`` of the images if its values are distinct, else from row numbers. Labels come from a column
    ``label``, else from the first that the metadata calls classes, else from ``labels``, ``class`` and the like.

    ``columns`` are those of images and of labels, to take others.
    """

    def __init__(self, place: str, columns: Columns = FOUND) -> None:
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
                    about = _about(file)
                    self._column = _image_column(file, leaves, about, columns.image)
                    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                    inside = (self._column or "").removesuffix(".bytes")
                    self._names = _read_names(file, _find(leaves, (*_NAMES, f"{inside}.path"), _TEXT))
                    label = _label_column(leaves, about, columns.label)
                    self.labels = None if label is None else _read_labels(file, label, about)
            except (pa.ArrowException, OSError) as error:
                reason = " ".join(str(error).split())
                raise UsageError(
                    f"{place}: truncated, or no Parquet file ({reason}): copy or write it again"
                ) from error
        if self._column is None:
            wanted = f"no column {columns.image}" if columns.image else "no column"
            raise UsageError(
                f"{place}: {wanted} of encoded images, with values of type binary or a struct with a field bytes: name "
                f"another (--image-column); its columns: {_listed(leaves)}"
            )
        if columns.label is not None and self.labels is None:
            raise UsageError(f"{place}: no column {columns.label} of labels; its columns: {_listed(leaves)}")
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


def _listed(leaves: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in leaves.items() if "." not in name) or "none"


def _about(file: Any) -> dict[str, dict[str, Any]]:
    """What Hugging Face's metadata says of the columns."""
    about = json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
    features = about.get("info", {}).get("features", {})
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _image_column(file: Any, leaves: dict[str, Any], about: dict[str, dict[str, Any]], asked: str | None) -> str | None:
    def both(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(place for name in names for place in (f"{name}.bytes", name))

    if asked is not None:
        return _find(leaves, both([asked]), _BYTES)
    said = both(name for name, feature in about.items() if feature.get("_type") == "Image")
    known = _find(leaves, _IMAGES, _BYTES) or _find(leaves, said, _BYTES)
    others = (name for name in leaves if _find(leaves, (name,), _BYTES))
    return known or next((name for name in others if _starts_as_image(file, name)), None)


def _starts_as_image(file: Any, column: str) -> bool:
    batches = file.iter_batches(batch_size=1, columns=[column])
    table = next(batches, None)
    value = None if table is None or not table.num_rows else _flat(table, column)[0].as_py()
    return isinstance(value, bytes) and starts_as_image(value[:512])


def _label_column(leaves: dict[str, Any], about: dict[str, dict[str, Any]], asked: str | None) -> str | None:
    said = [name for name, feature in about.items() if feature.get("_type") == "ClassLabel"]
    wanted = [asked] if asked is not None else [_LABELS[0], *said, *_LABELS[1:]]
    plain = (*_TEXT, "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
    return _find(leaves, tuple(wanted), plain)


def _read_labels(file: Any, column: str, about: dict[str, dict[str, Any]]) -> Labels:
    classes = about.get(column, {}).get("names")

    def text(value: Any) -> str | None:
        if value is None or (classes and value < 0):
            return None
        return classes[value] if classes else str(value)

    return Labels(text(value) for value in _values(file, column))


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
