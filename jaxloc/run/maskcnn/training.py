"""Learn parts and classes, measure both on test images, and write the model and a page."""

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxloc._files import digest, write_text
from jaxloc.data.sources import bytes_of
from jaxloc.errors import UsageError
from jaxloc.metrics import correct_parts
from jaxloc.options import MaskCnnOptions
from jaxloc.report.tables import text_table
from jaxloc.report.text import reasons
from jaxloc.run import outputs
from jaxloc.run.engine import memory_errors
from jaxloc.run.maskcnn import model as files
from jaxloc.run.maskcnn.drawing import draw_masks
from jaxloc.run.maskcnn.examples import Examples, read_examples
from jaxloc.run.maskcnn.findings import findings_of
from jaxloc.run.maskcnn.model import MaskCnn
from jaxloc.run.maskcnn.parts import Predicted, learn_parts, predict_all
from jaxloc.run.maskcnn.streams import Network, learn_classifier
from jaxloc.run.writing import disk_errors, locked

MODEL, EVALUATION, MASKS = "maskcnn.safetensors", "evaluation.json", "masks.png"
"""Files of the results, beside ``annotations.json`` and ``report.html``."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained Mask-CNN and its figures on the test images.

    Attributes:
        pcp: share of the true boxes of each part that are found, IoU > 0.5; NaN where none is seen.
        accuracies: share of the test images that get their class, by the names of the streams.
        skipped: why images were skipped, by name.
    """

    model: MaskCnn
    pcp: Mapping[str, float]
    accuracies: Mapping[tuple[str, ...], float]
    train: int
    test: int
    skipped: Mapping[str, str]
    folder: Path


def train_maskcnn(
    data: str | os.PathLike[str], out: str | os.PathLike[str], options: MaskCnnOptions | None = None
) -> Trained:
    """Learn the parts of a set's objects from key points or boxes, then classes from the image and the parts' crops.

    The backbone stays as it is; its maps are computed once. A stopped call resumes when called again.

    Args:
        data: an annotated set whose objects have named parts or CUB's key points, such as ``cub200:FOLDER``.
        out: folder for ``maskcnn.safetensors``, ``evaluation.json``, and of the test images ``annotations.json``,
            ``report.html`` and ``masks.png``.
        options: of the job.
    """
    options = options or MaskCnnOptions()
    examples = read_examples(data, test_share=options.test_share, seed=options.seed)
    return train_examples(examples, out, options)


def train_examples(examples: Examples, out: str | os.PathLike[str], options: MaskCnnOptions) -> Trained:
    """``train_maskcnn`` for a set that has been read already."""
    if options.side % 32:
        raise UsageError(f"the side must be a multiple of 32 pixels, not {options.side}: choose another --longer-side")
    folder = outputs.prepare(out)
    with locked(folder):
        return _train(examples, folder, options)


