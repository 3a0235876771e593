"""Fine-tuning as the training loop takes it: batches of images, their validation, and the compiled step."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxloc import _interrupts
from jaxloc.metrics import interpolated_average_precision
from jaxloc.models import Backbone, Weights, classifier, compiler_options, training
from jaxloc.models.extract import Params
from jaxloc.models.training import Step, Tally, TrainState
from jaxloc.options import FinetuneOptions
from jaxloc.run.classify import hold_out_share
from jaxloc.run.loop import Figures, Loop, Score
from jaxloc.run.training_checkpoints import Checkpoints
from jaxloc.run.training_images import LabelledBatch, LabelledImages

_ORDER, _FLIPS = 0, 1


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Means of an epoch over the training images, and at its end over the held-out ones, if there are any.

    Of images with several labels the accuracy is the share whose highest score is that of one of them, and
    ``validation_map`` the mean over classes of the average precision of their scores; ``None`` for others.
    """

    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_map: float | None = None


class Training:
    """A fine-tuning: the state before it, its batches and its validation, as the loop takes them.

    Attributes:
        settings: every setting that the result depends on.
    """

    def __init__(
        self, images: LabelledImages, weights: Weights, options: FinetuneOptions, checkpoints: Checkpoints
    ) -> None:
        self.images, self.options = images, options
        held_out = hold_out_share(images.strata, options.validation_share, options.seed)
        self._seen, self._held_out = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        self._per_epoch = len(images.plan(self._seen, options.batch))
        self._batches: Iterator[LabelledBatch] = iter(())
        self._next = -1
        learnt, self._fixed = classifier.split_params(
            weights.params,
            len(images.classes),
            backbone=weights.backbone,
            layer=options.layer,
            frozen_blocks=frozen_blocks(options, weights.backbone),
        )
        steps = options.epochs * self._per_epoch
        optimizer = _optimizer(steps, name=options.optimizer, learning_rate=options.learning_rate)
        network = (weights.backbone, options.layer, options.dtype)
        self._measure = _compiled_measure(*network)
        self.settings: dict[str, Any] = {
            **options.fingerprint(),
            "network": weights.checksum,
            "classes": list(images.classes),
            "images": images.fingerprint(),
        }
        self._loop = Loop(
            training.start(learnt, optimizer),
            _compiled_step(optimizer, *network),
            self._draw,
            steps=steps,
            every=self._per_epoch,
            checkpoints=checkpoints,
            settings=self.settings,
            fixed=self._fixed,
            validate=self._validate if len(self._held_out) else None,
            learning_rate=options.learning_rate,
            checkpoint_steps=options.checkpoint_steps,
            purpose="fine-tuning",
            period="epoch",
            skipped=images.skipped,
        )

    @property
    def history(self) -> list[Epoch]:
        """The finished epochs."""
        names = {field.name for field in dataclasses.fields(Epoch)}
        without: Figures = {"validation_loss": None, "validation_accuracy": None}
        epochs = [without | figures for figures in self._loop.history]
        return [Epoch(**{name: figures[name] for name in names & figures.keys()}) for figures in epochs]

    @property
    def best(self) -> int:
        """The epoch with the highest validation quality (of equals, the lowest loss, then the first); or the last."""
        return self._loop.best

    @property
    def resumed(self) -> bool:
        """Whether it resumed from a checkpoint."""
        return self._loop.resumed

    def run(self) -> Params:
        """Train to the end; the parameters after the best epoch, head and fixed ones included."""
        return self._fixed | self._loop.run()

    def _draw(self, number: int) -> LabelledBatch:
        """The batch of a step; those after it are decoded ahead."""
        epoch, first = divmod(number, self._per_epoch)
        if first == 0 or number != self._next:
            self._batches = self._epoch(epoch, first)
        self._next = number + 1
        return next(self._batches)

    def _epoch(self, epoch: int, first: int) -> Iterator[LabelledBatch]:
        seed, batch = self.options.seed, self.options.batch
        order = np.random.default_rng([seed, _ORDER, epoch]).permutation(self._seen)

        def flipped(number: int) -> bool:
            return bool(np.random.default_rng([seed, _FLIPS, epoch, number]).integers(2))

        return self.images.batches(self.images.plan(order, batch)[first:], batch, flipped=flipped)

    def _validate(self, state: TrainState) -> Figures:
        """Loss, accuracy and mean average precision of the held-out images."""
        score, scores, targets = Score(), [], []
        plan = self.images.plan(self._held_out, self.options.batch)
        parameters = self._fixed | state.trained
        for batch in self.images.batches(plan, self.options.batch):
            tally, found = jax.device_get(self._measure(parameters, *batch))
            score.add(tally)
            scores.append(found[batch.counted])
            targets.append(batch.targets[batch.counted])
            _interrupts.check()
        figures: Figures = {f"validation_{name}": value for name, value in score.means().items()}
        quality = figures["validation_accuracy"]
        if self.images.targets.ndim > 1:
            quality = mean_average_precision(*map(np.concatenate, (scores, targets)))
            figures["validation_map"] = quality
        return {**figures, "quality": quality}


def frozen_blocks(options: FinetuneOptions, backbone: Backbone) -> int:
    """Blocks that are kept as they are: all, if the options say nothing and images may have several labels."""
    if options.frozen_blocks is not None:
        return options.frozen_blocks
    return len(backbone.blocks) if options.multi_label else 0


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean over classes of the average precision (area under the curve) of scores; classes without image left out.

    Args:
        scores: ``[n, classes]``.
        targets: bool ``[n, classes]``.
    """
    order = np.argsort(-scores, 0, kind="stable")
    ranked = [np.take_along_axis(values, order, 0).T for values in (targets, scores)]
    each = interpolated_average_precision(*ranked)
    return float(np.nanmean(each)) if targets.any() else 0.0


_optimizer = functools.cache(classifier.make_optimizer)


@functools.cache
def _compiled_step(optimizer: optax.GradientTransformation, backbone: Backbone, layer: str | None, dtype: str) -> Step:
    """The compiled step, shared by trainings of equal options in this process."""
    network: dict[str, Any] = {"backbone": backbone, "layer": layer, "dtype": jnp.dtype(dtype)}
    step = functools.partial(classifier.train_step, optimizer=optimizer, **network)
    return jax.jit(step, donate_argnums=0, compiler_options=compiler_options(backbone))


@functools.cache
def _compiled_measure(backbone: Backbone, layer: str | None, dtype: str) -> Callable[..., tuple[Tally, jax.Array]]:
    def measure(
        params: Params, images: jax.Array, sizes: jax.Array, targets: jax.Array, counted: jax.Array
    ) -> tuple[Tally, jax.Array]:
        scores = classifier.logits(params, images, sizes, backbone=backbone, layer=layer, dtype=jnp.dtype(dtype))
        return classifier.tally(scores, targets, counted), scores

    return jax.jit(measure, compiler_options=compiler_options(backbone))
