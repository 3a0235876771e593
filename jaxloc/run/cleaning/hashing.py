"""Perceptual hashes of a collection, saved in shards, so that a killed run resumes after its last shard."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxloc._files import write_safetensors
from jaxloc.data import Source, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.duplicates import perceptual_hash
from jaxloc.errors import ImageError
from jaxloc.run.plan import Images
from jaxloc.run.progress import progress

SHARD = 1024
"""Number of images whose hashes are written together."""

_SHORTER_SIDE = 128
"""Pixels of the shorter side at which images are decoded: four times the side that the hash uses."""


def hash_images(images: Images, folder: Path, *, digest: str, workers: int) -> list[int | None]:
    """The hash of each image by its number; ``None`` for unreadable images.

    Args:
        images: the collection.
        folder: folder of the shards.
        digest: digest of the collection; shards of another collection are computed again.
        workers: number of decoding threads.
    """
    hashes: list[int | None] = []
    with progress("hashing", len(images)) as shown:
        for start in range(0, len(images), SHARD):
            numbers = range(start, min(start + SHARD, len(images)))
            path = folder / f"hashes-{start // SHARD:05d}.safetensors"
            kept = _read(path, digest, len(numbers))
            if kept is None:
                kept = []
                for one in read_ahead(_hash, map(images.__getitem__, numbers), workers=workers, ahead=2 * workers):
                    kept.append(one)
                    shown.update()
                _write(path, digest, kept)
            else:
                shown.update(len(kept))
            hashes += kept
    return hashes


def _hash(source: Source) -> int | None:
    try:
        return perceptual_hash(read_image(source.path, shorter_side=_SHORTER_SIDE).pixels)
    except ImageError:
        return None


def _write(path: Path, digest: str, hashes: list[int | None]) -> None:
    values = np.array([one or 0 for one in hashes], np.uint64)
    known = np.array([one is not None for one in hashes], np.uint8)
    write_safetensors(path, {"hashes": values, "known": known}, {"pictures": digest})


def _read(path: Path, digest: str, number: int) -> list[int | None] | None:
    """The hashes of a shard; ``None`` if it is missing, damaged or of other images."""
    try:
        with safe_open(path, "numpy") as file:
            if file.metadata() != {"pictures": digest}:
                return None
            hashes, known = file.get_tensor("hashes"), file.get_tensor("known")
    except (OSError, SafetensorError):
        return None
    if len(hashes) != number or len(known) != number:
        return None
    return [one if there else None for one, there in zip(hashes.tolist(), known.tolist(), strict=True)]
