"""Options of the jobs that learn from labels: ``finetune`` and ``classify``."""

import dataclasses
import os
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import Options, option, same_as
from jaxloc.options.retrieval import IndexOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneOptions(Options):
    """How to fine-tune a network."""

    weights: str | os.PathLike[str] = same_as(NetworkOptions, "weights")
    layer: str | None = option(
        None,
        "Layer whose average the head reads. [default: the network's own for retrieval]",
        setting="layer",
    )
    multi_label: bool = option(
        False,
        "Images may have several labels: the paths are annotated sets (COCO, VOC, YOLO or NAME:FOLDER), the loss a "
        "sigmoid cross entropy of each class.",
        first=True,
        setting="multi-label",
    )
    frozen_blocks: int | None = option(
        None,
        "Number of blocks of layers to keep as they are, from the input: 0 tunes the whole network, all (5 of a "
        "convolutional network) the head only. [default: 0, or all with --multi-label]",
        least=0,
        first=True,
        setting="frozen blocks",
    )
    epochs: int = option(10, "Number of passes over the images.", least=1, first=True, setting="epochs")
    batch: int = option(16, "Number of images in a training step.", least=1, first=True, setting="batch")
    optimizer: Literal["sgd", "adamw"] = option("sgd", "Optimizer of optax.", setting="optimizer")
    learning_rate: float = option(
        1e-3,
        "Highest learning rate of the network's layers; it rises first and falls along a cosine.",
        above=0,
        first=True,
        setting="learning rate",
    )
    validation_share: float = option(
        0.1,
        "Share of each class held out to choose the best epoch; 0 holds out none and takes the last epoch.",
        least=0,
        below=1,
        first=True,
        setting="validation share",
    )
    max_side: int = option(
        224,
        "While fine-tuning, shrink images whose shorter side is longer than this, in pixels; 0 never shrinks.",
        "--training-side",
        least=0,
        setting="shorter side at most",
    )
    seed: int = option(0, "Seed of the held-out images, the order and the flips.", least=0, setting="seed")
    dtype: str = same_as(NetworkOptions, "dtype")
    checkpoint_steps: int = option(
        0, "Also write a checkpoint every N steps; 0 writes one after each epoch only.", least=0
    )
    workers: int | None = same_as(NetworkOptions, "workers")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifyOptions(Options):
    """How to learn to classify images: fine-tune, describe, and fit a linear SVM.

    ``training`` is how to fine-tune: its weights are the ones to begin with; what is frozen follows from ``tune``, and
    its seed is this class's. ``describing`` is what vectors are made of, SCDA_flip+ with α = 1 as in the paper; its
    weights are not used.
    """

    tune: Literal["none", "head", "last", "whole"] = option(
        "none",
        "Fine-tune first: only a new head (features stay as they are), the last block of convolutions too, or the "
        "whole network.",
        first=True,
    )
    training: FinetuneOptions = dataclasses.field(default_factory=FinetuneOptions)
    describing: IndexOptions = dataclasses.field(
        default_factory=lambda: IndexOptions(descriptor="scda_flip+", weight=1.0)
    )
    test_share: float = option(
        0.25,
        "Share of each class to test on, if no test images are given.",
        above=0,
        below=1,
        label="the share to test on",
        first=True,
    )
    regularization: float | None = option(
        None, "C of the linear SVM. [default: chosen by validation]", "--svm-c", above=0, label="C"
    )
    seed: int = option(0, "Seed of the test images, the order, the flips and the validation.", least=0, first=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.describing.whiten not in ("auto", "none"):
            whiten = self.describing.whiten
            raise UsageError(f"the SVM reads vectors as they are described: leave out the whitening {whiten}")