def _train(examples: Examples, folder: Path, options: MaskCnnOptions) -> Trained:
    outputs.check_unused(folder, EVALUATION)
    work = folder / "work"
    with memory_errors():
        network = Network(options)
        maps, sizes, skipped = network.maps(examples.sources, work / "maps")
        usable = np.array([number not in skipped for number in range(len(sizes))])
        train, test = (np.flatnonzero(usable & some) for some in (~examples.test, examples.test))
        if not len(train) or not len(test):
            reason = next(iter(skipped.values()), "")
            usable_ones = f"{len(train)} images to learn from and {len(test)} to test on are usable"
            raise UsageError(f"{usable_ones}; give some of both{reason and f' ({reason})'}")
        weights = network.loaded.weights
        settings = {"weights": weights.checksum, "side": options.side, "images": _digest(examples)}
        scales = np.minimum(1, options.side / sizes.max(1))
        begin, seed = work / "parts", options.seed
        head = learn_parts(examples, train, maps, scales, begin, steps=options.steps, seed=seed, settings=settings)
        predicted = predict_all(head, len(examples.parts), maps, sizes)
        vectors = network.vectors(examples.sources, maps[-1], sizes, predicted, work / "maps")
    classes = sorted({examples.labels[number] for number in train})
    targets = np.array([classes.index(label) if label in classes else -1 for label in examples.labels], np.int32)
    accuracies = {}
    for streams in _kinds(len(examples.parts)):
        own = vectors[:, streams].reshape(len(vectors), -1)
        place = work / ("streams " + " ".join(map(str, streams)))
        classifier = learn_classifier(
            own[train],
            targets[train],
            place,
            classes=len(classes),
            steps=options.classifier_steps,
            seed=seed,
            settings=settings,
        )
        best = (own[test] @ classifier["kernel"] + classifier["bias"]).argmax(1)
        names = tuple(["image", *examples.parts][stream] for stream in streams)
        accuracies[names] = float((best == targets[test]).mean())
    architecture, checksum = weights.backbone.name, weights.checksum
    model = MaskCnn(head, classifier, classes, examples.parts, options.side, architecture, checksum)
    why = {examples.sources[number].name: reason for number, reason in skipped.items()}
    pcp = _pcp(examples, predicted, test)
    done = Trained(model, pcp, accuracies, len(train), len(test), why, folder)
    tested = Predicted(*(values[test] for values in predicted))
    sources = [examples.sources[number] for number in test.tolist()]
    findings = findings_of(model, sources, sizes[test], tested, vectors[test], why, options.settings())
    with disk_errors(folder, left="it resumes from the last checkpoint"):
        files.save(folder / MODEL, model)
        plain = json.dumps(to_plain(done), indent=1) + "\n"
        write_text(folder / EVALUATION, plain)  # before annotations.json: it tells an earlier call's folder
        outputs.write(folder, findings, limit=options.report_limit)
        draw_masks(folder / MASKS, sources, tested, examples.boxes[test], sizes[test], examples.parts)
        shutil.rmtree(work)
    return done


def _digest(examples: Examples) -> str:
    """What a training that resumes must find again: the images, their classes and boxes, and which are tested on."""
    names = [f"{one.name} {bytes_of(one.path)}" for one in examples.sources]
    return digest(json.dumps([names, examples.labels, examples.boxes.tolist(), examples.test.tolist()]))


def _kinds(parts: int) -> list[list[int]]:
    """The streams that are compared: the image, the image with each part, and all, as in the paper's table 4."""
    kinds = [[0], *([0, 1 + part] for part in range(parts)), list(range(1 + parts))]
    return [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]


def _pcp(examples: Examples, predicted: Predicted, test: np.ndarray) -> dict[str, float]:
    boxes = np.where(predicted.found[test, :, None], predicted.boxes[test], np.nan)
    right = correct_parts(boxes, examples.boxes[test], np.arange(len(examples.parts)))
    seen = ~np.isnan(right)
    return {
        part: float(right[seen[:, number], number].mean()) if seen[:, number].any() else float("nan")
        for number, part in enumerate(examples.parts)
    }


def to_plain(done: Trained) -> dict[str, object]:
    """The figures as plain values for JSON, with null for a part that no test image shows."""
    return {
        "pcp": {part: None if math.isnan(share) else share for part, share in done.pcp.items()},
        "accuracies": [{"streams": list(streams), "accuracy": share} for streams, share in done.accuracies.items()],
        "classes": done.model.classes,
        "train": done.train,
        "test": done.test,
        "skipped": dict(done.skipped),
    }


def training_text(done: Trained, seconds: float) -> str:
    """PCP of each part, accuracy of one, two and all streams, and where the results are."""
    parts = [[part, "–" if math.isnan(share) else f"{100 * share:.1f}"] for part, share in done.pcp.items()]
    streams = [[" + ".join(names), f"{100 * share:.1f}"] for names, share in done.accuracies.items()]
    place = done.folder
    return "\n\n".join(
        [
            text_table(["part", "PCP"], parts),
            text_table(["streams", "accuracy"], streams),
            f"Learnt from {done.train:,} images of {len(done.model.classes):,} classes, tested on {done.test:,}; PCP: "
            f"share of true boxes found with IoU > 0.5. {seconds:.1f} s. Look at {place / 'report.html'} and "
            f"{place / 'masks.png'}; {place / 'maskcnn.safetensors'} is for `jaxloc maskcnn apply`.",
            *reasons("Skipped", done.skipped.items(), len(done.skipped), "evaluation.json"),
        ]
    )
