"""A result measures the same after it was exported, also to layouts without folders."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.annotations import Annotations, read
from jaxloc.errors import UsageError
from jaxloc.options import ExportOptions
from jaxloc.run.evaluation import evaluate, evaluate_files
from jaxloc.run.export import export
from tests.run.evaluation.made import RIGHT, WRONG, image, images

NAMES = ("bus/a.jpg", "bus/b.jpg", "bus/sub/a.jpg", "bus_sub/a.jpg", "bus_a.jpg")
"""Of which some would be called alike without their folders."""


@pytest.fixture
def result(tmp_path) -> Annotations:
    """What was predicted of images in folders."""
    found = []
    for number, name in enumerate(NAMES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((100, 100, 3), 40 * number, np.uint8)).save(path)
        found.append(image(name, WRONG if name == "bus_sub/a.jpg" else RIGHT, path=path))
    return Annotations(images(*found))


@pytest.fixture
def truth(coco):
    """In which one image of two that would be called alike is found, and the other is not."""
    file = coco("truth")
    for name in NAMES:
        file.add(name, "bus", [("bus", *RIGHT, 1)])
    return file.save()


@pytest.mark.parametrize("format", ["voc", "yolo", "coco"])
@pytest.mark.parametrize("split", [{}, {"train": 0.5, "val": 0.5}], ids=["whole", "split"])
def test_an_export_gives_the_corloc_of_the_result(result, truth, tmp_path, format, split):
    before = evaluate(result.images, read(truth).images)
    export(result, tmp_path / "ex", format, ExportOptions(split=split))
    after = evaluate_files(tmp_path / "ex", truth)
    assert before.mean_corloc == after.mean_corloc == 80
    assert [score.correct for score in after.classes] == [4]
    assert after.unknown == []
    again = read(tmp_path / "ex")
    assert sorted(again.images) == sorted(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(
            np.asarray(Image.open(again.images[name].path)), np.asarray(Image.open(result.images[name].path))
        )


@pytest.mark.parametrize(("format", "inside"), [("voc", "JPEGImages"), ("yolo", "images/train")])
def test_the_images_of_an_export_may_be_named_where_they_were_or_where_they_are(result, tmp_path, format, inside):
    export(result, tmp_path / "ex", format)
    for folder in (tmp_path / "photos", tmp_path / "ex" / inside):
        found = read(tmp_path / "ex", images=folder)
        assert (sorted(found.images), found.problems) == (sorted(NAMES), [])
        assert all(folder in image.path.parents for image in found.images.values())


def test_the_file_of_a_yolo_export_may_be_given_instead_of_its_folder(result, tmp_path):
    export(result, tmp_path / "ex", "yolo")
    assert sorted(read(tmp_path / "ex/data.yaml").images) == sorted(NAMES)


def test_an_image_put_beside_by_hand_keeps_its_name(result, tmp_path):
    export(result, tmp_path / "ex", "yolo")
    folder = tmp_path / "ex/images/train"
    shutil.copy(tmp_path / "photos/bus/b.jpg", folder / "new.jpg")
    assert sorted(read(tmp_path / "ex").images) == sorted((*NAMES, "new.jpg"))
    (folder / "bus").mkdir()
    (folder / "new.jpg").rename(folder / "bus/a.jpg")
    with pytest.raises(UsageError, match=r"ex: two images are called bus/a\.jpg: one now, and one before"):
        read(tmp_path / "ex")


def test_without_what_the_export_says_of_names_the_refusal_explains_both(result, truth, tmp_path):
    export(result, tmp_path / "ex", "voc")
    (tmp_path / "ex/export.json").unlink()
    for file in (tmp_path / "ex/Annotations").glob("bus_a*"):  # an image that is called so on both sides
        file.unlink()
    with pytest.raises(UsageError) as told:
        evaluate_files(tmp_path / "ex", truth)
    assert re.match(
        r"no image in common: predictions name them like 'bus_b\.jpg', the ground truth like 'bus/a\.jpg'; one side "
        r"has lost its folders, .* or the export with its export\.json",
        str(told.value),
    )
    assert "colocalize" not in str(told.value)


def test_a_damaged_description_of_an_export_is_named(result, tmp_path):
    export(result, tmp_path / "ex", "voc")
    (tmp_path / "ex/export.json").write_text("{")
    with pytest.raises(UsageError, match=r"ex/export\.json: not readable as JSON .*: it says how the images were"):
        read(tmp_path / "ex")
    for foreign in ("[]", "{}", '{"renamed_files": 3}'):
        (tmp_path / "ex/export.json").write_text(foreign)
        assert "bus_b.jpg" in read(tmp_path / "ex").images
