"""Padded batches: every picture exactly once, few shapes, bounded size."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxloc.data import Batch, Item, make_batches


def multiples(step: int) -> Callable[[tuple[int, int]], tuple[int, int]]:
    """Buckets whose sides are multiples of ``step``."""
    return lambda size: (-(-size[0] // step) * step, -(-size[1] // step) * step)


def items_of(sizes: list[tuple[int, int]]) -> list[Item]:
    rng = np.random.default_rng(0)
    return [
        Item(number, rng.integers(1, 256, (*size, 3), np.uint8), (size[0] * 3, size[1] * 2 + number))
        for number, size in enumerate(sizes)
    ]


def random_sizes(count: int) -> list[tuple[int, int]]:
    return [(int(h), int(w)) for h, w in np.random.default_rng(1).integers(1, 40, (count, 2))]


def check(batches: list[Batch], items: list[Item]) -> None:
    """Each picture is in one batch, with its own pixels, sizes and zeros around it."""
    by_number = {item.number: item for item in items}
    for batch in batches:
        assert batch.images.dtype == np.uint8
        assert batch.sizes.dtype == batch.original_sizes.dtype == np.int32
        assert batch.indices.dtype == np.int64
        for image, size, original, number in zip(*batch, strict=True):
            if number < 0:
                assert not image.any()
                assert not size.any()
                assert (original > 0).all()
                continue
            item = by_number.pop(int(number))
            rows, columns = item.pixels.shape[:2]
            assert tuple(size) == (rows, columns)
            assert tuple(original) == item.original_size
            np.testing.assert_array_equal(image[:rows, :columns], item.pixels)
            assert not image[rows:].any()
            assert not image[:, columns:].any()
    assert not by_number


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("pixels", [1, 2000, 1 << 20])
def test_every_picture_is_in_one_batch_with_zeros_around_it(batch, pixels):
    items = items_of(random_sizes(53))
    check(list(make_batches(items, batch=batch, bucket=multiples(8), pixels=pixels)), items)


def test_a_picture_is_padded_to_its_bucket():
    for batch in make_batches(items_of(random_sizes(40)), bucket=lambda size: (40, 56), batch=4, pixels=1 << 20):
        assert batch.images.shape[1:] == (40, 56, 3)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 100])
def test_batches_hold_powers_of_two_and_no_more_than_asked_for(batch):
    batches = make_batches(items_of([(8, 8)] * 13), batch=batch, bucket=multiples(8), pixels=1 << 20)
    counts = {len(found.indices) for found in batches}
    assert all(count & (count - 1) == 0 for count in counts)
    assert max(counts) <= batch


def test_the_last_batch_is_filled_to_a_power_of_two_with_entries_marked_as_such():
    first, last = make_batches(items_of([(8, 8)] * 7), batch=4, bucket=multiples(8), pixels=1 << 20)
    assert first.indices.tolist() == [0, 1, 2, 3]
    assert last.indices.tolist() == [4, 5, 6, -1]


@pytest.mark.parametrize(("pixels", "expected"), [(64 * 8, 8), (64 * 4, 4), (64 * 4 - 1, 2), (64, 1), (1, 1)])
def test_a_batch_holds_no_more_pixels_than_allowed_but_at_least_one_picture(pixels, expected):
    batches = list(make_batches(items_of([(8, 8)] * 16), batch=8, bucket=multiples(8), pixels=pixels))
    assert [len(batch.indices) for batch in batches] == [expected] * (16 // expected)


def test_padding_counts_towards_the_pixels_allowed():
    batches = list(make_batches(items_of([(9, 9)] * 4), batch=4, bucket=multiples(8), pixels=16 * 16 * 2))
    assert [len(batch.indices) for batch in batches] == [2, 2]


def test_a_bucket_is_handed_out_as_soon_as_it_is_full():
    taken = []

    def source():
        for item in items_of([(8, 8), (16, 8), (8, 8), (16, 8), (8, 8)]):
            taken.append(item.number)
            yield item

    batches = make_batches(source(), batch=2, bucket=multiples(8), pixels=1 << 20)
    assert next(batches).indices.tolist() == [0, 2]
    assert taken == [0, 1, 2]
    assert next(batches).indices.tolist() == [1, 3]
    assert taken == [0, 1, 2, 3]
    assert [batch.indices.tolist() for batch in batches] == [[4]]


def test_rows_and_columns_are_not_confused():
    wide, tall = make_batches(items_of([(8, 24), (24, 8)]), batch=2, bucket=multiples(8), pixels=1 << 20)
    assert {wide.images.shape, tall.images.shape} == {(1, 8, 24, 3), (1, 24, 8, 3)}


def test_the_same_pictures_give_the_same_batches():
    items = items_of(random_sizes(30))
    once, twice = (list(make_batches(items, batch=4, bucket=multiples(8), pixels=1 << 20)) for _ in range(2))
    assert [batch.indices.tolist() for batch in once] == [batch.indices.tolist() for batch in twice]


def test_no_pictures_give_no_batches():
    assert list(make_batches([], batch=4, bucket=multiples(8), pixels=1 << 20)) == []
