"""Jobs that keep the object's pixels, and that part it."""

import numpy as np
import pytest
from pycocotools import mask as coco_masks

import jaxloc.ddt
import jaxloc.parts
from jaxloc.errors import UsageError
from jaxloc.run import Options, apply, colocalize, localize, model_file
from tests.compiled import compiled
from tests.reference import scda_ddt as reference
from tests.run import helpers
from tests.soaked import soaked

ddt, parts = compiled(jaxloc.ddt), compiled(jaxloc.parts)


@pytest.fixture(scope="module")
def parted(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("parted")
    return out, list(colocalize([photos], out, Options(parts=3, masks=True)).images)


def test_parts_are_those_of_the_pure_functions(parted, maps, sizes):
    out, found = parted
    model = next(iter(model_file.load(out / "model.safetensors").sets.values())).models["relu5_3"]
    assert model.components.shape[0] == 3
    some = 0
    for finding, features, size in zip(found, maps["relu5_3"], sizes, strict=True):
        indicators = ddt.indicator_maps(model, features)
        mask = ddt.object_mask(indicators[0])
        expected = parts.localize(indicators, model.eigenvalues, mask, size, number=3)
        if not finding.found:
            assert finding.parts == ()
            continue
        boxes = [
            tuple(box) if there else None for box, there in zip(expected.box.tolist(), expected.found, strict=True)
        ]
        assert list(finding.parts) == boxes
        some += 1
    assert some


def test_masks_are_the_enlarged_cells(parted, maps, sizes):
    out, found = parted
    model = next(iter(model_file.load(out / "model.safetensors").sets.values())).models["relu5_3"]
    for finding, features, size in zip(found, maps["relu5_3"], sizes, strict=True):
        cells = reference.largest(np.asarray(ddt.indicator_maps(model, features)[0]) > 0)
        if finding.found:
            inside = coco_masks.decode({"size": list(size), "counts": finding.mask}).astype(bool)
            np.testing.assert_array_equal(inside, reference.upsample(cells, size))
        else:
            assert finding.mask is None


def test_coco_file_holds_masks_and_parts(parted):
    out, found = parted
    written = helpers.annotations(out)["annotations"]
    kept = [finding for finding in found if finding.found]
    for entry, finding in zip(written, kept, strict=True):
        assert entry["segmentation"] == {"size": [finding.height, finding.width], "counts": finding.mask.decode()}
        assert entry["area"] == coco_masks.area({"size": [finding.height, finding.width], "counts": finding.mask})
        names = {f"part {number}": box for number, box in enumerate(finding.parts, 1) if box is not None}
        written_parts = {part["name"]: part["bbox"] for part in entry["parts"]}
        assert {name: (x, y, x + w, y + h) for name, (x, y, w, h) in written_parts.items()} == names


def test_parts_and_masks_change_no_box(parted, job):
    assert helpers.boxes_of(parted[0]) == helpers.boxes_of(job("ddt").folder)


def test_what_is_kept_of_a_fit_parts_new_images(parted, photos, tmp_path):
    out, found = parted
    again = apply(out / "model.safetensors", [photos], tmp_path / "out", Options(parts=2))
    assert [len(finding.parts) for finding in again.images] == [2 if one.found else 0 for one in found]


def test_a_model_of_too_few_components_is_refused(job, photos, tmp_path):
    model = job("ddt").folder / "model.safetensors"
    with pytest.raises(UsageError, match=r"keeps 2 components, and 4 parts take 3: fit it again with --parts 4"):
        apply(model, [photos], tmp_path / "out", Options(parts=4))


def test_more_parts_than_descriptors_can_tell_apart_are_refused(photos, tmp_path):
    with pytest.raises(
        UsageError, match=r"--parts 2000 takes \d+ components, and .* 10 dimensions: use at most --parts"
    ):
        colocalize([photos], tmp_path, Options(parts=2000))


def test_scda_has_masks_too(photos, tmp_path):
    found = localize([photos], tmp_path / "out", Options(masks=True))
    assert all(finding.mask for finding in found.images)


@pytest.mark.parametrize("box_from_mask", soaked([False, True], [True]))
def test_refined_pixels_follow_the_image_and_parts_lie_inside_a_box_around_them(
    parted, photos, tmp_path, box_from_mask
):
    options = Options(parts=2, refine="guided", box_from_mask=box_from_mask)
    refined = colocalize([photos], tmp_path / "out", options).images
    assert sum(one.mask != coarse.mask for one, coarse in zip(refined, parted[1], strict=True)) >= 5
    for one, coarse in zip(refined, parted[1], strict=True):
        assert one.found == coarse.found
        if not one.found:
            assert one.mask is None
            continue
        inside = coco_masks.decode({"size": [one.height, one.width], "counts": one.mask}).astype(bool)
        rows, columns = np.nonzero(inside)
        around = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert one.box == (around if box_from_mask else coarse.box)
        x0, y0, x1, y1 = one.box
        for left, top, right, bottom in filter(None, one.parts):
            assert x0 <= left < right <= x1
            assert y0 <= top < bottom <= y1
    assert any(part for one in refined for part in one.parts)


def test_a_box_from_no_refined_mask_is_refused():
    with pytest.raises(UsageError, match="a box from the mask needs a refined mask"):
        Options(box_from_mask=True)


def test_parts_within_are_divided_by_components_of_the_objects_cells(photos, parted, maps, sizes, tmp_path):
    found = list(colocalize([photos], tmp_path / "out", Options(parts=3, parts_within=True)).images)
    model = next(iter(model_file.load(tmp_path / "out" / "model.safetensors").sets.values())).models["relu5_3"]
    masks = [ddt.object_mask(ddt.indicator_maps(model, features)[0]) for features in maps["relu5_3"]]
    cells = np.concatenate(
        [np.asarray(one, np.float64)[mask] for one, mask in zip(maps["relu5_3"], masks, strict=True)]
    )
    values, vectors = np.linalg.eigh(np.cov(cells.T))
    directions, mean = vectors[:, ::-1][:, :2], cells.mean(0)
    directions = directions * np.sign(directions.T @ np.cov(cells.T).sum(1))
    some = 0
    for finding, one, mask, size in zip(found, maps["relu5_3"], masks, sizes, strict=True):
        if not finding.found:
            assert finding.parts == ()
            continue
        response = (np.asarray(one) - mean) @ directions / np.sqrt(values[::-1][:2])
        detectors = np.stack([response[..., 0], -response[..., 0], response[..., 1]])
        labels = np.where(mask, 1 + detectors.argmax(0), 0)
        for number, part in enumerate(finding.parts, 1):
            inside = reference.largest(labels == number)
            assert (part is None) == (not inside.any())
            if part is not None:
                assert part == tuple(reference.box(inside, size).tolist())
                some += 1
    assert some
    assert helpers.boxes_of(tmp_path / "out") == helpers.boxes_of(parted[0])
    assert [one.parts for one in found] != [one.parts for one in parted[1]]
    left = {path.name.split("-")[0] for path in (tmp_path / "out" / "parts").iterdir()}
    assert left == {"_run.json", "found"}


def test_parts_within_take_a_fit_of_their_own(parted, photos, tmp_path):
    within, model = Options(parts=2, parts_within=True), parted[0] / "model.safetensors"
    with pytest.raises(UsageError, match="parts within the object need a number of parts: give --parts as well"):
        Options(parts_within=True)
    with pytest.raises(UsageError, match="parts within the object are fitted with the set"):
        apply(model, [photos], tmp_path / "out", within)
    with pytest.raises(UsageError, match="parts within the object take all images of the set"):
        colocalize([photos], tmp_path / "out", within, update=model)


@pytest.mark.parametrize("options", [{"parts": 1}, {"parts": -2}, {"parts": 2, "method": "scda"}])
def test_parts_that_cannot_be_are_refused(options):
    with pytest.raises(UsageError, match="parts must be at least 2, and of ddt"):
        Options(**options)
