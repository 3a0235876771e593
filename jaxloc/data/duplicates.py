"""Near-duplicates among many images: those whose perceptual hashes differ in few bits, and whose colours are alike.

The hash is "pHash" (C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010): the grey
image is shrunk to 32 × 32, and each of its 64 lowest cosine coefficients gives a bit, set above their median. The bits
are those of the ``imagehash`` package, which would add PyWavelets for these four lines. Shrinking, compressing and
small changes of colour turn few bits; cropping and mirroring turn many. The hash does not tell colours apart, so the
mean luma and chroma of 4 × 4 fields are compared as well: no field may differ by more than 32 in luma or 16 in chroma,
of 256. An image whose grey hardly varies has no shape to compare and is no duplicate.

Pairs are found by the pigeonhole principle (G. Manku et al., "Detecting near-duplicates for web crawling", WWW 2007):
of two hashes that differ in at most ``bits`` bits, cut into ``bits + 2`` bands, at least two bands are equal, so only
hashes that share two bands are compared.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
from PIL import Image

BITS = 64
"""Bits of a hash."""
MOST_BITS = 10
"""Maximum distance of a pair; most pairs of unlike images are not much further apart."""

_FIELDS = 4
COLOURS = 3 * _FIELDS**2
"""Number of bytes that tell the colours of an image."""
_TOLERANCE = np.array([32, 16, 16])
"""Largest difference of the means of a field in Y, Cb and Cr."""
_FLAT = 2.0
"""Standard deviation of grey, of 256 levels, below which an image has no shape."""
_SIDE = 32
_LOW = 8


class Look(NamedTuple):
    """What two images are compared by: 64-bit hash, and the bytes of mean Y, Cb and Cr of 4 × 4 fields."""

    hash: int
    colours: bytes


def look_at(pixels: np.ndarray) -> Look | None:
    """What an image, uint8 RGB ``[h, w, 3]``, is compared by; ``None`` if its grey hardly varies."""
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    if grey.std() < _FLAT:
        return None
    low = scipy.fft.dctn(grey, type=2)[:_LOW, :_LOW].round(6)
    bits = np.packbits(low > np.median(low))
    fields = image.convert("YCbCr").resize((_FIELDS, _FIELDS), Image.Resampling.BOX)
    return Look(int.from_bytes(bits.tobytes(), "big"), np.asarray(fields).tobytes())


def near_pairs(hashes: np.ndarray, *, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of different hashes that differ in few bits.

    Args:
        hashes: uint64 ``[n]``, each different from the others.
        bits: maximum distance, from 0 to ``MOST_BITS``.

    Returns:
        indices of the first and the second of each pair, ascending, and their distances in bits.

    Raises:
        ValueError: ``bits`` is out of its range.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"bits must be from 0 to {MOST_BITS}, not {bits}")
    edges = np.linspace(0, BITS, bits + 3).round().astype(int).tolist()
    masks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    found = [_pairs_that_share(hashes, one | other, bits) for one, other in itertools.combinations(masks, 2)]
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1], pairs[:, 2]


def _pairs_that_share(hashes: np.ndarray, mask: int, bits: int) -> np.ndarray:
    """First, second and distance of the near pairs that agree in the bits of the mask."""
    keys = hashes & np.uint64(mask)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    found = [np.empty((0, 3), np.int64)]
    left, step = np.arange(len(keys)), 0
    while left.size:  # indices whose key is equal to the one `step` further on
        step += 1
        left = left[left + step < len(keys)]
        left = left[keys[left] == keys[left + step]]
        first, second = order[left], order[left + step]
        distance = np.bitwise_count(hashes[first] ^ hashes[second])
        near = distance <= bits
        pair = np.sort(np.stack([first[near], second[near]], axis=1), axis=1)
        found.append(np.concatenate([pair, distance[near, None]], axis=1).astype(np.int64))
    return np.concatenate(found)


def group_duplicates(looks: Sequence[Look | None], *, bits: int) -> list[tuple[int, int]]:
    """For each image the index of the image it duplicates, and their distance in bits.

    In order, each image becomes a duplicate of the nearest earlier image within ``bits`` bits and of like colours that
    is not itself a duplicate (the first of equally near ones). So there are no chains.

    Args:
        looks: of the images, the best first; ``None`` for an image that is left out.
        bits: maximum distance, from 0 to ``MOST_BITS``.

    Returns:
        index of the other image and the distance; its own index and 0 for an image that is no duplicate.
    """
    there = [(place, look) for place, look in enumerate(looks) if look is not None]
    different, owners = np.unique(np.array([look.hash for _, look in there], np.uint64), return_inverse=True)
    near: dict[int, list[tuple[int, int]]] = {}
    for one, other, distance in np.stack(near_pairs(different, bits=bits), axis=1).tolist():
        near.setdefault(one, []).append((distance, other))
        near.setdefault(other, []).append((distance, one))
    result = [(place, 0) for place in range(len(looks))]
    leaders: dict[int, list[int]] = {}  # of each hash, the images that are no duplicates
    colours: dict[int, list[bytes]] = {}
    for (place, look), owner in zip(there, owners.reshape(-1).tolist(), strict=True):
        found = [
            (distance, leaders[one][first])
            for distance, one in [(0, owner), *near.get(owner, ())]
            if one in leaders and (first := _first_alike(look.colours, colours[one])) is not None
        ]
        if found:
            distance, leader = min(found)
            result[place] = (leader, distance)
        else:
            leaders.setdefault(owner, []).append(place)
            colours.setdefault(owner, []).append(look.colours)
    return result


def _first_alike(colours: bytes, others: Sequence[bytes]) -> int | None:
    """Index of the first of the ``others`` whose colours are alike."""
    own, each = (
        np.frombuffer(some, np.uint8).reshape(-1, _FIELDS**2, 3).astype(int) for some in (colours, b"".join(others))
    )
    alike = (np.abs(each - own) <= _TOLERANCE).all((1, 2))
    return int(alike.argmax()) if alike.any() else None
