"""Classify images by kind: fine-tune the network, describe with SCDA_flip+, and fit a linear SVM.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017, section 4.3.
The vectors are kept in two galleries, so that an interrupted run resumes.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.models import load
from jaxloc.options import ClassifyOptions, IndexOptions
from jaxloc.report.tables import text_table
from jaxloc.report.text import reasons
from jaxloc.run import classify, outputs
from jaxloc.run.classify import Classified
from jaxloc.run.engine import load_weights
from jaxloc.run.finetune import FineTuned, finetune, tuning_text
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import describe_gallery, index_images
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images


@dataclasses.dataclass(frozen=True)
class Recognized:
    """A trained classifier in its file, the numbers of images, and why some were skipped, by name."""

    classified: Classified
    tuned: FineTuned | None
    train: int
    test: int
    classifier: Path
    skipped: dict[str, str]


def recognize(
    paths: Paths,
    out: str | os.PathLike[str],
    options: ClassifyOptions | None = None,
    *,
    test: Paths = (),
    labels: str | os.PathLike[str] | None = None,
) -> Recognized:
    """Train a classifier on labelled images and measure its accuracy on test images.

    The result depends on the images and options alone: vectors of an earlier call in ``out`` are reused if they are
    valid, and computed again otherwise.

    Args:
        paths: folders, images, or text files of paths of the training images.
        out: folder for ``classifier.safetensors``, ``evaluation.json``, the galleries ``train/`` and ``test/``, and
            ``tuning/`` (the tuned network and its checkpoints).
        options: of the job.
        test: test images; by default a share of each kind is held out.
        labels: a COCO file of labels; by default an image's folder.
    """
    options = options or ClassifyOptions()
    return recognize_images(*_split(paths, test, labels, out, options), out, options)


def recognize_images(
    train_set: list[Labelled], test_set: list[Labelled], out: str | os.PathLike[str], options: ClassifyOptions
) -> Recognized:
    """``recognize`` for images that are listed already."""
    folder = outputs.prepare(out)
    tuned = None if options.tune == "none" else _tune(train_set, folder / "tuning", options)
    weights = options.training.weights if tuned is None else tuned.weights
    describing = dataclasses.replace(options.describing, weights=weights)
    skipped: dict[str, str] = {}
    vectors, known = _vectors(train_set, folder / "train", describing, skipped)
    test_vectors, asked = _vectors(test_set, folder / "test", describing, skipped)
    settings = {"descriptor": describing.descriptor, "weight": f"{describing.weight:g}", "tune": options.tune}
    classified = classify.classify(
        vectors,
        [str(image.label) for image in known],
        test_vectors,
        [str(image.label) for image in asked],
        regularization=options.regularization,
        seed=options.seed,
        settings=settings | {"weights_checksum": Gallery.open(folder / "train").description.weights_checksum},
    )
    path = folder / "classifier.safetensors"
    classify.save(path, classified.classifier)
    done = Recognized(classified, tuned, len(known), len(asked), path, skipped)
    images = [
        {"name": image.source.name, "label": image.label, "predicted": predicted}
        for image, predicted in zip(asked, classified.evaluation.predicted, strict=True)
    ]
    write_text(folder / "evaluation.json", json.dumps(to_plain(done) | {"images": images}, indent=1) + "\n")
    return done


def _split(
    paths: Paths,
    test: Paths,
    labels: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    options: ClassifyOptions,
) -> tuple[list[Labelled], list[Labelled]]:
    images = find_images(paths, labels=labels, exclude=[out])
    check_labels([image.label for image in images], "images", several=False)
    if test:
        tested = find_images(test, labels=labels, exclude=[out])
        check_labels([image.label for image in tested], "test images", several=False)
        keys = {image.key for image in tested}
        images = [image for image in images if image.key not in keys]
        if not images:
            raise UsageError("every image is one to test on, so there is none to learn from: name others with --test")
    kinds = {image.label for image in images}
    if len(kinds) < 2:
        raise UsageError(
            f"all images to learn from are of one kind, {kinds.pop()!r}, and telling kinds apart needs two: "
            "pass a folder with one sub-folder for each"
        )
    if test:
        return images, tested
    _, numbers = np.unique([str(image.label) for image in images], return_inverse=True)
    held_out = classify.hold_out_share(numbers, options.test_share, options.seed)
    if not held_out.any():
        raise UsageError("every kind has a single image, so there is nothing to test on: give images with --test")
    learnt, tested = ([images[n] for n in np.flatnonzero(some)] for some in (~held_out, held_out))
    return learnt, tested


def _tune(images: Sequence[Labelled], folder: Path, options: ClassifyOptions) -> FineTuned:
    blocks = len(load(options.training.weights, allow_download=options.training.allow_download).backbone.blocks)
    frozen = {"head": blocks, "last": blocks - 1, "whole": 0}[options.tune]
    training = dataclasses.replace(options.training, frozen_blocks=frozen, seed=options.seed)
    files = [image.source.file for image in images]
    base = os.path.commonpath([path.parent for path in files])  # which names of images are relative to
    names = [Path(os.path.relpath(path, base)).as_posix() for path in files]
    labels = {name: str(image.label) for name, image in zip(names, images, strict=True)}
    return finetune(files, folder, training, labels=labels)


def _vectors(
    images: list[Labelled], folder: Path, options: IndexOptions, skipped: dict[str, str]
) -> tuple[np.ndarray, list[Labelled]]:
    """The vectors of these images, and those of them that have one, in their order."""
    wanted = {image.key for image in images}
    _drop_other(folder, options)
    if Gallery.is_one(folder):
        known = Gallery.open(folder)
        there = [*known.whole_table()["path"].to_pylist(), *(skip.path for skip in known.skipped())]
        known.remove(path for path in there if path not in wanted)
    done = index_images(images, folder, options, relabel=True)
    skipped |= {skip.name: skip.reason for skip in done.skipped}
    gallery = Gallery.open(folder)
    # A gallery keeps the order in which images came to it; the outcome shall not depend on that.
    rows = {path: row for row, path in enumerate(gallery.whole_table()["path"].to_pylist())}
    found = [image for image in images if image.key in rows]
    return np.concatenate(list(gallery.chunks()))[[rows[image.key] for image in found]], found


def _drop_other(folder: Path, options: IndexOptions) -> None:
    """Remove a gallery made with other options or weights; it is built again."""
    if not Gallery.is_one(folder):
        return
    made = Gallery.open(folder).description
    wanted = describe_gallery(options, load_weights(options, [options.layer]))
    if not made.difference(wanted):
        return
    for path in folder.iterdir():  # the description goes last: a kill leaves a gallery that is removed again
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "gallery.json":
            path.unlink()
    shutil.rmtree(folder)


def to_plain(done: Recognized) -> dict[str, object]:
    """What was learnt, as plain values for JSON."""
    evaluation = dataclasses.asdict(done.classified.evaluation)
    del evaluation["predicted"]
    return {
        **evaluation,
        "regularization": done.classified.regularization,
        "tuned": None if done.tuned is None else dataclasses.asdict(done.tuned.epochs[done.tuned.best]),
        "train": done.train,
        "test": done.test,
        "skipped": done.skipped,
    }


def recognition_text(done: Recognized, seconds: float) -> str:
    """Accuracy of each kind and of all, and the confusions."""
    found = done.classified.evaluation
    rows = [[item.name, item.count, item.correct, f"{100 * item.accuracy:.2f}"] for item in found.classes]
    correct = sum(item.correct for item in found.classes)
    rows.append(["all", done.test, correct, f"{100 * found.accuracy:.2f}"])
    parts = [text_table(["kind", "tested", "right", "accuracy"], rows)]
    if done.tuned is not None:
        parts.append(tuning_text(done.tuned))
    parts.append(
        f"Learnt from {done.train:,} images, tested on {done.test:,}; C = {done.classified.regularization:g}"
        + (", chosen by validation" if done.classified.accuracies else "")
        + f"; mean over kinds {100 * found.mean_class_accuracy:.2f} %. {seconds:.1f} s. {done.classifier}"
    )
    if found.confusions:
        pairs = ", ".join(f"{item.name} as {item.predicted} ({item.count})" for item in found.confusions[:5])
        parts.append(f"Most often mixed up: {pairs}.")
    if not done.classified.converged:
        parts.append("Warning: the SVM's solver ran out of iterations; choose a smaller C with --svm-c.")
    parts += reasons("Skipped", done.skipped.items(), len(done.skipped), "evaluation.json")
    return "\n\n".join(parts)
