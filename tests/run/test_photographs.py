"""DDT on photographs people took, against the plain transcription in float64."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc.run import Options, colocalize, evaluate_files
from tests.run import helpers

CLASSES = ("aeroplane", "bus")
EACH, SIDE = 8, 128


def iou(a, b) -> float:
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    return width * height / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - width * height)


@pytest.mark.photos
def test_corloc_of_two_classes_is_that_of_the_transcription(photos_folder, vgg16, tmp_path):
    source = photos_folder / "voc07_left"
    truth = json.loads((source / "annotations.json").read_text())
    names = {name: sorted(path.name for path in (source / name).iterdir())[:EACH] for name in CLASSES}
    for name, files in names.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for file in files:
            shutil.copy(source / name / file, tmp_path / "in" / name)
    colocalize([tmp_path / "in"], tmp_path / "out", Options(max_side=SIDE), per_folder=True)
    result = evaluate_files(tmp_path / "out" / "annotations.json", source / "annotations.json")
    scores = {score.category: score.correct for score in result.classes}

    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    for name, files in names.items():
        paths = [tmp_path / "in" / name / file for file in files]
        sizes = []
        for path in paths:
            with Image.open(path) as image:
                sizes.append(image.size[::-1])
        maps = helpers.features(vgg16, paths, ["relu5_3"], shorter_side=SIDE, pad=128)
        correct = 0
        for file, one in zip(files, helpers.expect_ddt(maps, ["relu5_3"], sizes), strict=True):
            boxes = [entry["bbox"] for entry in truth["annotations"] if entry["image_id"] == ids[f"{name}/{file}"]]
            corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
            correct += one.box is not None and max(iou(one.box, box) for box in corners) > 0.5
        assert abs(scores[name] - correct) <= 1
        assert correct >= 3
    found = helpers.boxes_of(tmp_path / "out")
    assert len(found) == EACH * len(CLASSES)
    assert np.isfinite([box for box in found.values() if box is not None]).all()
