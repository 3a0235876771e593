"""The composed set: known boxes that are true, and nothing else touched."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.demo import Composed, compose, compose_pile, cut_out


@pytest.fixture(scope="module")
def images() -> list[Composed]:
    return compose()


@pytest.fixture(scope="module")
def backgrounds() -> list[Composed]:
    """The same set with the object left away: every choice is made as before, only nothing is pasted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "paste", lambda *arguments: None)
        return compose()


def test_as_many_images_with_and_without_the_object_as_asked_for(images):
    assert [image.box is not None for image in images] == [True] * 16 + [False] * 6
    small = compose(with_object=3, without=2, seed=5)
    assert [image.box is not None for image in small] == [True] * 3 + [False] * 2
    assert compose(with_object=0, without=0) == []


def test_names_are_different_and_say_what_they_show(images):
    assert len({image.name for image in images}) == len(images)
    assert all(("_motorcycle_on_" in image.name) == (image.box is not None) for image in images)
    assert [image.name for image in images] == sorted(image.name for image in images)


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    few = {"with_object": 4, "without": 1}
    images, again, other = (compose(**few, seed=seed) for seed in (0, 0, 1))
    for one, same, different in zip(images, again, other, strict=True):
        assert one.box == same.box
        np.testing.assert_array_equal(one.image, same.image)
        assert one.image.tobytes() != different.image.tobytes()
    assert [image.box for image in images] != [image.box for image in other]


def test_asking_for_more_images_does_not_change_the_first_ones(images):
    for few, many in zip(compose(with_object=4, without=0), images[:4], strict=True):
        np.testing.assert_array_equal(few.image, many.image)


def test_outside_its_box_the_background_is_untouched(images, backgrounds):
    for image, background in zip(images, backgrounds, strict=True):
        different = (np.asarray(image.image) != np.asarray(background.image)).any(-1)
        if image.box is None:
            assert not different.any()
            continue
        x0, y0, x1, y1 = image.box
        assert different[y0:y1, x0:x1].mean() > 0.3
        different[y0:y1, x0:x1] = False
        assert not different.any()


def test_boxes_are_tight_around_what_was_pasted(images, backgrounds):
    for image, background in zip(images[:16], backgrounds[:16], strict=True):
        change = np.abs(np.asarray(image.image).astype(int) - np.asarray(background.image)).max(-1) > 8
        y, x = np.nonzero(change)
        np.testing.assert_allclose([x.min(), y.min(), x.max() + 1, y.max() + 1], image.box, atol=4)


def test_boxes_lie_inside_their_images_and_differ_in_place_and_scale(images):
    boxes = [image.box for image in images if image.box is not None]
    for image, (x0, y0, x1, y1) in zip(images, boxes, strict=False):
        assert 0 <= x0 < x1 <= image.image.width
        assert 0 <= y0 < y1 <= image.image.height
        assert 0.45 < (x1 - x0) / image.image.width < 0.9
    assert all(one[:2] != other[:2] for one, other in pairwise(boxes))
    assert len({x1 - x0 for x0, _, x1, _ in boxes}) > 8


def test_the_object_is_flipped_in_some_images_only(images):
    pixels, mask = cut_out()
    flipped = []
    for image in images[:16]:
        pasted = np.asarray(image.image.crop(image.box).resize(mask.shape[::-1])).astype(int)
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


def test_a_pile_has_as_many_images_of_each_kind_as_asked_for_in_no_order():
    pile = compose_pile(each=2, without=3, seed=1)
    kinds = [image.name.removesuffix(".jpg").split("_")[1] for image in pile]
    assert Counter(kinds) == {"motorcycle": 2, "cup": 2, "astronaut": 2, "cat": 2, "nothing": 3}
    assert kinds != sorted(kinds)
    for image, kind in zip(pile, kinds, strict=True):
        assert (image.box is None) == (kind == "nothing")
        if image.box is not None:
            x0, y0, x1, y1 = image.box
            assert 0 <= x0 < x1 <= image.image.width
            assert 0 <= y0 < y1 <= image.image.height
