"""Tables of classification: fine-tune, describe, fit a linear SVM on the training images, and test."""

from pathlib import Path

import numpy as np

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.metrics import bootstrap_interval
from jaxloc.options import ClassifyOptions, FinetuneOptions, IndexOptions, ReproduceOptions, network_options
from jaxloc.run.recognition import recognize_images
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.reproduce.retrieval import GALLERY, QUERIES
from jaxloc.run.retrieval.listing import Labelled

_DESCRIPTOR = "scda_flip+"


def measure_classification(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Accuracy on the test images."""
    shared = network_options(options)
    training = {name: shared[name] for name in ("weights", "dtype", "workers", "allow_download")}
    job = ClassifyOptions(
        tune="whole",
        training=FinetuneOptions(**training),
        describing=IndexOptions(descriptor=_DESCRIPTOR, weight=1.0, max_side=700, **shared),
        seed=options.seed,
    )
    roles: dict[str, list[Labelled]] = {"train": [], "test": []}
    for source in prepared.together().sources:
        image = prepared.images[source.name]
        role = "test" if QUERIES in image.splits else "train"
        if role == "test" or set(GALLERY[prepared.name]) & set(image.splits):
            roles[role].append(Labelled(source, image.category, image.splits))
    for role, some in roles.items():
        if not some:
            raise UsageError(f"{prepared.place}: no image is one to {role} with: get the whole data set")
    done = recognize_images(roles["train"], roles["test"], out / "classified", job)
    tested, right = done.classified.evaluation, np.zeros(done.test)
    right[: round(tested.accuracy * done.test)] = 100
    draw = options.samples and done.test
    interval = bootstrap_interval(right, seed=options.seed, samples=options.samples) if draw else None
    label = f"{DESCRIPTORS[_DESCRIPTOR].title} ({done.classified.classifier.weights.shape[1]:,})"
    paper = papers.SCDA_TABLE_5[prepared.name]
    row = Row(label, "accuracy, %", 100 * tested.accuracy, paper, done.test, interval, digits=1)
    notes = [
        f"{done.train:,} images are learnt from ({' and '.join(GALLERY[prepared.name])}), {done.test:,} tested on; "
        f"C is {done.classified.regularization:g}.",
        f"Averaged over classes, the accuracy is {100 * tested.mean_class_accuracy:.1f} %.",
    ]
    if done.skipped:
        name, reason = next(iter(done.skipped.items()))
        notes.append(f"{len(done.skipped)} images could not be used and count nowhere, such as {name} ({reason}).")
    return Measured([row], notes)
