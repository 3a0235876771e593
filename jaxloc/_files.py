"""Atomic writing of files: a kill, a full disk or Ctrl-C never leaves a partial file."""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import safetensors

from jaxloc.errors import UsageError

HALVES = ".*.????????.part"
"""Pattern of the names of files being written."""

_NAME, _PATH = 255, 1000
"""Maximum bytes of a file name, as in nearly all file systems, and of a relative path."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the block succeeds and is deleted otherwise."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the name of the file, which may have the maximum length.
    temporary = path.with_name(f".jaxloc.{secrets.token_hex(12)}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # name the file that the user knows
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Create a folder if needed; raise ``OSError`` unless files can be written to it."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".jaxloc-probe-{secrets.token_hex(4)}"
    probe.write_bytes(b"x")
    probe.unlink()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(text: str) -> str:
    """Sixteen hexadecimal digits that identify a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fitting_path(name: str, suffix: str) -> str:
    """Relative path for a name with forward slashes and a suffix, shortened to what file systems allow.

    A part that is too long is cut and ends with its digest; a path that is too long becomes its first part with a
    digest of the whole name.
    """
    *folders, last = name.split("/")
    path = "/".join([*(_fitting(part, "") for part in folders), _fitting(last, suffix)])
    return path if len(path.encode()) <= _PATH else _cut(name, suffix)


def _fitting(part: str, suffix: str) -> str:
    """A part of a path, cut if it is too long or holds a NUL."""
    return part + suffix if len((part + suffix).encode()) <= _NAME and "\0" not in part else _cut(part, suffix)


def _cut(text: str, suffix: str) -> str:
    end = f"~{digest(text)}{suffix}"
    start = text.partition("/")[0].replace("\0", "")
    return start.encode()[: _NAME - len(end.encode())].decode("utf-8", "ignore") + end


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


_FORMER = {"pictures": "images"}
"""Keys of files that earlier versions wrote, and what they are now."""


def renamed(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a file by their present keys."""
    return {_FORMER.get(key, key): value for key, value in kept.items()}


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` atomically, with backslash escapes for lone surrogates."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_parts(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write texts one after another as ``write_text`` does, with one in memory at a time."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(parts)


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file in one step, the same bytes for the same content."""
    write_safetensors_in_parts(path, [{name: Spec.of(array) for name, array in arrays.items()}], [arrays], metadata)


class Spec(NamedTuple):
    """What a file's header says of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: Any) -> Self:
        """The spec of an array on the host or a device."""
        return cls(np.dtype(array.dtype), tuple(array.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_safetensors_in_parts(
    path: str | os.PathLike[str],
    specs: Iterable[Mapping[str, Spec]],
    parts: Iterable[Mapping[str, np.ndarray]],
    metadata: Mapping[str, str],
) -> None:
    """``write_safetensors`` of arrays that come in several mappings; only one of them is held at a time.

    The library wants all arrays at once, and leaves the order of metadata to chance. The header comes first in the
    file, so the ``specs`` of each of the ``parts`` are asked for before the arrays, and every byte is written once.

    Raises:
        ValueError: the arrays are not those of the specs, or of a dtype that such files are not written with.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    expected: list[list[tuple[str, Spec]]] = []
    start = 0
    for some in specs:
        # Those of the largest numbers come first, so that each lies where its dtype may.
        expected.append(sorted(some.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
        for name, spec in expected[-1]:
            end = start + spec.nbytes
            if spec.dtype not in _NAMES:
                raise ValueError(f"{path}: {name}: arrays of {spec.dtype} are not written")
            entries[name] = {"dtype": _NAMES[spec.dtype], "shape": spec.shape, "data_offsets": [start, end]}
            start = end
    header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for wanted, arrays in zip(expected, parts, strict=True):
            if {name: Spec.of(array) for name, array in arrays.items()} != dict(wanted):
                raise ValueError(f"{path}: arrays other than expected: {', '.join(sorted(arrays))}")
            for name, _ in wanted:
                file.write(np.asarray(arrays[name], order="C").reshape(-1).view(np.uint8).data)


_DTYPES = {"BOOL": np.dtype(bool)} | {
    f"{code[0].upper()}{8 * int(code[1])}": np.dtype(code)
    for code in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
}
"""Dtypes by the names that a header gives them."""
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class StoredArrays:
    """The arrays of a safetensors file, each read on access.

    The library maps the file into memory and its pages stay there while it is open, or reads the header anew for each
    array; this does neither, however many arrays there are.

    Raises:
        safetensors.SafetensorError: it is none, or not whole.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        with safetensors.safe_open(path, "np"):
            pass  # the library has seen that the header is sound and the file as long as it says
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
        self.metadata: dict[str, str] = entries.pop("__metadata__", {})
        self._entries = {
            name: (entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
            for name, entry in entries.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> np.ndarray:
        """Read an array; ``ValueError`` if the file has become shorter."""
        dtype, shape, offset = self._entries[name]
        return np.fromfile(self._path, _DTYPES[dtype], math.prod(shape), offset=offset).reshape(shape)


@contextlib.contextmanager
def readable(path: str | os.PathLike[str], what: str, cure: str) -> Iterator[None]:
    """Turn what goes wrong while a safetensors file is read into a ``UsageError`` that says ``what`` and the cure."""
    try:
        yield
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: {what} ({error}): {cure}") from error
