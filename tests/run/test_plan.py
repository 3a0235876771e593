"""Windows of sets, shards of images and padded shapes."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jaxloc.data import ImageSet, Source, batching
from jaxloc.run import Options, plan
from jaxloc.run.plan import Images, default_shard_size, make_windows, plan_buckets


def sets_of(lengths) -> list[ImageSet]:
    return [
        ImageSet(f"{which:03d}", [Source(Path(f"{which}/{number}"), f"{which}/{number}") for number in range(length)])
        for which, length in enumerate(lengths)
    ]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    together=st.integers(1, 14),
    size=st.none() | st.integers(1, 30),
    pooled=st.integers(0, 12),
)
def test_windows_and_shards_hold_every_set_and_image_once_and_in_order(lengths, together, size, pooled):
    images, pooled = Images(sets_of(lengths)), min(pooled, len(lengths))
    windows = make_windows(images, sets_together=together, shard_size=size, pooled=pooled)
    shards = [shard for window in windows for shard in window.shards]
    assert [window.number for window in windows] == list(range(len(windows)))
    assert [which for window in windows for which in window.sets] == list(range(len(lengths)))
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [number for shard in shards for number in shard.images] == list(range(sum(lengths)))
    fitted = [len(window.sets) for window in windows]
    fitted[-1] -= max(0, pooled - 1)
    assert max(fitted) <= together
    assert windows[-1].sets.start <= len(lengths) - pooled
    assert max(len(shard.images) for shard in shards) <= (size or default_shard_size(sum(lengths)))
    for window in windows:
        own = {images.set_of(number) for shard in window.shards for number in shard.images}
        assert own == set(window.sets)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_images_are_those_of_the_sets_one_after_another(lengths):
    sets = sets_of(lengths)
    photos = Images(sets)
    assert list(photos) == [source for images in sets for source in images.sources]
    for which, images in enumerate(sets):
        numbers = range(photos.starts[which], photos.starts[which + 1])
        assert [photos[number] for number in numbers] == list(images.sources)
        assert {photos.set_of(number) for number in numbers} == {which}
    with pytest.raises(IndexError):
        photos[len(photos)]


@pytest.mark.parametrize(
    ("images", "size"), [(1, 64), (1024, 64), (1025, 128), (16_384, 1024), (20_000, 1024), (40_000_000, 1024)]
)
def test_a_run_is_cut_into_about_sixteen_shards_within_limits(images, size):
    assert default_shard_size(images) == size


@pytest.fixture
def engine():
    rules = dataclasses.replace(batching.CPU, shapes=4, step=8, compilation=0)
    return SimpleNamespace(minimum_side=16, batching=rules)


@pytest.fixture
def sources(tmp_path):
    """Twelve images of three shapes, one that is too small and one that is none."""
    made = []
    for number in range(14):
        path = tmp_path / f"{number:02d}.png"
        Image.new("RGB", [(64, 48), (48, 64), (40, 40)][number % 3] if number != 12 else (90, 15)).save(path)
        made.append(Source(path, path.name))
    made[13].path.write_bytes(b"none")
    return made


def test_padded_shapes_are_chosen_from_the_sizes_of_all_images(engine, sources):
    buckets, _ = plan_buckets(sources, engine, Options())
    assert dict(buckets.counts) == {(48, 64): 4, (64, 48): 4, (40, 40): 4}


def test_of_many_images_a_sample_is_looked_at_and_counted_for_all(engine, sources, monkeypatch):
    monkeypatch.setattr(batching, "_SAMPLE", 7)
    looked = []
    read_size = plan.read_size
    monkeypatch.setattr(plan, "read_size", lambda path, **options: (looked.append(path), read_size(path, **options))[1])
    buckets, sizes = plan_buckets(sources, engine, Options())
    assert len(looked) == 7
    assert [bool(size.any()) for size in sizes] == [number % 2 == 0 and number != 12 for number in range(14)]
    assert sum(buckets.counts.values()) == 12
    assert set(buckets.counts) == {(48, 64), (64, 48), (40, 40)}


def test_sizes_of_images_that_cannot_be_used_are_zero(engine, sources):
    sizes = plan.look_at_sizes(sources[11:], engine, Options())
    np.testing.assert_array_equal(sizes, [[40, 40], [0, 0], [0, 0]])


def test_shapes_come_back_from_json(engine, sources):
    buckets, _ = plan_buckets(sources, engine, Options())
    again = plan.buckets_from_json(plan.buckets_to_json(buckets))
    assert again.counts == buckets.counts
    assert again.step == buckets.step
    assert again((41, 40)) == buckets((41, 40)) == (48, 64)
