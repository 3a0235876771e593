"""Jobs that find the salient regions of each image, one or all."""

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

import jaxloc
import jaxloc.discovery
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeEachOptions, LocalizeOptions
from jaxloc.run import colocalize, localize
from tests.compiled import compiled
from tests.run import helpers
from tests.soaked import soaked

discovery = compiled(jaxloc.discovery)


@pytest.fixture(scope="module")
def all_regions(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("regions")
    return out, localize([photos], out, LocalizeEachOptions(method="fs-egm", regions=True))


def test_regions_are_those_of_the_pure_functions(all_regions, maps, sizes):
    _, found = all_regions
    assert found.settings["regions"] == "all"
    for finding, features, size in zip(found.images, maps["relu5_3"], sizes, strict=True):
        expected = discovery.localize(features, np.array(size))
        np.testing.assert_allclose(finding.box, expected.box, atol=0.5)
        assert len(finding.objects) == (expected.objects.weight > 0).sum()
        for (*box, weight), other, share in zip(finding.objects, *expected.objects, strict=False):
            np.testing.assert_allclose(box, other, atol=0.5)
            assert weight == pytest.approx(share, abs=1e-3)


def test_each_region_is_an_annotation_and_the_heaviest_scores_most(all_regions):
    out, found = all_regions
    written = helpers.annotations(out)["annotations"]
    for number, finding in enumerate(found.images, 1):
        own = [one for one in written if one["image_id"] == number]
        assert [one["weight"] for one in own] == [region[4] for region in finding.objects]
        scores = [one["score"] for one in own]
        assert scores[0] == finding.score
        assert scores == sorted(scores, reverse=True)


def test_in_memory_they_are_the_same(all_regions, photos, small_vgg16):
    _, found = all_regions
    net = jaxloc.load(small_vgg16)
    again = jaxloc.localize(sorted(photos.iterdir()), net, method="fs-egm", regions=True)
    for one, finding in zip(again, found.images, strict=True):
        np.testing.assert_allclose(one.objects, finding.objects, atol=1e-3)
        assert one.finding().objects == one.objects


def test_without_being_asked_only_the_heaviest_is_written(photos, maps, sizes, tmp_path):
    found = localize([photos], tmp_path, LocalizeEachOptions(method="fs-egm", egm="paper"))
    paper = jaxloc.discovery.SETTINGS["features, paper"]
    expected = discovery.localize(maps["relu5_3"][0], np.array(sizes[0]), setting=paper)
    np.testing.assert_allclose(found.images[0].box, expected.box, atol=0.5)
    assert all(one.objects == () for one in found.images)
    assert len(helpers.annotations(tmp_path)["annotations"]) == len(found.images)


@pytest.mark.parametrize("method", soaked(["ddt", "ddt-spread", "scda"], ["ddt-spread", "scda"]))
def test_every_component_of_the_response_has_a_box_the_chosen_one_first(photos, small_vgg16, method):
    net = jaxloc.load(small_vgg16)
    images = [np.asarray(Image.open(path).resize((192, 192))) for path in sorted(photos.iterdir())]
    found = jaxloc.colocalize(images, net, method=method, regions=True)
    alone = jaxloc.colocalize(images, net, method=method)
    assert any(len(one.objects) > 1 for one in found)
    for one, plain in zip(found, alone, strict=True):
        assert one.box == plain.box
        assert plain.objects == ()
        if not one.found:
            assert one.objects == ()
            continue
        assert one.objects[0][:4] == one.box
        weights = [weight for *_, weight in one.objects]
        assert weights == sorted(weights, reverse=True)
        numbers, count = scipy.ndimage.label(one.response > one.threshold, np.ones((3, 3)))
        sizes = np.sort(np.bincount(numbers.ravel())[1:])[::-1]
        assert len(one.objects) == min(count, 16)
        np.testing.assert_allclose(weights, sizes[:16] / sizes.sum(), rtol=1e-5)


def test_a_job_writes_an_annotation_for_each(photos, small_vgg16, tmp_path):
    options = LocalizeOptions(method="scda", regions=True)
    found = colocalize([photos], tmp_path, options)
    written = helpers.annotations(tmp_path)["annotations"]
    assert len(written) == sum(len(one.objects) for one in found.images) > len(found.images)


def test_methods_that_find_one_object_are_refused_several():
    with pytest.raises(UsageError, match=r"lost finds one object in each image: for several .* fs-egm"):
        LocalizeEachOptions(method="lost", regions=True)
