"""The commands that learn from labels: fine-tune a network, classify."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxloc.cli.messages import one_line_errors, say, say_json
from jaxloc.cli.options import ComputeDtype, Download, Dtype, Out, Paths, Strict, WeightsName, Workers
from jaxloc.cli.retrieval import AsJson, Labels


class Tune(StrEnum):
    """What is fine-tuned."""

    none = "none"
    head = "head"
    last = "last"
    whole = "whole"


class Optimizer(StrEnum):
    """Optimisers of optax."""

    sgd = "sgd"
    adamw = "adamw"


Epochs = Annotated[int, typer.Option("--epochs", help="Times that every image is seen when fine-tuning.")]
TrainingBatch = Annotated[int, typer.Option("--batch", help="Images in a training step.")]
Choice = Annotated[Optimizer, typer.Option("--optimizer", help="How the network is fine-tuned.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", help="The highest, of the network's layers.")]
TrainingSide = Annotated[
    int, typer.Option("--training-side", help="Shrink images whose shorter side is longer, while fine-tuning.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of what is held out, the order and the flips.")]


@one_line_errors
def classify(
    paths: Paths,
    out: Out,
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Images to test on; repeatable. [default: a share of each kind]"),
    ] = None,
    test_share: Annotated[float, typer.Option("--test-share", help="That share.")] = 0.25,
    tune: Annotated[
        Tune,
        typer.Option("--tune", help="Fine-tune first: only a new head, the last block of convolutions too, or all."),
    ] = Tune.none,
    epochs: Epochs = 10,
    batch: TrainingBatch = 16,
    optimizer: Choice = Optimizer.sgd,
    learning_rate: LearningRate = 1e-3,
    training_side: TrainingSide = 224,
    regularization: Annotated[
        float | None, typer.Option("--svm-c", help="C of the linear SVM. [default: chosen by validation]")
    ] = None,
    labels: Labels = None,
    max_side: Annotated[
        int, typer.Option("--max-side", help="Shrink images whose shorter side is longer, when describing; 0 never.")
    ] = 700,
    seed: Seed = 0,
    as_json: AsJson = False,
    weights: WeightsName = "vgg16",
    dtype: ComputeDtype = Dtype.float32,
    workers: Workers = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Learn kinds of images from labels: fine-tuning, SCDA_flip+ (α = 1), a linear SVM; prints the accuracy.

    Writes classifier.safetensors, evaluation.json, the vectors as galleries, and the tuned network. Broken off, the
    same command goes on where it was. Fine-tuning needs the extra: pip install 'jaxloc[train]'.

    Examples:
    - `jaxloc classify flowers --out result` (each folder is a kind; a quarter of each is tested on)

    - `jaxloc classify train --test test --tune whole --out result`
    """
    from jaxloc.options import IndexOptions
    from jaxloc.run.recognition import RecognitionOptions, recognize, to_plain
    from jaxloc.run.recognition_summary import recognition_text

    training = _training(
        weights=weights,
        epochs=epochs,
        batch=batch,
        optimizer=optimizer.value,
        learning_rate=learning_rate,
        max_side=training_side,
        seed=seed,
        dtype=dtype.value,
        workers=workers,
        allow_download=download or None,
    )
    describing = IndexOptions(
        descriptor="scda_flip+",
        weight=1.0,
        max_side=max_side,
        dtype=dtype.value,
        workers=workers,
        allow_download=download or None,
    )
    start = time.perf_counter()
    done = recognize(
        paths,
        out,
        RecognitionOptions(
            tune=tune.value,
            training=training,
            describing=describing,
            test_share=test_share,
            regularization=regularization,
            seed=seed,
        ),
        test=test or (),
        labels=labels,
    )
    if as_json:
        say_json(to_plain(done))
    else:
        say(recognition_text(done, time.perf_counter() - start))
    if strict and done.skipped:
        raise typer.Exit(3)


@one_line_errors
def finetune(
    paths: Paths,
    out: Out,
    frozen_blocks: Annotated[
        int,
        typer.Option(
            "--frozen-blocks",
            min=0,
            max=5,
            help="Blocks of convolutions that stay: 0 tunes all, 5 the head only.",
        ),
    ] = 0,
    epochs: Epochs = 10,
    batch: TrainingBatch = 16,
    optimizer: Choice = Optimizer.sgd,
    learning_rate: LearningRate = 1e-3,
    validation_share: Annotated[
        float, typer.Option("--validation-share", help="Share of each kind held out to choose the best epoch; 0: last.")
    ] = 0.1,
    max_side: TrainingSide = 224,
    checkpoint_steps: Annotated[
        int, typer.Option("--checkpoint-steps", help="Also write a checkpoint every so many steps.")
    ] = 0,
    seed: Seed = 0,
    weights: WeightsName = "vgg16",
    dtype: ComputeDtype = Dtype.float32,
    workers: Workers = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Fine-tune the network on kinds of images (each folder is one); broken off, it goes on where it was.

    Writes tuned.safetensors, for --weights of any other command. Needs the extra: pip install 'jaxloc[train]'.

    Example: `jaxloc finetune flowers --out tuning`, then `--weights tuning/tuned.safetensors` in any command
    """
    from jaxloc.run.finetune import finetune
    from jaxloc.run.recognition_summary import tuning_text

    training = _training(
        weights=weights,
        frozen_blocks=frozen_blocks,
        epochs=epochs,
        batch=batch,
        optimizer=optimizer.value,
        learning_rate=learning_rate,
        validation_share=validation_share,
        max_side=max_side,
        checkpoint_steps=checkpoint_steps,
        seed=seed,
        dtype=dtype.value,
        workers=workers,
        allow_download=download or None,
    )
    done = finetune(paths, out, training)
    say(tuning_text(done))
    if strict and done.skipped:
        raise typer.Exit(3)


def _training(**values: Any) -> Any:
    from jaxloc.run.training import TrainingOptions

    return TrainingOptions(**values)
