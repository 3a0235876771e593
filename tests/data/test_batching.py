"""How images are grouped: padded shapes, images per batch, order."""

import pytest

from jaxloc.data import Buckets
from jaxloc.data.batching import ACCELERATOR, CPU, sample


@pytest.mark.parametrize(
    ("batch", "count", "shape", "expected"),
    [
        (None, 1000, (128, 128), 32),
        (None, 127, (128, 128), 1),  # too few to compile a program for many at once
        (None, 128, (128, 128), 32),
        (None, 1000, (352, 504), 2),
        (None, 1000, (32, 32), 64),
        (None, 0, (128, 128), 1),
        (3, 100, (128, 128), 2),
        (1, 100, (128, 128), 1),
        (None, 1000, (1024, 512), 1),
        (None, 100, (4096, 4096), 1),
        (8, 100, (1024, 512), 8),  # asked for, so it may be large
    ],
)
def test_images_in_a_batch_follow_from_the_shape_and_how_many_there_are(batch, count, shape, expected):
    assert CPU.with_batch(batch).capacity(Buckets({shape: count}, 8), shape) == expected


def test_an_accelerator_always_gets_full_batches():
    assert ACCELERATOR.with_batch(16).capacity(Buckets({(128, 128): 1}, 8), (128, 128)) == 16


def test_images_are_ordered_by_bucket_then_by_number():
    buckets = Buckets({(8, 8): 2, (16, 16): 2}, 8)
    assert CPU.order([3, 5, 6, 9], [(9, 9), (8, 8), (16, 2), (1, 1)], buckets) == [5, 9, 3, 6]


def test_buckets_are_chosen_from_a_sample_and_count_all():
    assert list(sample(5)) == [0, 1, 2, 3, 4]
    assert len(sample(100_000)) <= 8192
    assert CPU.choose_buckets([(40, 40), (0, 0)], 10).counts == {(40, 40): 5}
    assert CPU.choose_buckets([], 0).counts == {}
