"""Alignment of the images of a set, and whether they share an object."""

import dataclasses

import numpy as np
import pytest

from jaxloc import ddt
from jaxloc.run.alignment import ALIGNED, align, shared
from tests.report.examples import image


@pytest.mark.parametrize("number", [1, 2, 5])
def test_images_of_any_number_are_aligned_as_by_ddt(number):
    deviations = np.random.default_rng(0).random((number, 4)).astype(np.float16)
    found = [dataclasses.replace(image("a.jpg"), deviation=deviation) for deviation in deviations]
    np.testing.assert_allclose(align(found), ddt.alignment(deviations), rtol=1e-5)


def test_images_that_lack_the_object_do_not_count_in_what_a_set_shares():
    assert shared(np.array([0, ALIGNED, 0.5, 0.7, 0.9])) == 0.7
    assert shared(np.zeros(3)) == 0
