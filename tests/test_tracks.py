"""Tracks of boxes: what smoothing leaves alone, what it removes, and what it bridges."""

import itertools

import jax
import numpy as np
import pytest

from jaxloc import tracks
from tests.compiled import jitted

FRAMES = 40
SHORT = {"window": 5, "gap": 3, "sigma": 1.0}
"""One set of static options besides the defaults: each is another program."""


def smooth(boxes, found, *, threshold=3.0, tolerance=0.2, **options):
    return SMOOTH(boxes, found, threshold=np.float32(threshold), tolerance=np.float32(tolerance), **options)


SMOOTH = jitted(tracks.smooth)


def steady(frames: int = FRAMES, speed: float = 3.0) -> np.ndarray:
    """A box that moves to the right and grows, evenly."""
    t = np.arange(frames, dtype=np.float32)[:, None]
    return np.array([[50, 40, 110, 90]], np.float32) + t * np.array([[speed, 0.5, speed + 0.5, 1.0]], np.float32)


def shaky(seed: int = 0, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """A moving box with noise, some frames without one, and some outliers."""
    rng = np.random.default_rng(seed)
    boxes = steady(frames) + rng.normal(size=(frames, 4)).astype(np.float32) * 2
    boxes[rng.permutation(frames)[:3]] += 150
    return boxes, rng.random(frames) > 0.2


def all_found(frames: int = FRAMES) -> np.ndarray:
    return np.ones(frames, bool)


def without(*missing: int) -> np.ndarray:
    found = all_found()
    found[list(missing)] = False
    return found


def same(one: tracks.Track, other: tracks.Track, tolerance: float = 0) -> None:
    np.testing.assert_array_equal(one.found, other.found)
    np.testing.assert_array_equal(one.outliers, other.outliers)
    np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=tolerance)


