"""ArrayRecord files of encoded images, or of ``tf.train.Example`` messages that hold one."""

import dataclasses
import functools
import os
from typing import Any

from jaxloc.data import remote
from jaxloc.data.images import read_size
from jaxloc.data.sources import Labels, Part, Record
from jaxloc.errors import ImageError, UsageError

_IMAGES = ("image/encoded", "image", "image_raw", "encoded", "jpeg", "jpg", "png")
_LABELS = ("image/class/text", "label", "image/class/label", "class")
_OPTIONS = "readahead_buffer_size:0"
_READERS = 64
_DAMAGED = "Corrupted"
"""Start of Riegeli's message about a damaged record."""


@dataclasses.dataclass(frozen=True)
class ArrayRecordEntry(Record):
    """The image of one record, which is a ``tf.train.Example`` or the encoded image."""

    file: str
    number: int
    is_example: bool
    archive_bytes: int | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}#{self.number:08}"

    def read(self) -> bytes:
        """Read the image."""
        data = remote.persist(self.file, self._read)
        if not self.is_example:
            return data
        found = _find(_features(data), _IMAGES)
        if not isinstance(found, bytes):
            raise ImageError("its record holds no image")
        return found

    def _read(self) -> bytes:
        reader = _reader(self.file)
        if not reader.ok():
            raise remote.lost(self.file, "has become shorter since it was listed", "copy or write it again")
        data = _record(reader, self.number)
        if isinstance(data, RuntimeError):
            raise ImageError(f"cannot be read: {data}") from data
        return data


class ArrayRecords(Part):
    """The records of one local file, named by their numbers. The first whole record decides what they are."""

    def __init__(self, place: str) -> None:
        self.place = place
        if remote.is_remote(place):
            raise UsageError(
                f"{place}: ArrayRecord files are read from a local disk only: copy it, or mount the bucket"
            )
        self._count = count_records(place)
        self._bytes = os.stat(place).st_size
        if not self._count:
            raise UsageError(f"{place}: holds no image: it has no records")
        records = (_record(_reader(place), number) for number in range(self._count))
        first = next((data for data in records if isinstance(data, bytes)), None)
        if first is None:
            raise UsageError(f"{place}: holds no image: none of its records is whole: copy or write it again")
        self._is_example = read_size(first) is None
        if self._is_example:
            _check_example(place, first)

    def __len__(self) -> int:
        return self._count

    def path(self, number: int) -> ArrayRecordEntry:
        """Position of the record."""
        return ArrayRecordEntry(self.place, number, self._is_example, self._bytes)

    def find_labels(self) -> Labels | None:
        """The labels inside the examples; reads all records."""
        if self._is_example and self.labels is None:
            reader = _reader(self.place)
            records = (_record(reader, number) for number in range(self._count))
            self.labels = Labels(_label(data) if isinstance(data, bytes) else None for data in records)
        return self.labels


def count_records(place: str) -> int:
    """Number of records in a file; raises ``UsageError`` if it is missing, truncated or damaged."""
    with remote.reaching(place):
        remote.open_file(place).close()
        reader = _reader(place)
    if not reader.ok():
        raise UsageError(f"{place}: truncated, or no ArrayRecord file: copy or write it again")
    return reader.num_records()


def _record(reader: Any, number: int) -> bytes | RuntimeError:
    """One record, or what is wrong with it."""
    try:
        [data] = reader.read([number])
    except RuntimeError as error:
        if str(error).startswith(_DAMAGED):
            return error
        raise
    return data


def _reader(place: str) -> Any:
    """A thread-safe reader, opened again if the file was written since."""
    return _open(place, os.stat(place).st_mtime_ns)


@functools.lru_cache(_READERS)
def _open(place: str, modified: int) -> Any:
    try:
        from array_record.python import array_record_module
    except ImportError as error:
        raise UsageError(f"{place}: reading it needs array_record: pip install 'jaxloc[tfds]'") from error
    return array_record_module.ArrayRecordReader(place, options=_OPTIONS, file_reader_buffer_size=1 << 15)


def _features(data: bytes) -> Any:
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example.FromString(data).features.feature


def _check_example(place: str, data: bytes) -> None:
    try:
        features = _features(data)
    except ImportError as error:
        raise UsageError(
            f"{place}: its records are no images; if they are tf.train.Example messages, "
            "reading them needs tensorflow-datasets: pip install 'jaxloc[tfds]'"
        ) from error
    except Exception as error:  # an error of the protobuf package
        raise UsageError(f"{place}: holds no image: neither encoded images nor tf.train.Example messages") from error
    if not isinstance(_find(features, _IMAGES), bytes):
        keys = ", ".join(sorted(features)) or "none"
        raise UsageError(f"{place}: no feature of encoded images: name it image or image/encoded; it has: {keys}")


def _find(features: Any, names: tuple[str, ...]) -> bytes | int | None:
    """First value of the first of these features that exists."""
    for name in names:
        if name in features:
            values = features[name].bytes_list.value or features[name].int64_list.value
            if values:
                return values[0]
    return None


def _label(data: bytes) -> str | None:
    try:
        value = _find(_features(data), _LABELS)
    except Exception:  # a damaged record, an error of the protobuf package
        return None
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)
