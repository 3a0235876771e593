"""Hashes and colours of a collection, saved in shards, so that a killed run resumes after its last shard."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxloc._files import write_safetensors
from jaxloc.data import Source, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.duplicates import COLOURS, Look, look_at
from jaxloc.errors import ImageError
from jaxloc.run.plan import Images
from jaxloc.run.progress import progress

SHARD = 1024
"""Number of images whose hashes are written together."""

SHORTER_SIDE = 128
"""Pixels of the shorter side at which images are decoded: four times the side that the hash uses."""


def hash_images(
    images: Images, folder: Path, *, digest: str, workers: int, how: Mapping[str, Any] | None = None
) -> list[Look | None]:
    """Hash and colours of each image by its number; ``None`` for unreadable images and for those without a shape.

    Shards in the folder are kept if they are of a collection with the same digest, read in the same way; ``how`` are
    further arguments of ``read_image``.
    """
    looks: list[Look | None] = []
    metadata = {"images": digest, "read": json.dumps(how or {}, sort_keys=True)}
    read = functools.partial(_look, how=how or {})
    with progress("hashing", len(images)) as shown:
        for start in range(0, len(images), SHARD):
            some = [images[number] for number in range(start, min(start + SHARD, len(images)))]
            path = folder / f"hashes-{start // SHARD:05d}.safetensors"
            kept = _read(path, metadata, len(some))
            shown.update(len(kept))
            if not kept:
                for one in read_ahead(read, some, workers=workers, ahead=2 * workers):
                    kept.append(one)
                    shown.update()
                _write(path, kept, metadata)
            looks += kept
    return looks


def _look(source: Source, how: Mapping[str, Any]) -> Look | None:
    try:
        return look_at(read_image(source.path, shorter_side=SHORTER_SIDE, **how).pixels)
    except ImageError:
        return None


def _write(path: Path, looks: Sequence[Look | None], metadata: Mapping[str, str]) -> None:
    blank = Look(0, bytes(COLOURS))
    known = [one or blank for one in looks]
    arrays: dict[str, np.ndarray] = {
        "hashes": np.array([one.hash for one in known], np.uint64),
        "colours": np.frombuffer(b"".join(one.colours for one in known), np.uint8).reshape(-1, COLOURS),
        "known": np.array([one is not None for one in looks], np.uint8),
    }
    write_safetensors(path, arrays, metadata)


def _read(path: Path, metadata: Mapping[str, str], number: int) -> list[Look | None]:
    """What a shard holds; nothing if it is missing, damaged, of other images, or read in another way."""
    try:
        with safe_open(path, "numpy") as file:
            hashes, colours, known = (file.get_tensor(name) for name in ("hashes", "colours", "known"))
            if (
                file.metadata() != metadata
                or colours.shape != (number, COLOURS)
                or not len(hashes) == len(known) == number
            ):
                return []
    except (OSError, SafetensorError):
        return []
    rows = zip(hashes.tolist(), colours, known.tolist(), strict=True)
    return [Look(one, own.tobytes()) if there else None for one, own, there in rows]