def reference(boxes: np.ndarray, found: np.ndarray, *, window=7, threshold=3.0, tolerance=0.2, gap=5, sigma=2.0):
    """The same in plain float64 loops, with ``numpy.polyfit`` for the regression."""
    boxes, t = boxes.astype(np.float64), len(boxes)
    outliers = np.zeros(t, bool)
    for i in np.flatnonzero(found):
        near = [j for j in range(max(0, i - window // 2), min(t, i + window // 2 + 1)) if found[j]]
        middle = np.median(boxes[near], 0)
        spread = 1.4826 * np.median(np.abs(boxes[near] - middle), 0)
        side = np.tile(middle[2:] - middle[:2], 2)
        outliers[i] = (np.abs(boxes[i] - middle) > np.maximum(threshold * spread, tolerance * side)).any()
    kept = np.flatnonzero(found & ~outliers)
    filled = np.full((t, 4), np.nan)
    filled[kept] = boxes[kept]
    for a, b in itertools.pairwise(kept):
        if b - a - 1 <= gap:
            for i in range(a + 1, b):
                filled[i] = boxes[a] + (i - a) / (b - a) * (boxes[b] - boxes[a])
    there = ~np.isnan(filled[:, 0])
    result = filled.copy()
    for i in np.flatnonzero(there):
        left, right, radius = i, i, int(np.ceil(3 * sigma))
        while left > 0 and there[left - 1] and i - left < radius:
            left -= 1
        while right < t - 1 and there[right + 1] and right - i < radius:
            right += 1
        if left < right:
            steps = np.arange(left, right + 1) - i
            result[i] = np.polyfit(steps, filled[left : right + 1], 1, w=np.exp(-((steps / sigma) ** 2) / 4))[1]
    return result, there, outliers


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, SHORT, SHORT | {"threshold": 2.0}, {"gap": 0}])
def test_it_equals_plain_loops(seed, options):
    boxes, found = shaky(seed)
    result, (expected, there, outliers) = smooth(boxes, found, **options), reference(boxes, found, **options)
    np.testing.assert_array_equal(result.found, there)
    np.testing.assert_array_equal(result.outliers, outliers)
    np.testing.assert_allclose(result.boxes, expected, rtol=0, atol=2e-3)


def test_a_box_that_stays_is_left_exactly():
    boxes = np.tile(np.array([[10.3, 20.7, 50.1, 60.9]], np.float32), (FRAMES, 1))
    result = smooth(boxes, all_found())
    np.testing.assert_array_equal(result.boxes, boxes)
    assert result.found.all()
    assert not result.outliers.any()


@pytest.mark.parametrize("speed", [3.0, -7.0, 25.0])
def test_steady_motion_is_left_as_it_is_up_to_both_ends_and_across_gaps(speed):
    boxes = steady(speed=speed)
    for found in (all_found(), without(10, 11, 12, 20)):
        result = smooth(boxes, found)
        np.testing.assert_allclose(result.boxes, boxes, rtol=0, atol=1e-3)
        assert not result.outliers.any()


def test_noise_becomes_less_and_the_track_stays_where_it_is():
    truth = steady()
    boxes = truth + np.random.default_rng(0).normal(size=truth.shape).astype(np.float32) * 3
    result = smooth(boxes, all_found())
    assert np.abs(result.boxes - truth).mean() < 0.6 * np.abs(boxes - truth).mean()


@pytest.mark.parametrize("frame", [0, 1, 17, FRAMES - 1])
def test_a_single_outlier_leaves_no_trace(frame):
    boxes = steady()
    boxes[frame] = [300, 300, 320, 310]
    result = smooth(boxes, all_found())
    assert np.flatnonzero(result.outliers).tolist() == [frame]
    inside = result.found
    assert inside.sum() == (FRAMES if 0 < frame < FRAMES - 1 else FRAMES - 1)
    np.testing.assert_allclose(result.boxes[inside], steady()[inside], rtol=0, atol=1e-3)


def test_small_jumps_of_a_still_box_are_no_outliers():
    boxes = np.tile(np.array([[100, 100, 200, 200]], np.float32), (FRAMES, 1))
    boxes[12] += 16
    assert not smooth(boxes, all_found()).outliers.any()
    assert smooth(boxes, all_found(), tolerance=0.1).outliers[12]
    assert not smooth(boxes, all_found(), tolerance=0.0, window=1, sigma=0).outliers.any()


@pytest.mark.parametrize(("gap", "options"), [(0, {"gap": 0}), (3, SHORT), (5, {})])
def test_gaps_are_bridged_up_to_their_limit_and_no_further(gap, options):
    for missing in range(1, 8):
        found = without(*range(15, 15 + missing))
        result = smooth(steady(), found, **options)
        assert result.found[15 : 15 + missing].tolist() == [missing <= gap] * missing
        assert result.found[~np.isin(np.arange(FRAMES), range(15, 15 + missing))].all()
        np.testing.assert_array_equal(np.isnan(result.boxes).all(1), ~result.found)


def test_an_outlier_inside_a_gap_counts_to_its_length():
    boxes = steady()
    boxes[15] += 500
    assert smooth(boxes, without(16, 17), **SHORT).found[15:18].all()
    assert not smooth(boxes, without(16, 17, 18), **SHORT).found[15:19].any()


def test_nothing_is_made_up_before_the_first_box_and_after_the_last():
    found = without(*range(4), *range(36, FRAMES))
    assert np.flatnonzero(smooth(steady(), found).found).tolist() == list(range(4, 36))


def test_what_lies_beyond_a_long_gap_has_no_influence():
    boxes, found = steady(), without(*range(15, 25))
    moved = boxes.copy()
    moved[25:] += 1000
    np.testing.assert_array_equal(smooth(boxes, found).boxes[:15], smooth(moved, found).boxes[:15])


def test_without_smoothing_boxes_stay_and_gaps_are_straight():
    boxes, _ = shaky(1)
    result = smooth(boxes, without(10, 11), window=1, sigma=0)
    np.testing.assert_array_equal(np.delete(result.boxes, [10, 11], 0), np.delete(boxes, [10, 11], 0))
    np.testing.assert_allclose(result.boxes[10], boxes[9] + (boxes[12] - boxes[9]) / 3, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_moving_or_scaling_the_image_moves_or_scales_the_track(seed):
    boxes, found = shaky(seed)
    plain = smooth(boxes, found)
    shift = np.array([64, 32, 64, 32], np.float32)
    same(smooth(boxes + shift, found), plain._replace(boxes=plain.boxes + shift), tolerance=1e-3)
    same(smooth(boxes * 2, found), plain._replace(boxes=plain.boxes * 2))


@pytest.mark.parametrize("seed", range(3))
def test_backwards_in_time_is_the_same_backwards(seed):
    boxes, found = shaky(seed)
    forwards = smooth(boxes, found)
    backwards = smooth(boxes[::-1], found[::-1])
    same(tracks.Track(*(value[::-1] for value in backwards)), forwards, tolerance=1e-3)


def test_mirroring_the_image_mirrors_the_track():
    boxes, found = shaky(5)
    mirrored = np.stack([400 - boxes[:, 2], boxes[:, 1], 400 - boxes[:, 0], boxes[:, 3]], 1)
    result, plain = smooth(mirrored, found), smooth(boxes, found)
    expected = np.asarray(plain.boxes)[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [400, 0, 400, 0]
    np.testing.assert_allclose(result.boxes, expected, rtol=0, atol=1e-3)


def test_padding_changes_nothing_under_vmap():
    some = [shaky(seed) for seed in range(5)]
    lengths = np.array([FRAMES, 25, 0, 1, 2])
    boxes, found = np.stack([one for one, _ in some]), np.stack([one for _, one in some])
    padded = jitted(jax.vmap(lambda b, f, n: tracks.smooth(b, f, length=n)))(boxes, found, lengths)
    for number, length in enumerate(lengths):
        cut = tracks.Track(*reference(boxes[number, :length], found[number, :length]))
        same(tracks.Track(*(value[number, :length] for value in padded)), cut, tolerance=2e-3)
        assert not padded.found[number, length:].any()
        assert np.isnan(padded.boxes[number, length:]).all()


def test_values_that_are_not_finite_do_not_spread():
    boxes, found = shaky(3)
    bad = boxes.copy()
    bad[~found] = np.nan
    bad[7], marked = [np.inf, 0, 1, np.nan], found.copy()
    marked[7] = True
    unmarked = found.copy()
    unmarked[7] = False
    same(smooth(bad, marked), smooth(boxes, unmarked))


@pytest.mark.parametrize("found", [np.zeros(FRAMES, bool), np.eye(FRAMES, dtype=bool)[9]])
def test_no_box_stays_none_and_a_single_one_stays_itself(found):
    result = smooth(steady(), found)
    np.testing.assert_array_equal(result.found, found)
    np.testing.assert_array_equal(result.boxes[found], steady()[found])


@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_never_inside_out(seed):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.normal(size=(FRAMES, 2, 2)).astype(np.float32), axis=1)
    boxes = corners.reshape(FRAMES, 4) * np.array([1, 50, 1, 50], np.float32)
    result = smooth(boxes, rng.random(FRAMES) > 0.5, **SHORT)
    inside = result.boxes[result.found]
    assert (inside[:, :2] <= inside[:, 2:]).all()


@pytest.mark.parametrize(
    ("boxes", "found", "options", "message"),
    [
        (np.zeros((2, 5, 4)), np.ones((2, 5)), {}, r"boxes must be \[t, 4\] \(2 axes\).*jax\.vmap"),
        (np.zeros((5, 5)), np.ones(5), {}, r"boxes must be \[t, 4\], got shape \(5, 5\)"),
        (np.zeros((5, 4)), np.ones(4), {}, r"found must be \[5\], one flag per frame, got shape \(4,\)"),
        (np.zeros((5, 4)), np.ones(5), {"window": 4}, "window must be odd and 1 or more, got 4"),
        (np.zeros((5, 4)), np.ones(5), {"gap": -1}, "gap and sigma must be 0 or more, got -1 and 2.0"),
        (np.zeros((5, 4)), np.ones(5), {"sigma": np.inf}, "gap and sigma must be 0 or more, got 5 and inf"),
    ],
)
def test_wrong_arguments_are_named(boxes, found, options, message):
    with pytest.raises(ValueError, match=message):
        tracks.smooth(boxes, found, **options)
