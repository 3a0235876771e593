"""Near-duplicates among many images: perceptual hashes, and the pairs that differ in few bits.

The hash is "pHash" (C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010): the grey
image is shrunk to 32 × 32, and each of its 64 lowest cosine coefficients gives a bit, set above their median. The bits
are those of the ``imagehash`` package, which would add PyWavelets for these four lines. Shrinking, compressing and
small changes of colour turn few bits; cropping and mirroring turn many.

Pairs are found by the pigeonhole principle (G. Manku et al., "Detecting near-duplicates for web crawling", WWW 2007):
of two hashes that differ in at most ``bits`` bits, cut into ``bits + 2`` bands, at least two bands are equal, so only
hashes that share two bands are compared.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.fft
from PIL import Image

BITS = 64
"""Bits of a hash."""
MOST_BITS = 10
"""Maximum distance of a pair; most pairs of unlike images are not much further apart."""

_SIDE = 32
_LOW = 8
_ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


def perceptual_hash(pixels: np.ndarray) -> int:
    """64-bit hash of an image.

    Args:
        pixels: uint8 ``[h, w, 3]``, RGB.

    Raises:
        ValueError: ``pixels`` is not one RGB image of bytes.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels must be uint8 [h, w, 3], got {pixels.dtype} of shape {pixels.shape}")
    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    # Rounded: the bits of an image of one colour must not depend on the last digit.
    low = scipy.fft.dctn(np.asarray(grey, np.float64), type=2)[:_LOW, :_LOW].round(6)
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def hamming_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number of bits that differ, uint8 ``[n]``, of hashes uint64 ``[n]``."""
    return _ONES[(first ^ second).view(np.uint16).reshape(-1, BITS // 16)].sum(axis=1, dtype=np.uint8)


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
        distance = hamming_distance(hashes[first], hashes[second])
        near = distance <= bits
        pair = np.sort(np.stack([first[near], second[near]], axis=1), axis=1)
        found.append(np.concatenate([pair, distance[near, None]], axis=1).astype(np.int64))
    return np.concatenate(found)


def group_duplicates(hashes: Sequence[int | None], *, bits: int) -> list[tuple[int, int]]:
    """For each image the index of the image it duplicates, and their distance in bits.

    In order, each image becomes a duplicate of the nearest earlier image within ``bits`` bits that is not itself a
    duplicate (the first of equally near ones). So there are no chains.

    Args:
        hashes: of the images, the best first; ``None`` for an image that is left out.
        bits: maximum distance, from 0 to ``MOST_BITS``.

    Returns:
        index of the other image and the distance; its own index and 0 for an image that is no duplicate.
    """
    places = [place for place, one in enumerate(hashes) if one is not None]
    values = np.array([hashes[place] for place in places], np.uint64)
    different, owners = np.unique(values, return_inverse=True)
    # Where each different hash appears first: its later images share the result of that one.
    first = np.full(len(different), len(hashes), np.int64)
    np.minimum.at(first, owners.reshape(-1), np.array(places, np.int64))
    neighbours: dict[int, list[tuple[int, int]]] = {}
    for one, other, distance in zip(*near_pairs(different, bits=bits), strict=True):
        before, after = sorted((int(first[one]), int(first[other])))
        neighbours.setdefault(after, []).append((int(distance), before))
    result = [(place, 0) for place in range(len(hashes))]
    for place, owner in zip(places, owners.reshape(-1).tolist(), strict=True):
        start = int(first[owner])
        if place != start:
            result[place] = result[start] if result[start][0] != start else (start, 0)
            continue
        leaders = [(distance, other) for distance, other in neighbours.get(place, ()) if result[other][0] == other]
        if leaders:
            distance, other = min(leaders)
            result[place] = (other, distance)
    return result
