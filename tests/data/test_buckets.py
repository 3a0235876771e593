"""Padded shapes for the sizes at hand: all of them fit, there are few, and little is padded."""

import numpy as np
import pytest

from jaxloc.data import Buckets, choose_buckets


def photographs(count: int, seed: int = 0) -> dict[tuple[int, int], int]:
    """Sizes as a folder from the web has them: some usual ones, many that are found once."""
    rng = np.random.default_rng(seed)
    sizes = {(375, 500): 40, (500, 375): 25, (333, 500): 20, (281, 500): 5}
    for rows, columns in rng.integers(100, 800, (count, 2)).tolist():
        sizes[rows, columns] = sizes.get((rows, columns), 0) + 1
    return sizes


def padding(sizes: dict[tuple[int, int], int], bucket) -> float:
    """Padded pixels for each pixel of the images."""
    padded = sum(count * np.prod(bucket(size)) for size, count in sizes.items())
    return padded / sum(count * np.prod(size) for size, count in sizes.items())


@pytest.mark.parametrize("count", [0, 1, 60])
@pytest.mark.parametrize("limit", [1, 2, 24])
@pytest.mark.parametrize("step", [8, 64])
def test_every_image_fits_and_there_are_no_more_shapes_than_allowed(count, limit, step):
    sizes = photographs(count)
    bucket = choose_buckets(sizes, limit=limit, step=step)
    shapes = {size: bucket(size) for size in sizes}
    assert len(set(shapes.values())) <= limit
    for (rows, columns), (bucket_rows, bucket_columns) in shapes.items():
        assert rows <= bucket_rows
        assert columns <= bucket_columns
        assert bucket_rows % step == bucket_columns % step == 0


def test_where_the_limit_allows_every_size_gets_its_own_multiple_of_the_step():
    sizes = {(16, 16): 1, (17, 100): 9, (300, 8): 1}
    bucket = choose_buckets(sizes, limit=3, step=8)
    assert [bucket(size) for size in sizes] == [(16, 16), (24, 104), (304, 8)]


def test_the_shapes_merged_are_those_that_add_the_least_padding():
    sizes = {(100, 100): 10, (104, 100): 10, (400, 400): 1}
    bucket = choose_buckets(sizes, limit=2, step=4)
    assert [bucket(size) for size in sizes] == [(104, 100), (104, 100), (400, 400)]


def test_a_size_of_many_images_is_padded_less_than_a_rare_one():
    sizes = {(200, 200): 1000, (240, 200): 1, (200, 296): 1}
    bucket = choose_buckets(sizes, limit=2, step=8)
    assert bucket((200, 200)) == (200, 200)


def test_wide_and_tall_images_do_not_share_a_square_without_need():
    bucket = choose_buckets({(300, 600): 5, (600, 300): 5}, limit=2, step=4)
    assert (bucket((300, 600)), bucket((600, 300))) == ((300, 600), (600, 300))


def test_more_shapes_mean_less_padding_and_a_dozen_pad_little():
    sizes = photographs(80)
    amounts = [padding(sizes, choose_buckets(sizes, limit=limit, step=8)) for limit in (1, 4, 12, 48)]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[2] < 1.5


def test_a_size_that_was_not_counted_gets_the_smallest_bucket_that_holds_it():
    bucket = choose_buckets({(100, 100): 1, (200, 200): 1, (104, 300): 1}, limit=3, step=4)
    assert bucket((90, 100)) == (100, 100)
    assert bucket((101, 150)) == (104, 300)
    assert bucket((150, 150)) == (200, 200)


def test_a_size_that_no_bucket_holds_gets_its_own():
    assert choose_buckets({(100, 100): 1}, limit=1, step=8)((301, 20)) == (384, 128)
    assert choose_buckets({}, limit=4, step=8)((17, 9)) == (128, 128)


def test_of_shapes_of_one_area_the_same_is_chosen_in_whatever_order_they_are_kept():
    shapes = {(64, 96): 1, (96, 64): 1, (48, 128): 1}
    for some in (shapes, dict(reversed(shapes.items())), dict(sorted(shapes.items()))):
        assert Buckets(some, 8)((40, 60)) == (48, 128)
        assert Buckets(some, 8)((60, 60)) == (64, 96)


