"""Fine-tune a network on image labels, the first step of the SCDA paper's section 4.3.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017. Each image is
mirrored with probability ½ in each epoch. Order and flips are functions of the seed, the epoch and the image's number,
and a checkpoint holds the whole state. The same call therefore resumes an interrupted training and ends with the same
weights as an uninterrupted one: bit for bit on a CPU, and on a GPU whose compiler uses deterministic sums
(``XLA_FLAGS=--xla_gpu_deterministic_ops=true``).
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxloc._files import write_text
from jaxloc.data.annotations import Annotated
from jaxloc.models import Weights, load, save, weights_file
from jaxloc.models.extract import Params
from jaxloc.models.headed import HEAD, with_head
from jaxloc.options import FinetuneOptions
from jaxloc.report.tables import text_table
from jaxloc.run import classify, outputs
from jaxloc.run.classify import LinearClassifier
from jaxloc.run.training import Epoch, Training
from jaxloc.run.training_checkpoints import Checkpoints
from jaxloc.run.training_images import LabelledImages, annotated_images
from jaxloc.run.writing import disk_errors

TUNED, CLASSIFIER = "tuned.safetensors", "classifier.safetensors"


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A finished training: the files of the tuned network and of its head, and how it went.

    Attributes:
        best: number of the epoch, from 0, whose weights were kept.
        resumed: whether it resumed from a checkpoint.
        skipped: reasons, by name of the image.
    """

    weights: Path
    classifier: Path
    classes: tuple[str, ...]
    epochs: list[Epoch]
    best: int
    resumed: bool
    skipped: dict[str, str]


def finetune(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: FinetuneOptions | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    annotated: Mapping[str, Annotated] | None = None,
) -> FineTuned:
    """Fine-tune a network to classify images and write it; resume an interrupted training.

    Ctrl-C (within ``_interrupts.stoppable``, as the command runs it) ends the step, writes a checkpoint and raises
    ``KeyboardInterrupt``.

    Args:
        paths: folders with one sub-folder for each class, or with ``labels`` any folders, images, or lists; annotated
            sets where images may have several labels.
        out: folder for ``tuned.safetensors``, ``classifier.safetensors``, ``training.json`` and ``checkpoints/``.
        options: of the training; ``FinetuneOptions()`` by default.
        labels: class by the image's name relative to the folder given; ``None`` takes the label that a data set or
            archive gives the image, or the sub-folder's name.
        annotated: images by name to take instead of ``paths``, where images may have several labels.
    """
    options = options or FinetuneOptions()
    folder = outputs.prepare(out)
    weights = load(options.weights, allow_download=options.allow_download)
    layer = options.layer or weights.backbone.defaults.retrieval
    options = dataclasses.replace(options, layer=layer)
    if options.multi_label and annotated is None:
        annotated = annotated_images(paths)
    images = LabelledImages(
        paths,
        labels,
        annotated=annotated,
        minimum_side=weights.backbone.layer(layer).minimum_side,
        max_side=options.max_side,
        workers=options.workers,
        exclude=outputs.places(out),
    )
    with Checkpoints(folder / "checkpoints") as checkpoints:
        training = Training(images, weights, options, checkpoints)
        parameters = training.run()
    with disk_errors(folder, left="it resumes from the last checkpoint"):
        _write(folder, training, parameters, weights)
    files, skipped = (folder / TUNED, folder / CLASSIFIER), dict(sorted(images.skipped.items()))
    return FineTuned(*files, images.classes, training.history, training.best, training.resumed, skipped)


def _write(folder: Path, training: Training, parameters: Params, weights: Weights) -> None:
    network, head = {layer: parameters[layer] for layer in parameters if layer != HEAD}, parameters[HEAD]
    backbone = weights.backbone
    if training.options.multi_label:
        backbone = with_head(backbone, training.options.layer or "", training.images.classes, independent=True)
        network = {name: parameters[name] for name in parameters if name in (HEAD, *backbone.convolutions)}
    flat = {f"{layer}/{name}": np.asarray(array) for layer in network for name, array in network[layer].items()}
    classes = training.images.classes
    seen = f"{len(training.images.sources)} images of {len(classes)} classes"
    source = f"{weights.source}, fine-tuned by jaxloc on {seen}"
    tuned = weights_file.make_weights(flat, backbone, source, TUNED)
    save(folder / TUNED, tuned)
    settings = {
        "kind": "sigmoid" if training.options.multi_label else "softmax",
        "vectors": f"average of {training.options.layer}",
        "max_side": str(training.options.max_side),
        "weights_checksum": tuned.checksum,
    }
    kernel, bias = np.asarray(head["kernel"]).T, np.asarray(head["bias"])
    classify.save(folder / CLASSIFIER, LinearClassifier(classes, kernel, bias, settings))
    epochs = [dataclasses.asdict(epoch) for epoch in training.history]
    log = {"settings": training.settings, "best": training.best, "epochs": epochs}
    write_text(folder / "training.json", json.dumps(log, indent=1))


def tuning_text(done: FineTuned) -> str:
    """The epochs of a training, and which was kept."""
    several = any(epoch.validation_map is not None for epoch in done.epochs)
    head = ["epoch", "loss", "accuracy", "validation loss", "validation accuracy"] + ["validation mAP"] * several
    rows: list[list[object]] = []
    for number, epoch in enumerate(done.epochs, 1):
        row = [number, f"{epoch.loss:.4f}", f"{100 * epoch.accuracy:.2f}", "–", "–"]
        if epoch.validation_loss is not None and epoch.validation_accuracy is not None:
            row[3:] = f"{epoch.validation_loss:.4f}", f"{100 * epoch.validation_accuracy:.2f}"
        row += ["–" if epoch.validation_map is None else f"{100 * epoch.validation_map:.2f}"] * several
        rows.append(row)
    resumed = " (resumed from a checkpoint)" if done.resumed else ""
    return f"{text_table(head, rows)}\nKept epoch {done.best + 1}{resumed}: {done.weights}"
