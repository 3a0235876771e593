"""The commands that learn from labels: fine-tune a network, classify."""

import dataclasses
import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Labels, Out, Paths
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say, tell
from jaxloc.options import ClassifyOptions, DescribeOptions, FinetuneOptions

_OF_CLASSIFY = {"multi_label", "frozen_blocks", "validation_share", "checkpoint_steps", "seed"}


@command
def classify(
    paths: Paths,
    out: Out,
    options: ClassifyOptions,
    training: Annotated[FinetuneOptions, Fields(leave_out=_OF_CLASSIFY)],
    described: Annotated[DescribeOptions, Fields(only={"max_side"})],
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Images to test on; repeatable. [default: a share of each class]"),
    ] = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> Sized:
    """Learn kinds of images from labels: fine-tuning, SCDA_flip+ (α = 1), a linear SVM; prints the accuracy.

    Writes classifier.safetensors, evaluation.json, the vectors as galleries, and the tuned network. After a kill, the
    same command resumes. Fine-tuning needs the extra: pip install 'jaxloc[train]'.

    Examples:
    - `jaxloc classify flowers --out result` (each folder is a kind; a quarter of each is tested on)

    - `jaxloc classify train --test test --tune whole --out result`
    """
    from jaxloc.run.recognition import recognition_text, recognize, to_plain

    shared = {name: getattr(training, name) for name in ("layer", "dtype", "workers", "allow_download")}
    options = dataclasses.replace(
        options,
        training=dataclasses.replace(training, seed=options.seed),
        describing=dataclasses.replace(options.describing, max_side=described.max_side, **shared),
    )
    start = time.perf_counter()
    done = recognize(paths, out, options, test=test or (), labels=labels)
    tell(as_json, lambda: to_plain(done), lambda: recognition_text(done, time.perf_counter() - start))
    return done.skipped


@command
def finetune(paths: Paths, out: Out, options: FinetuneOptions) -> Sized:
    """Fine-tune the network on kinds of images (each folder is one); after a kill, the same command resumes.

    Writes tuned.safetensors, for --weights of any other command. Needs the extra: pip install 'jaxloc[train]'.

    With --multi-label each image has the classes of its objects in an annotated set, and the network gets a classifier
    of them, which `localize --method cam`, `eiss` and `beam` ask.

    Examples:
    - `jaxloc finetune flowers --out tuning`, then `--weights tuning/tuned.safetensors` in any command

    - `jaxloc finetune voc07/trainval:VOCdevkit --multi-label --weights efficientnet-lite0 --out tuning`
    """
    from jaxloc.run.finetune import finetune, tuning_text

    done = finetune(paths, out, options)
    say(tuning_text(done))
    return done.skipped
