"""Fine-tuning on photographs people took."""

import functools

import jax
import numpy as np
import pytest

from jaxloc.models import classifier, load
from jaxloc.options import FinetuneOptions
from jaxloc.run import classify
from jaxloc.run.finetune import finetune
from jaxloc.run.training_images import LabelledImages
from tests.run import helpers


@pytest.mark.soak
@pytest.mark.photos
@pytest.mark.usefixtures("vgg16")
def test_flowers_are_told_apart(photos_folder, tmp_path):
    for name in ("daisy", "pansy", "sunflower"):
        source = sorted((photos_folder / "flowers17_small" / name).iterdir())
        for part, files in (("train", source[:6]), ("test", source[6:10])):
            helpers.plant_squares(tmp_path / part / name, files, 96)
    options = FinetuneOptions(max_side=96, epochs=3, batch=6, validation_share=0.0, frozen_blocks=4)
    done = finetune([tmp_path / "train"], tmp_path / "out", options)
    assert done.epochs[-1].loss < 0.5 * done.epochs[0].loss
    test = LabelledImages([tmp_path / "test"], minimum_side=32, max_side=96)
    tuned, head = load(done.weights), classify.load(done.classifier)
    params = tuned.params | {classifier.HEAD: {"kernel": head.weights.T, "bias": head.bias}}
    scores = jax.jit(functools.partial(classifier.logits, backbone=tuned.backbone))
    tallies = [
        classifier.tally(scores(params, batch.images, batch.sizes), batch.targets, batch.counted)
        for batch in test.batches(test.plan(np.arange(12), 4), 4)
    ]
    assert sum(int(tally.total) for tally in tallies) == 12
    assert sum(int(tally.correct) for tally in tallies) > 8
