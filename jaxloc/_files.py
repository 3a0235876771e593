"""Writing files so that a kill, a full disk or a Ctrl-C never leaves half of one."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

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
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: readers see the old file or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step."""
    write_bytes(path, text.encode())


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file in one step, the same bytes for the same content.

    The library leaves the order of metadata to chance; offsets count from the end of the header, so the header can
    be put in order afterwards.

    Args:
        path: the file to write or replace.
        arrays: by name.
        metadata: text by name.
    """
    # The library writes an array's buffer as it lies, so one that is not in C order would be scrambled.
    ordered = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    data = memoryview(safetensors.numpy.save(ordered, dict(metadata)))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(bytes(data[8:end])), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.write(data[end:])
