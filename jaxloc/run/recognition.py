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
from jaxloc.options import ClassifyOptions, IndexOptions
from jaxloc.run import classify, outputs
from jaxloc.run.classify import Classified
from jaxloc.run.engine import load_weights
from jaxloc.run.finetune import FineTuned, finetune
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import describe_gallery, index_images
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images

_FROZEN = {"head": 5, "last": 4, "whole": 0}


@dataclasses.dataclass(frozen=True)
class Recognized:
    """A trained classifier and its accuracy.

    Attributes:
        classified: the SVM and its accuracy on the test images.
        tuned: the fine-tuning, or ``None``.
        train: number of training images.
        test: number of test images.
        classifier: the SVM's file.
        skipped: reasons, by name of the image.
    """

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

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options = options or ClassifyOptions()
    train_set, test_set = _split(paths, test, labels, out, options)
    folder = outputs.prepare(out)
    tuned = None
    describing = dataclasses.replace(options.describing, weights=options.training.weights)
    if options.tune != "none":
        training = dataclasses.replace(options.training, frozen_blocks=_FROZEN[options.tune], seed=options.seed)
        files, kinds = _as_files(train_set)
        tuned = finetune(files, folder / "tuning", training, labels=kinds)
        describing = dataclasses.replace(describing, weights=tuned.weights)
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
    write_text(folder / "evaluation.json", json.dumps(to_plain(done) | {"pictures": images}, indent=1) + "\n")
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
    tested: list[Labelled] = []
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
    return (
        [image for image, held in zip(images, held_out, strict=True) if not held],
        [image for image, held in zip(images, held_out, strict=True) if held],
    )


def _as_files(images: Sequence[Labelled]) -> tuple[list[Path], dict[str, str]]:
    """The files, and each one's label by its name relative to what they have in common."""
    files = [image.source.file for image in images]
    base = os.path.commonpath([path.parent for path in files])
    names = [Path(os.path.relpath(path, base)).as_posix() for path in files]
    return files, {name: str(image.label) for name, image in zip(names, images, strict=True)}


def _vectors(
    images: list[Labelled], folder: Path, options: IndexOptions, skipped: dict[str, str]
) -> tuple[np.ndarray, list[Labelled]]:
    """The vectors of these images, and those of them that have one, in their order."""
    wanted = {image.key for image in images}
    _drop_other(folder, options)
    if Gallery.is_one(folder):
        known = Gallery.open(folder)
        there = [*known.whole_table().paths, *(skip.path for skip in known.skipped())]
        known.remove(path for path in there if path not in wanted)
    done = index_images(images, folder, options, relabel=True)
    skipped |= {skip.name: skip.reason for skip in done.skipped}
    gallery = Gallery.open(folder)
    # A gallery keeps the order in which images came to it; the outcome shall not depend on that.
    rows = {path: row for row, path in enumerate(gallery.whole_table().paths)}
    found = [image for image in images if image.key in rows]
    return gallery.all_vectors()[[rows[image.key] for image in found]], found


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
