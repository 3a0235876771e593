"""Padded batches: every image exactly once, few shapes, bounded size."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxloc.data import Batch, Item, make_batches, side_by_side


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
    """Each image is in one batch, with its own pixels, sizes and zeros around it."""
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


def several(count: int) -> Callable[[tuple[int, int]], int]:
    """So many images in a batch, whatever its shape."""
    return lambda shape: count


@pytest.mark.parametrize("capacity", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("singles", [0, 8])
def test_every_image_is_in_one_batch_with_zeros_around_it(capacity, singles):
    items = items_of(random_sizes(53))
    check(list(make_batches(items, bucket=multiples(8), capacity=several(capacity), singles=singles)), items)


def test_an_image_is_padded_to_its_bucket():
    for batch in make_batches(items_of(random_sizes(40)), bucket=lambda size: (40, 56), capacity=several(4)):
        assert batch.images.shape[1:] == (40, 56, 3)


@pytest.mark.parametrize("capacity", [1, 2, 4, 8, 128])
def test_every_batch_holds_its_capacity_so_that_one_program_serves_them_all(capacity):
    batches = make_batches(items_of([(8, 8)] * 13), bucket=multiples(8), capacity=several(capacity))
    assert {len(found.indices) for found in batches} == {capacity}


def test_the_last_batch_is_filled_up_with_entries_marked_as_such():
    first, last = make_batches(items_of([(8, 8)] * 6), bucket=multiples(8), capacity=several(4))
    assert first.indices.tolist() == [0, 1, 2, 3]
    assert last.indices.tolist() == [4, 5, -1, -1]


@pytest.mark.parametrize(("left", "counts"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (4, [4])])
def test_what_is_left_goes_one_by_one_where_a_full_batch_would_compute_more(left, counts):
    full, *rest = make_batches(items_of([(8, 8)] * (4 + left)), bucket=multiples(8), capacity=several(4), singles=8)
    assert len(full.indices) == 4
    assert [len(batch.indices) for batch in rest] == counts
    assert [number for batch in rest for number in batch.indices.tolist()] == list(range(4, 4 + left))


@pytest.mark.parametrize(("left", "counts"), [(6, [1] * 6), (7, [8])])
def test_a_batch_that_is_nearly_full_is_filled_up(left, counts):
    batches = list(make_batches(items_of([(8, 8)] * left), bucket=multiples(8), capacity=several(8), singles=8))
    assert [len(batch.indices) for batch in batches] == counts


def test_the_padded_shape_decides_how_many_images_are_in_a_batch():
    batches = make_batches(
        items_of([(9, 9)] * 4 + [(8, 8)] * 4),
        bucket=multiples(8),
        capacity=lambda shape: 512 // (shape[0] * shape[1]),
    )
    assert [batch.indices.tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5, 6, 7, -1, -1, -1, -1]]


def test_a_bucket_is_handed_out_as_soon_as_it_is_full():
    taken = []

    def source():
        for item in items_of([(8, 8), (16, 8), (8, 8), (16, 8), (8, 8)]):
            taken.append(item.number)
            yield item

    batches = make_batches(source(), bucket=multiples(8), capacity=several(2), singles=8)
    assert next(batches).indices.tolist() == [0, 2]
    assert taken == [0, 1, 2]
    assert next(batches).indices.tolist() == [1, 3]
    assert taken == [0, 1, 2, 3]
    assert [batch.indices.tolist() for batch in batches] == [[4]]


def test_rows_and_columns_are_not_confused():
    wide, tall = make_batches(
        items_of([(8, 24), (24, 8)]), bucket=multiples(8), capacity=lambda shape: 1 if shape == (8, 24) else 2
    )
    assert (wide.images.shape, tall.images.shape) == ((1, 8, 24, 3), (2, 24, 8, 3))


def test_the_same_images_give_the_same_batches():
    items = items_of(random_sizes(30))
    once, twice = (list(make_batches(items, bucket=multiples(8), capacity=several(4))) for _ in range(2))
    assert [batch.indices.tolist() for batch in once] == [batch.indices.tolist() for batch in twice]


def test_no_images_give_no_batches():
    assert list(make_batches([], bucket=multiples(8), capacity=several(4))) == []
    assert list(side_by_side([], 8)) == []


@pytest.mark.parametrize("devices", [1, 2, 3, 8])
@pytest.mark.parametrize("singles", [0, 8])
def test_side_by_side_every_device_gets_the_batches_that_one_alone_would_get(devices, singles):
    items = items_of(random_sizes(53))
    alone = list(make_batches(items, bucket=multiples(16), capacity=several(4), singles=singles))
    together = list(side_by_side(alone, devices))
    check(together, items)
    parts = []
    for batch in together:
        assert len(batch.indices) % devices == 0
        for values in zip(*(np.split(array, devices) for array in batch), strict=True):
            part = Batch(*values)
            if (part.indices >= 0).any():
                parts.append(part)
    assert len(parts) == len(alone)
    for part, batch in zip(parts, alone, strict=True):
        for found, expected in zip(part, batch, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_devices_that_no_batch_is_left_for_get_one_that_changes_nothing():
    (batch,) = side_by_side(make_batches(items_of([(8, 8)] * 3), bucket=multiples(8), capacity=several(2)), 4)
    assert batch.indices.tolist() == [0, 1, 2, -1, -1, -1, -1, -1]
    assert not batch.images[3:].any()
    assert not batch.sizes[3:].any()
