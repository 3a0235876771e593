"""Masks of an image's own pixels, for images of any size, from many threads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data

from jaxloc import components, grids
from jaxloc.errors import UsageError
from jaxloc.refiners import REFINEMENTS, Refinement
from jaxloc.run.refining import RefinedMask, Refiner, whole_cells
from tests.soaked import soaked

METHODS = list(REFINEMENTS)


@pytest.fixture(scope="module")
def refiners():
    """One of each method, so that each shape is compiled for once."""
    pytest.importorskip("cv2")
    return {name: Refiner(name, side=128) for name in REFINEMENTS}


@pytest.fixture(scope="module")
def cup():
    """A cup of coffee, uint8 ``[400, 600, 3]``, and a rough map of the cup with a threshold of 2."""
    y, x = np.indices((25, 37))
    response = 3.3 - np.hypot((y - 11) / 8, (x - 18) / 11)
    return skimage.data.coffee(), response.astype(np.float32)


def refine(refiner: Refiner, image, response, threshold: float, box=None, cells=None) -> RefinedMask:
    """Refine the largest component and its box, unless others are given."""
    if cells is None:
        cells = components.largest_stack((response > threshold)[None], 8)[0]
    return refiner.refine(image, response, threshold, box or whole_cells(cells, image.shape[:2]).box, cells)


@pytest.mark.parametrize("method", METHODS)
def test_the_mask_covers_the_object_and_the_box_the_mask(refiners, cup, method):
    found = refine(refiners[method], *cup, 2.0)
    assert found.refined
    assert found.mask.shape == (400, 600)
    assert found.mask.dtype == bool
    assert found.mask[150, 290]  # the coffee
    assert not found.mask[:30, :100].any()  # the table
    assert 0.2 < found.mask.mean() < 0.65
    y, x = np.nonzero(found.mask)
    assert found.box == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    assert all(isinstance(side, float) for side in found.box)


@pytest.mark.parametrize("method", soaked(METHODS, ["grabcut", "guided"]))
def test_threads_give_the_same_bytes_and_compile_once(cup, refiners, method):
    images = [cup[0], cup[0][:90, :70]]
    refiner = Refiner(method, side=128)
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(lambda image: refine(refiner, image, cup[1], 2.0).mask, images * 3))
    programs = len(refiner._programs)
    expected = [refine(refiners[method], image, cup[1], 2.0).mask for image in images]
    for mask, other in zip(masks, expected * 3, strict=True):
        np.testing.assert_array_equal(mask, other)
    refine(refiner, cup[0][:396, 3:], cup[1][1:], 2.0)
    assert len(refiner._programs) == programs


def test_whole_cells_are_the_coarse_mask_at_the_size_of_the_image(cup):
    image, response = cup
    found = whole_cells(response > 2, image.shape[:2])
    np.testing.assert_array_equal(found.mask, grids.upsample_nearest(response > 2, (400, 600)))
    assert not found.refined


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan])
def test_nothing_above_the_threshold_gives_an_empty_mask(refiners, cup, method, value):
    found = refine(refiners[method], cup[0], np.full((5, 7), value, np.float32), 0.0)
    assert found.mask.shape == (400, 600)
    assert (found.mask.any(), found.box, found.refined) == (False, None, False)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_cell_and_a_single_pixel(refiners, cup, method):
    assert refine(refiners[method], cup[0], np.ones((1, 1)), 0.0).mask.all()
    assert refine(refiners[method], cup[0][:1, :1], np.ones((3, 4)), 0.0).mask.tolist() == [[True]]


def test_where_refinement_leaves_nothing_the_coarse_mask_stands(cup, monkeypatch):
    image, response = cup
    nothing = Refinement("nothing", lambda image, probabilities, box: np.zeros(image.shape[:2], bool), on_host=True)
    monkeypatch.setitem(REFINEMENTS, "nothing", nothing)
    refiner = Refiner("nothing", side=128)
    one = np.full(response.shape, -1.0, np.float32)
    one[3, 20] = 0.01
    found = refine(refiner, image, one, 0.0)
    np.testing.assert_array_equal(found.mask, grids.upsample_nearest(one > 0, (400, 600)))
    assert not found.refined
    assert found.box is not None


def test_only_the_largest_component_is_the_object_unless_cells_say_otherwise(refiners, cup):
    image, response = cup
    response = response.copy()
    response[21:24, 32:36] = 4
    other = np.zeros(response.shape, bool)
    other[21:24, 32:36] = True
    assert not refine(refiners["guided"], image, response, 2.0).mask[340:380, 540:570].any()
    found = refine(refiners["guided"], image, response, 2.0, cells=other)
    assert found.mask[340:380, 540:570].any()
    assert not found.mask[150, 290]


def test_grabcut_keeps_to_the_box(refiners, cup):
    found = refine(refiners["grabcut"], *cup, 2.0, (200.0, 100.0, 300.0, 200.0))
    x0, y0, x1, y1 = found.box
    assert x0 >= 185
    assert y0 >= 85
    assert x1 <= 315
    assert y1 <= 215


def test_a_scaled_response_gives_the_same_mask(refiners, cup):
    image, response = cup
    found = refine(refiners["crf"], image, 64 * response, 128.0)
    np.testing.assert_array_equal(found.mask, refine(refiners["crf"], image, response, 2.0).mask)


def test_missing_opencv_is_named_before_any_image_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"needs OpenCV: pip install 'jaxloc\[grabcut\]'$"):
        Refiner("grabcut")
