"""Perceptual hashes, and the search for those that are nearly the same."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from jaxloc.data.duplicates import (
    COLOURS,
    Look,
    group_duplicates,
    look_at,
    near_pairs,
)

# By the imagehash package, 4.3.2: phash(Image.fromarray(photograph)).
IMAGEHASH = {
    "chelsea": 0xB15FE6465121175E,
    "coffee": 0xBB8320376C0F3637,
    "astronaut": 0xC2924C5532BDDFC8,
    "rocket": 0xC0371BEC1BE51267,
}


def photograph(name: str) -> np.ndarray:
    return getattr(skimage.data, name)()


def looks(*hashes: int | None, colours: int = 0) -> list[Look | None]:
    """Images of these hashes, all of one colour."""
    return [None if one is None else Look(one, bytes([colours]) * COLOURS) for one in hashes]


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def brute_force(hashes: np.ndarray, bits: int) -> list[tuple[int, int, int]]:
    values = [int(one) for one in hashes]
    return [
        (i, j, apart(values[i], values[j]))
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if apart(values[i], values[j]) <= bits
    ]


@pytest.mark.parametrize("name", IMAGEHASH)
def test_hash_is_that_of_imagehash(name):
    assert look_at(photograph(name)).hash == IMAGEHASH[name]


def test_an_image_shrunk_compressed_or_brighter_stays_near_and_others_are_far():
    cat = Image.fromarray(photograph("chelsea"))
    saved = io.BytesIO()
    cat.resize((200, 133)).save(saved, "JPEG", quality=40)
    brighter = cat.point(lambda value: min(255, int(1.1 * value)))
    for changed in (Image.open(saved), brighter):
        assert apart(look_at(np.asarray(changed)).hash, IMAGEHASH["chelsea"]) <= 4
    others = [one for name, one in IMAGEHASH.items() if name != "chelsea"]
    assert all(apart(one, IMAGEHASH["chelsea"]) > 16 for one in others)


@pytest.mark.parametrize("bits", [0, 1, 4, 7, 10])
def test_near_pairs_are_those_of_comparing_all_with_all(bits):
    rng = np.random.default_rng(bits)
    hashes = rng.integers(0, 2**64, 60, dtype=np.uint64)
    planted = [hashes]
    for turned in (1, 3, 5, 8, 10, 11):
        masks = [sum(1 << int(bit) for bit in rng.choice(64, turned, replace=False)) for _ in range(20)]
        planted.append(hashes[:20] ^ np.array(masks, np.uint64))
    hashes = np.unique(np.concatenate(planted))
    found = near_pairs(hashes, bits=bits)
    expected = brute_force(hashes, bits)
    assert [tuple(row) for row in np.stack(found, axis=1).tolist()] == expected
    assert bool(expected) == (bits > 0)


@pytest.mark.parametrize("bits", [-1, 11])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits must be from 0 to 10, not {bits}"):
        near_pairs(np.zeros(1, np.uint64), bits=bits)


def test_every_duplicate_is_near_the_one_it_stands_behind():
    # Each is 3 bits from the one before: the third is 6 from the first, so it is one of its own.
    chain = [0b000000000, 0b000000111, 0b000111111, 0b111111111]
    assert group_duplicates(looks(*chain), bits=3) == [(0, 0), (0, 3), (2, 0), (2, 3)]


def test_the_nearest_is_chosen_and_of_equally_near_ones_the_first():
    assert group_duplicates(looks(0b0000, 0b11110000, 0b11100000), bits=3) == [(0, 0), (1, 0), (1, 1)]
    assert group_duplicates(looks(0b0000, 0b1111, 0b0011), bits=2) == [(0, 0), (1, 0), (0, 2)]


def test_equal_hashes_follow_their_first_and_none_takes_no_part():
    assert group_duplicates(looks(None, 9, None, 9, 8, 9), bits=0) == [(0, 0), (1, 0), (2, 0), (1, 0), (4, 0), (1, 0)]
    assert group_duplicates(looks(8, 9, 9), bits=1) == [(0, 0), (0, 1), (0, 1)]
    assert group_duplicates(looks(), bits=4) == []


def test_many_images_of_which_many_are_the_same():
    rng = np.random.default_rng(0)
    different = rng.integers(0, 2**64, 20_000, dtype=np.uint64).tolist()
    grouped = group_duplicates(looks(*different, *[different[7]] * 20_000, different[9] ^ 5), bits=4)
    assert grouped[20_000:] == [(7, 0)] * 20_000 + [(9, 2)]


def test_images_of_other_colours_are_no_duplicates():
    red, also_red, blue = looks(7, 6, colours=100)[0], *looks(6, colours=110), *looks(7, colours=130)
    assert group_duplicates([red, also_red, blue, *looks(7, colours=131)], bits=4) == [(0, 0), (0, 1), (2, 0), (2, 0)]
    assert group_duplicates([red, blue, *looks(6, colours=118)], bits=4) == [(0, 0), (1, 0), (1, 1)]


def drawn(colour: str, shift: int = 0) -> np.ndarray:
    """A shirt on white."""
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).rectangle((50 + shift, 40 + shift, 140 + shift, 170 + shift), fill=colour)
    ImageDraw.Draw(image).rectangle((20 + shift, 50 + shift, 180, 80 + shift), fill=colour)
    return np.asarray(image)


@pytest.mark.parametrize("other", ["blue", "green", "orange", "black", "darkred"])
def test_products_of_one_shape_and_several_colours_are_told_apart(other):
    found = [look_at(drawn("red")), look_at(drawn(other)), look_at(drawn("red", 1))]
    assert apart(found[0].hash, found[1].hash) <= 4
    assert [place for place, _ in group_duplicates(found, bits=4)] == [0, 1, 0]


def test_what_is_saved_smaller_or_brighter_stays_a_duplicate():
    cat = Image.fromarray(photograph("chelsea"))
    saved = io.BytesIO()
    cat.resize((200, 133)).save(saved, "JPEG", quality=40)
    changed = [np.asarray(Image.open(saved)), np.asarray(cat.point(lambda value: min(255, int(1.1 * value))))]
    found = group_duplicates([look_at(one) for one in (np.asarray(cat), *changed)], bits=4)
    assert [place for place, _ in found] == [0, 0, 0]


def test_images_without_a_shape_are_compared_with_nothing():
    rng = np.random.default_rng(0)
    white = np.full((60, 80, 3), 255, np.uint8)
    noisy = (white - rng.integers(0, 5, white.shape)).astype(np.uint8)
    assert [look_at(one) for one in (white, noisy, white // 2, white * 0)] == [None] * 4
