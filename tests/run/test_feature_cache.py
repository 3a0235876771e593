"""Features on disk between the passes: the same bits back, never more than allowed, and a full disk is no failure."""

import errno
import os
import shutil
import tempfile
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc.data import Batch
from jaxloc.models import FeatureMap
from jaxloc.run.feature_cache import FeatureCache
from tests.run import helpers

SHAPE = (2, 8, 8, 16)
BYTES = int(np.prod(SHAPE)) * 4


def make(number: int, layers: tuple[str, ...] = ("relu5_3",), dtype: str = "float32"):
    """A batch of two images and its features."""
    rng = np.random.default_rng(number)
    batch = Batch(
        np.zeros((2, 128, 128, 3), np.uint8),
        np.full((2, 2), 128, np.int32),
        np.array([[300 + number, 400], [50, 60 + number]], np.int32),
        np.array([2 * number, 2 * number + 1]),
    )
    sizes = np.array([[8, 8], [3, 5]], np.int32)
    return batch, {layer: FeatureMap(jnp.asarray(rng.random(SHAPE), dtype), jnp.asarray(sizes)) for layer in layers}


def check(cache: FeatureCache, kept: list[tuple], part: int = 0) -> None:
    found = list(cache.batches(part))
    assert len(found) == len(kept)
    for (indices, original_sizes, maps), (batch, expected) in zip(found, kept, strict=True):
        np.testing.assert_array_equal(indices, batch.indices)
        np.testing.assert_array_equal(original_sizes, batch.original_sizes)
        assert list(maps) == list(expected)
        for layer, (features, size) in maps.items():
            assert features.dtype == expected[layer].features.dtype
            assert features.shape == expected[layer].features.shape
            assert np.asarray(features).tobytes() == np.asarray(expected[layer].features).tobytes()
            np.testing.assert_array_equal(size, expected[layer].size)