def test_the_order_in_which_sizes_were_counted_changes_nothing():
    sizes = photographs(40)
    shuffled = dict(sorted(sizes.items(), reverse=True))
    one, other = (choose_buckets(counts, limit=6, step=8) for counts in (sizes, shuffled))
    assert [one(size) for size in sizes] == [other(size) for size in sizes]
    assert one.counts == other.counts


@pytest.mark.parametrize("count", [0, 1, 60])
@pytest.mark.parametrize("limit", [1, 6])
def test_every_image_is_counted_with_the_shape_it_gets(count, limit):
    sizes = photographs(count)
    buckets = choose_buckets(sizes, limit=limit, step=8)
    expected: dict[tuple[int, int], int] = {}
    for size, number in sizes.items():
        expected[buckets(size)] = expected.get(buckets(size), 0) + number
    assert buckets.counts == expected


def test_the_images_of_merged_shapes_are_counted_together():
    buckets = choose_buckets({(100, 100): 10, (104, 100): 7, (400, 400): 1}, limit=2, step=4)
    assert buckets.counts == {(104, 100): 17, (400, 400): 1}


@pytest.mark.parametrize("limit", [1, 6])
def test_padding_is_the_share_of_padded_pixels_that_no_image_fills(limit):
    sizes = photographs(40)
    buckets = choose_buckets(sizes, limit=limit, step=8)
    assert 1 / (1 - buckets.padding) == pytest.approx(padding(sizes, buckets))


def test_images_that_fill_their_shapes_have_no_padding():
    assert choose_buckets({(96, 128): 3, (128, 128): 5}, limit=2, step=8).padding == 0
    assert choose_buckets({}, limit=2, step=8).padding == 0
    assert choose_buckets({(96, 128): 1, (128, 128): 1}, limit=1, step=8).padding == pytest.approx(1 / 8)


def test_shapes_are_merged_where_compiling_takes_longer_than_computing_the_padding():
    sizes = {(96, 128): 3, (128, 128): 5, (400, 400): 2}
    added = 3 * 32 * 128
    for compilation, shapes in ((0, 3), (added, 3), (added + 1, 2), (1 << 40, 1)):
        buckets = choose_buckets(sizes, limit=12, step=8, compilation=compilation)
        assert len(buckets.counts) == shapes
        assert all(buckets(size)[side] >= size[side] for size in sizes for side in (0, 1))


def test_however_fast_compiling_is_there_are_no_more_shapes_than_allowed():
    assert len(choose_buckets(photographs(40), limit=5, step=8, compilation=1).counts) == 5


@pytest.mark.parametrize("long", [8000, 12000])
def test_extreme_shapes_do_not_make_one_that_is_as_wide_and_as_tall_as_any_however_long_compiling_takes(long):
    sizes = {(375, 500): 40, (800, long): 1, (long, 800): 1}
    buckets = choose_buckets(sizes, limit=12, step=32, compilation=1 << 32)
    assert max(map(np.prod, buckets.counts)) == 800 * long


def test_a_merged_shape_has_more_pixels_than_the_largest_only_if_it_has_no_more_than_one_of_the_two(
    monkeypatch,
):
    monkeypatch.setattr("jaxloc.data.buckets._LARGEST", 1000)
    sizes = {(64, 800): 1, (800, 64): 1, (32, 800): 1}
    buckets = choose_buckets(sizes, limit=3, step=8, compilation=1 << 40)
    assert buckets.counts == {(64, 800): 2, (800, 64): 1}


def test_where_only_too_large_shapes_are_left_to_merge_the_smallest_of_them_is_made(monkeypatch):
    monkeypatch.setattr("jaxloc.data.buckets._LARGEST", 1000)
    sizes = {(64, 800): 1, (72, 720): 1, (800, 64): 1000, (720, 72): 1000}
    options = {"limit": 3, "step": 8, "compilation": 1 << 40}
    assert choose_buckets(sizes, **options).counts == {(72, 800): 2, (800, 64): 1000, (720, 72): 1000}
    sizes = {(16, 400): 1, (24, 392): 1, (80, 80): 1, (88, 72): 1000}
    assert choose_buckets(sizes, **options).counts == {(16, 400): 1, (24, 392): 1, (88, 80): 1001}
