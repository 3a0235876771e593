"""Perceptual hashes of a collection, saved in shards, so that a killed run resumes after its last shard."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxloc._files import IMAGES, write_safetensors
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

    Shards in the folder are kept if they are of a collection with the same digest.
    """
    hashes: list[int | None] = []
    with progress("hashing", len(images)) as shown:
        for start in range(0, len(images), SHARD):
            some = [images[number] for number in range(start, min(start + SHARD, len(images)))]
            path = folder / f"hashes-{start // SHARD:05d}.safetensors"
            kept = _read(path, digest, len(some))
            shown.update(len(kept))
            if not kept:
                for one in read_ahead(_hash, some, workers=workers, ahead=2 * workers):
                    kept.append(one)
                    shown.update()
                values = np.array([one or 0 for one in kept], np.uint64)
                known = np.array([one is not None for one in kept], np.uint8)
                write_safetensors(path, {"hashes": values, "known": known}, {IMAGES: digest})
            hashes += kept
    return hashes


def _hash(source: Source) -> int | None:
    try:
        return perceptual_hash(read_image(source.path, shorter_side=_SHORTER_SIDE).pixels)
    except ImageError:
        return None


def _read(path: Path, digest: str, number: int) -> list[int | None]:
    """The hashes of a shard; none if it is missing, damaged or of other images."""
    try:
        with safe_open(path, "numpy") as file:
            hashes, known = file.get_tensor("hashes").tolist(), file.get_tensor("known").tolist()
            if file.metadata() != {IMAGES: digest} or not len(hashes) == len(known) == number:
                return []
    except (OSError, SafetensorError):
        return []
    return [one if there else None for one, there in zip(hashes, known, strict=True)]