@pytest.mark.parametrize("layers", [("relu5_3",), ("relu5_3", "relu5_2")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_come_back_bit_for_bit_and_as_often_as_wanted(tmp_path, layers, dtype):
    batches = [make(number, layers, dtype) for number in range(4)]
    with FeatureCache(tmp_path, 1 << 20) as cache:
        for batch, maps in batches:
            assert cache.put(batch, maps)
        assert cache.indices() == set(range(8))
        check(cache, batches)
        check(cache, batches)


def test_features_can_be_kept_after_some_were_read(tmp_path):
    batches = [make(number) for number in range(3)]
    with FeatureCache(tmp_path, 1 << 20) as cache:
        for number, (batch, maps) in enumerate(batches):
            cache.put(batch, maps)
            check(cache, batches[: number + 1])


@pytest.mark.parametrize("limit", [0, 1, BYTES - 1, BYTES, 3 * BYTES - 1, 3 * BYTES])
def test_no_more_is_kept_than_allowed(tmp_path, limit):
    batches = [make(number) for number in range(5)]
    with FeatureCache(tmp_path, limit) as cache:
        assert [cache.put(*one) for one in batches] == [number < limit // BYTES for number in range(5)]
        check(cache, batches[: limit // BYTES])


def test_a_batch_that_does_not_fit_leaves_room_for_a_smaller_one(tmp_path):
    small, large = make(0), make(1, ("relu5_3", "relu5_2"))
    with FeatureCache(tmp_path, BYTES) as cache:
        assert not cache.put(*large)
        assert cache.put(*small)
        check(cache, [small])


def test_each_part_of_a_job_has_its_own(tmp_path):
    batches = [make(number) for number in range(4)]
    with FeatureCache(tmp_path, 1 << 20) as cache:
        for number, (batch, maps) in enumerate(batches):
            assert cache.put(batch, maps, number // 2)
        for part in (0, 1):
            assert part in cache
            assert cache.indices(part) == set(range(4 * part, 4 * part + 4))
            check(cache, batches[2 * part : 2 * part + 2], part)
        assert 2 not in cache
        assert cache.indices(2) == set()
        check(cache, [], 2)


def test_the_room_of_a_part_that_is_forgotten_is_used_again(tmp_path):
    first, second, other, small = make(0), make(1), make(2), make(3)
    with FeatureCache(tmp_path, 2 * BYTES) as cache:
        assert cache.put(*first, 0)
        assert cache.put(*second, 1)
        assert not cache.put(*other, 1)
        cache.forget(1)
        assert 1 not in cache
        check(cache, [first], 0)
        check(cache, [], 1)
        assert cache.put(*small, 2)
        check(cache, [first], 0)
        check(cache, [small], 2)
        assert not cache.put(*other, 2)


def test_a_part_of_several_layers_and_batches_is_forgotten_whole(tmp_path):
    layers = ("relu5_3", "relu5_2")
    kept = make(0, layers)
    with FeatureCache(tmp_path, 5 * 2 * BYTES) as cache:
        cache.put(*kept, 0)
        for _ in range(3):
            batches = [make(number, layers) for number in range(1, 5)]
            assert all(cache.put(*one, 1) for one in batches)
            assert not cache.put(*kept, 1)
            check(cache, batches, 1)
            cache.forget(1)
        check(cache, [kept], 0)


def test_to_forget_what_was_never_kept_changes_nothing(tmp_path):
    with FeatureCache(tmp_path, BYTES) as cache:
        cache.put(*make(0))
        cache.forget(7)
        check(cache, [make(0)])
        assert not cache.put(*make(1))


def test_everything_can_be_dropped_and_the_room_used_again(tmp_path):
    with FeatureCache(tmp_path, 2 * BYTES) as cache:
        for start in (0, 2, 4):
            for part in (0, 1):
                assert cache.put(*make(start + part), part)
            check(cache, [make(start)], 0)
            check(cache, [make(start + 1)], 1)
            cache.clear()
            assert 0 not in cache
            assert 1 not in cache


def test_nothing_is_left_in_the_folder_while_it_is_used_or_after(tmp_path):
    with FeatureCache(tmp_path, 1 << 20) as cache:
        cache.put(*make(0))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


# What is written is cut short at every kind of place: nothing, part of a batch, its end, within one layer of two.
@pytest.mark.parametrize("room", [0, 100, BYTES - 1, BYTES, BYTES + 1, BYTES + 4000, 2 * BYTES - 1, 3 * BYTES - 4097])
@pytest.mark.parametrize("layers", [("relu5_3",), ("relu5_3", "relu5_2")])
def test_a_disk_that_fills_up_keeps_what_was_whole_and_says_no_to_the_rest(tmp_path, layers, room):
    batches = [make(number, layers) for number in range(5)]
    kept = room // (BYTES * len(layers))
    with FeatureCache(tmp_path, 1 << 20) as cache:
        with helpers.file_size_limit(room):
            assert [cache.put(*one) for one in batches] == [number < kept for number in range(5)]
            check(cache, batches[:kept])
        assert not cache.put(*batches[4])
        check(cache, batches[:kept])


class _Failing:
    """A file whose writes fail once a number of bytes are in it."""

    def __init__(self, file, room: int, error: int) -> None:
        self.file, self.room, self.error = file, room, error

    def write(self, data) -> int:
        if self.file.tell() + len(data) > self.room:
            raise OSError(self.error, os.strerror(self.error))
        return self.file.write(data)

    def __getattr__(self, name: str):
        return getattr(self.file, name)


@pytest.fixture
def failing(monkeypatch):
    """Make temporary files fail: ``failing(room, error)``."""
    temporary_file = tempfile.TemporaryFile

    def fail(room: int, error: int) -> None:
        def make_file(*arguments, **options):
            return _Failing(temporary_file(*arguments, **options), room, error)

        monkeypatch.setattr(tempfile, "TemporaryFile", make_file)

    return fail


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_errors_that_mean_a_full_disk_end_the_keeping_only(tmp_path, failing, error):
    failing(2 * BYTES, error)
    batches = [make(number) for number in range(4)]
    with FeatureCache(tmp_path, 1 << 20) as cache:
        assert [cache.put(*one) for one in batches] == [True, True, False, False]
        check(cache, batches[:2])


@pytest.mark.parametrize(
    ("total", "reserve"), [(1 << 40, 1 << 30), (4 << 30, 1 << 30), (2 << 30, 1 << 29), (24 << 20, 6 << 20)]
)
def test_it_stops_growing_before_a_disk_is_full(tmp_path, monkeypatch, total, reserve):
    free = reserve + 2 * BYTES
    with FeatureCache(tmp_path, 1 << 20) as cache:
        kept = []
        for number in range(4):
            left = free - len(kept) * BYTES
            monkeypatch.setattr(shutil, "disk_usage", lambda folder, left=left: mock.Mock(total=total, free=left))
            if cache.put(*make(number)):
                kept.append(make(number))
        assert len(kept) == 2
        check(cache, kept)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: mock.Mock(total=total, free=total))
        assert cache.put(*make(4))  # room that others gave back is used


def size_on_disk(cache: FeatureCache) -> int:
    return os.fstat(cache._file.fileno()).st_size


def test_what_is_dropped_is_given_back_to_the_disk(tmp_path):
    with FeatureCache(tmp_path, 1 << 20) as cache:
        for number in range(4):
            cache.put(*make(number), number)
        assert size_on_disk(cache) == 4 * BYTES
        cache.forget(3)
        assert size_on_disk(cache) == 3 * BYTES
        cache.clear()
        assert size_on_disk(cache) == 0


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_results_that_do_not_fit_get_the_room_and_are_written_again(tmp_path, error):
    sizes = []

    def write():
        sizes.append(size_on_disk(cache))
        if sizes[-1]:
            raise OSError(error, os.strerror(error))

    with FeatureCache(tmp_path, 1 << 20) as cache:
        for number in range(2):
            cache.put(*make(number), number)
        cache.make_room(write)
        assert sizes == [2 * BYTES, 0]
        assert 0 not in cache
        assert 1 not in cache
        assert not cache.put(*make(2))


@pytest.mark.parametrize(("error", "kept"), [(errno.ENOSPC, 0), (errno.EIO, 2)])
def test_a_write_that_no_room_can_help_fails_as_it_does(tmp_path, error, kept):
    def write():
        calls.append(1)
        raise OSError(error, os.strerror(error))

    calls: list[int] = []
    with FeatureCache(tmp_path, 1 << 20) as cache:
        batches = [make(number) for number in range(kept)]
        for one in batches:
            cache.put(*one)
        with pytest.raises(OSError, match=os.strerror(error)):
            cache.make_room(write)
        assert len(calls) == 1
        check(cache, batches)


def test_a_write_that_fails_with_all_the_room_there_is_fails(tmp_path):
    def write():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with FeatureCache(tmp_path, 1 << 20) as cache:
        cache.put(*make(0))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            cache.make_room(write)


def test_any_other_error_of_the_disk_comes_out(tmp_path, failing):
    failing(2 * BYTES, errno.EIO)
    with FeatureCache(tmp_path, 1 << 20) as cache:
        assert cache.put(*make(0))
        assert cache.put(*make(1))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            cache.put(*make(2))
