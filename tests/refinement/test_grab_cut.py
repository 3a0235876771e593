"""GrabCut from probabilities and a box."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jaxloc import refinement
from jaxloc.errors import UsageError

SHAPE = (40, 60)


@pytest.fixture(scope="module")
def scene():
    """A red disc on green, and probabilities of a rough square around it."""
    pytest.importorskip("cv2")
    y, x = np.indices(SHAPE)
    disc = np.hypot(y - 20, x - 30) < 12
    colours = np.where(disc[..., None], (200, 30, 30), (30, 160, 40))
    noise = np.random.default_rng(0).integers(-20, 21, (*SHAPE, 3))
    rough = np.where((abs(y - 20) < 11) & (abs(x - 30) < 11), 0.7, 0.2)
    return (colours + noise).astype(np.uint8), rough.astype(np.float32), disc


def test_the_object_is_cut_out(scene):
    image, rough, disc = scene
    found = refinement.grabcut(image, rough, (17, 7, 43, 33))
    assert found.dtype == bool
    assert (found == disc).mean() > 0.99


def test_nothing_outside_the_widened_box_is_object(scene):
    image, rough, _ = scene
    found = refinement.grabcut(image, rough, (22, 0, 60, 40), margin=0)
    assert found[20, 22]
    assert not found[:, :22].any()
    assert refinement.grabcut(image, rough, (22, 0, 60, 40), margin=0.05)[20, 21]


@pytest.mark.parametrize("box", [None, (np.nan,) * 4])
def test_without_a_box_the_whole_image_is_searched(scene, box):
    image, rough, disc = scene
    assert (refinement.grabcut(image, rough, box) == disc).mean() > 0.99


def test_sure_pixels_stay_object(scene):
    image, rough, _ = scene
    rough = rough.copy()
    rough[8:12, 20:24] = 0.99  # green, at a corner of the square
    assert refinement.grabcut(image, rough, (17, 7, 43, 33))[8:12, 20:24].all()
    assert not refinement.grabcut(image, rough, (17, 7, 43, 33), sure=1.0)[8:10, 20:22].any()


def test_every_thread_gives_the_same_mask(scene, cat):
    y, x = np.indices(cat.shape[:2])
    rough = np.clip(1.2 - np.hypot(y - 140, x - 220) / 200, 0.05, 0.9).astype(np.float32)
    small = cat[::4, ::4], rough[::4, ::4]
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(lambda _: refinement.grabcut(*small), range(8)))
    assert 0 < masks[0].mean() < 1
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize(("value", "expected"), [(0.1, False), (0.9, True), (0.5, False)])
def test_nothing_to_fit_colours_to(scene, value, expected):
    image = scene[0]
    assert (refinement.grabcut(image, np.full(SHAPE, value, np.float32)) == expected).all()
    one = refinement.grabcut(image[:1, :1], np.full((1, 1), value, np.float32))
    assert one.tolist() == [[expected]]


def test_wrong_arguments_are_refused(scene):
    image, rough, _ = scene
    with pytest.raises(ValueError, match=r"image must be RGB uint8 of the map's size \(40, 60\), got float64"):
        refinement.grabcut(image / 255, rough)
    with pytest.raises(ValueError, match=r"got uint8 of \(20, 60, 3\)"):
        refinement.grabcut(image[:20], rough)
    with pytest.raises(ValueError, match=r"box must be \[4\] \(x0, y0, x1, y1\), got shape \(2, 4\)"):
        refinement.grabcut(image, rough, np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"probabilities must be \[h, w\]"):
        refinement.grabcut(image, rough[None])


def test_missing_opencv_is_named_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"^--refine grabcut needs OpenCV: pip install 'jaxloc\[grabcut\]'$"):
        refinement.grabcut(np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4)))
