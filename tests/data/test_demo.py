"""The composed set: known boxes that are true, and nothing else touched."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.demo import Composed, compose, cut_out


@pytest.fixture(scope="module")
def pictures() -> list[Composed]:
    return compose()


@pytest.fixture(scope="module")
def backgrounds() -> list[Composed]:
    """The same set with the object left away: every choice is made as before, only nothing is pasted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "paste", lambda *arguments: None)
        return compose()


def test_as_many_pictures_with_and_without_the_object_as_asked_for(pictures):
    assert [picture.box is not None for picture in pictures] == [True] * 16 + [False] * 6
    small = compose(with_object=3, without=2, seed=5)
    assert [picture.box is not None for picture in small] == [True] * 3 + [False] * 2
    assert compose(with_object=0, without=0) == []


def test_names_are_different_and_say_what_they_show(pictures):
    assert len({picture.name for picture in pictures}) == len(pictures)
    assert all(("_motorcycle_on_" in picture.name) == (picture.box is not None) for picture in pictures)
    assert [picture.name for picture in pictures] == sorted(picture.name for picture in pictures)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(pictures):
    again, other = compose(seed=0), compose(seed=1)
    for one, same, different in zip(pictures, again, other, strict=True):
        assert one.box == same.box
        np.testing.assert_array_equal(one.image, same.image)
        assert one.image.tobytes() != different.image.tobytes()
    assert [picture.box for picture in pictures] != [picture.box for picture in other]


def test_asking_for_more_pictures_does_not_change_the_first_ones(pictures):
    for few, many in zip(compose(with_object=4, without=0), pictures[:4], strict=True):
        np.testing.assert_array_equal(few.image, many.image)


def test_outside_its_box_the_background_is_untouched(pictures, backgrounds):
    for picture, background in zip(pictures, backgrounds, strict=True):
        different = (np.asarray(picture.image) != np.asarray(background.image)).any(-1)
        if picture.box is None:
            assert not different.any()
            continue
        x0, y0, x1, y1 = picture.box
        assert different[y0:y1, x0:x1].mean() > 0.3
        different[y0:y1, x0:x1] = False
        assert not different.any()


def test_boxes_are_tight_around_what_was_pasted(pictures, backgrounds):
    for picture, background in zip(pictures[:16], backgrounds[:16], strict=True):
        change = np.abs(np.asarray(picture.image).astype(int) - np.asarray(background.image)).max(-1) > 8
        y, x = np.nonzero(change)
        np.testing.assert_allclose([x.min(), y.min(), x.max() + 1, y.max() + 1], picture.box, atol=4)


def test_boxes_lie_inside_their_pictures_and_differ_in_place_and_scale(pictures):
    boxes = [picture.box for picture in pictures if picture.box is not None]
    for picture, (x0, y0, x1, y1) in zip(pictures, boxes, strict=False):
        assert 0 <= x0 < x1 <= picture.image.width
        assert 0 <= y0 < y1 <= picture.image.height
        assert 0.45 < (x1 - x0) / picture.image.width < 0.9
    assert all(one[:2] != other[:2] for one, other in pairwise(boxes))
    assert len({x1 - x0 for x0, _, x1, _ in boxes}) > 8


def test_the_object_is_flipped_in_some_pictures_only(pictures):
    pixels, mask = cut_out()
    flipped = []
    for picture in pictures[:16]:
        pasted = np.asarray(picture.image.crop(picture.box).resize(mask.shape[::-1])).astype(int)
        straight = np.abs(pasted - pixels)[mask].mean()
        mirrored = np.abs(pasted[:, ::-1] - pixels)[mask].mean()
        assert min(straight, mirrored) < max(straight, mirrored) / 2
        flipped.append(mirrored < straight)
    assert 2 < sum(flipped) < 14


def test_the_cut_out_fills_its_frame_and_is_one_piece():
    pixels, mask = cut_out()
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*mask.shape, 3)
    assert mask.dtype == bool
    assert mask[0].any()
    assert mask[-1].any()
    assert mask[:, 0].any()
    assert mask[:, -1].any()
    assert 0.3 < mask.mean() < 0.8
