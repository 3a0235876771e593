"""Writing files so that a kill, a full disk or a Ctrl-C never leaves half of one."""

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it becomes ``path`` when the block ends well, and vanishes otherwise.

    Args:
        path: the file to write or replace; missing parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # the system names no file where a write fails, and nobody knows the temporary
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: readers see the old file or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step."""
    write_bytes(path, text.encode())


def write_parts(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write texts one after another as UTF-8 to ``path`` in one step; only one part is held at a time."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file in one step, the same bytes for the same content.

    Args:
        path: the file to write or replace.
        arrays: by name.
        metadata: text by name.
    """
    write_safetensors_in_parts(path, [arrays], metadata)


def write_safetensors_in_parts(
    path: str | os.PathLike[str], parts: Iterable[Mapping[str, np.ndarray]], metadata: Mapping[str, str]
) -> None:
    """``write_safetensors`` of arrays that come in several mappings; only one of them is held at a time.

    The library leaves the order of metadata to chance; offsets count from the end of the header, so the header can
    be put in order afterwards.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    with atomic_path(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as body:
        for arrays in parts:
            # The library writes an array's buffer as it lies, so one that is not in C order would be scrambled.
            ordered = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
            data = memoryview(safetensors.numpy.save(ordered))
            end = 8 + int.from_bytes(data[:8], "little")
            start = body.tell()
            for name, entry in json.loads(bytes(data[8:end])).items():
                entries[name] = entry | {"data_offsets": [start + offset for offset in entry["data_offsets"]]}
            body.write(data[end:])
        header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        body.seek(0)
        with temporary.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            shutil.copyfileobj(body, file, 1 << 20)
