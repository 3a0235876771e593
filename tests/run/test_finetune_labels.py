"""Fine-tuning on images with several labels each: a classifier of independent classes, inside the network."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import models
from jaxloc.errors import UsageError
from jaxloc.run import classify
from jaxloc.run.finetune import finetune, tuning_text
from jaxloc.run.training import mean_average_precision
from jaxloc.run.training_images import LabelledImages, annotated_images
from tests.run.test_finetune import COLOURS, short_training
from tests.soaked import soaked


def annotated(folder: Path) -> Path:
    """A COCO file of images of one colour or two, one of a difficult object alone, and one of none."""
    rng = np.random.default_rng(1)
    names, coco = list(COLOURS), {"images": [], "annotations": [], "categories": []}
    coco["categories"] = [{"id": number, "name": name} for number, name in enumerate(names)]
    for number in range(14):
        has = [(0,), (1,), (2,), (0, 1), (1, 2)][number % 5] if number < 12 else (0,) * (number == 12)
        pixels = np.full((48, 64, 3), 130.0)
        for place, one in enumerate(has):
            pixels[:, 32 * place : 32 * place + 32] = COLOURS[names[one]]
        file = f"{number}.png"
        Image.fromarray(np.clip(rng.normal(pixels, 9), 0, 255).astype(np.uint8)).save(folder / file)
        coco["images"].append({"id": number, "file_name": file, "width": 64, "height": 48})
        for one in has:
            box = {"bbox": [0, 0, 32, 48], "difficult": number == 12}
            coco["annotations"].append({"id": len(coco["annotations"]), "image_id": number, "category_id": one, **box})
    path = folder / "truth.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.parametrize("method", soaked(["cam", "eiss"], ["cam"]))
def test_images_with_several_labels_give_a_network_with_a_classifier_of_its_own(tmp_path, method):
    options = dataclasses.replace(short_training(tmp_path), multi_label=True, learning_rate=0.03, epochs=6)
    done = finetune([annotated(tmp_path)], tmp_path / "out", options)
    assert done.classes == tuple(sorted(COLOURS))
    assert done.epochs[-1].loss < 0.8 * done.epochs[0].loss
    best = done.epochs[done.best].validation_map
    assert best == max(epoch.validation_map for epoch in done.epochs)
    assert f"{100 * best:.2f}" in tuning_text(done)
    net, before = jaxloc.load(done.weights), models.load(options.weights)
    assert net.class_names == done.classes
    tuned = models.load(done.weights).params
    assert all((tuned[name]["kernel"] == before.params[name]["kernel"]).all() for name in before.params)
    images = [np.full((224, 224, 3), colour, np.uint8) for colour in COLOURS.values()]
    probabilities = net.classify(images)
    head = classify.load(done.classifier)
    vectors = np.stack([features.mean((0, 1)) for features in net.features(images, "pool5", max_side=0)])
    assert not np.allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(np.log(probabilities / (1 - probabilities)), head.scores(vectors), atol=1e-3)
    own = {"windows": "grid:2", "max_iterations": 1} if method == "eiss" else {}
    (found,) = jaxloc.localize(images[:1], net, method=method, label="blue", **own)
    assert 0 < found.probability < 1
    with pytest.raises(UsageError, match="classifier has no class 'red'"):
        jaxloc.localize(images, net, method="cam", label="red")


def test_labels_are_those_of_objects_that_are_not_difficult(tmp_path):
    found = LabelledImages(
        [], annotated=annotated_images([annotated(tmp_path)]), minimum_side=1, max_side=64, workers=1
    )
    assert found.classes == ("black", "blue", "yellow")
    assert found.targets[[s.name for s in found.sources].index("3.png")].tolist() == [True, True, False]
    assert not found.targets[[s.name in ("12.png", "13.png") for s in found.sources]].any()
    assert (found.strata == -1).sum() == 2
    (batch,) = found.batches([[0, 1, 2]], 4)
    assert (batch.targets.shape, batch.targets.dtype, batch.targets[3].any()) == ((4, 3), bool, False)
    (tmp_path / "truth.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(UsageError, match="none of its 0 images is there"):
        annotated_images([tmp_path / "truth.json"])


def test_mean_average_precision_leaves_out_classes_without_an_image():
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.2, 0.5], [0.1, 0.3, 0.5]])
    targets = np.array([[True, True, False], [False, False, False], [True, False, False]])
    assert mean_average_precision(scores, targets) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)
