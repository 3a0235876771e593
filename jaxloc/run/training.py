"""The loop of fine-tuning: steps, validation, checkpoints, and resuming."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc._files import IMAGES
from jaxloc.errors import UsageError
from jaxloc.metrics import interpolated_average_precision
from jaxloc.models import Backbone, Weights, classifier, compiler_options
from jaxloc.models.classifier import Tally, TrainState
from jaxloc.models.extract import Params
from jaxloc.options import FinetuneOptions
from jaxloc.run.classify import hold_out_share
from jaxloc.run.progress import bar
from jaxloc.run.training_checkpoints import Checkpoints
from jaxloc.run.training_images import LabelledImages

_ORDER, _FLIPS = 0, 1


@dataclasses.dataclass
class Score:
    """Loss and hits summed over images."""

    loss: float = 0.0
    correct: int = 0
    count: int = 0

    def add(self, tally: Tally) -> None:
        """Add a batch."""
        self.loss += float(tally.loss)
        self.correct += int(tally.correct)
        self.count += int(tally.total)

    def means(self) -> tuple[float, float]:
        """Mean loss, and accuracy; zeros without images."""
        return self.loss / max(self.count, 1), self.correct / max(self.count, 1)


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

    @property
    def quality(self) -> float:
        """What the best epoch has most of."""
        return (self.validation_accuracy or 0.0) if self.validation_map is None else self.validation_map


class Training:
    """The state of one training.

    Attributes:
        settings: every setting that the result depends on; a checkpoint with other settings is refused.
        history: of the finished epochs.
        resumed: whether it resumed from a checkpoint.
    """

    def __init__(
        self, images: LabelledImages, weights: Weights, options: FinetuneOptions, checkpoints: Checkpoints
    ) -> None:
        self.images, self.options, self._checkpoints = images, options, checkpoints
        self.history: list[Epoch] = []
        self.resumed = False
        self._batch, self._score, self._saved = 0, Score(), -1
        held_out = hold_out_share(images.strata, options.validation_share, options.seed)
        self._seen, self._held_out = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        self._per_epoch = len(images.plan(self._seen, options.batch))
        learnt, self._fixed = classifier.split_params(
            weights.params,
            len(images.classes),
            backbone=weights.backbone,
            layer=options.layer,
            frozen_blocks=frozen_blocks(options, weights.backbone),
        )
        named = ("learning_rate", "head_factor", "momentum", "weight_decay", "warmup")
        chosen = {name: getattr(options, name) for name in named}
        optimizer = _optimizer(options.epochs * self._per_epoch, name=options.optimizer, **chosen)
        self._state = classifier.start(learnt, optimizer)
        network = (weights.backbone, options.layer, options.dtype)
        self._step = _compiled_step(optimizer, options.label_smoothing, *network)
        self._measure = _compiled_measure(*network)
        self.settings: dict[str, Any] = {
            **options.fingerprint(),
            "network": weights.checksum,
            "classes": list(images.classes),
            IMAGES: images.fingerprint(),
        }

    @property
    def best(self) -> int:
        """The epoch with the highest validation quality (of equals, the lowest loss, then the first); or the last."""
        if not len(self._held_out):
            return len(self.history) - 1
        ranks = [(one.quality, -(one.validation_loss or 0)) for one in self.history]
        return ranks.index(max(ranks))

    def resume(self) -> None:
        """Resume from the newest checkpoint, if there is one; ``UsageError`` if its settings are others."""
        restored = self._checkpoints.resume(self._state, self._check_settings)
        if restored is None:
            return
        self._state, notes = restored.state, restored.notes
        self._saved, self._batch, self.resumed = restored.number, notes["batch"], True
        self._score = Score(**notes["score"])
        self.history = [Epoch(**epoch) for epoch in notes["history"]]
        self.images.skipped.update(notes["skipped"])

    def run(self) -> None:
        """Train to the end; Ctrl-C writes a checkpoint. ``UsageError`` if the loss is not finite."""
        done = len(self.history) * self._per_epoch + self._batch
        total = self.options.epochs * self._per_epoch
        with _interrupts.deferred(), bar(purpose="training", total=total, unit="step", initial=done) as shown:
            while len(self.history) < self.options.epochs:
                self._run_epoch(shown)

    def best_parameters(self) -> Params:
        """The parameters after the best epoch, head and fixed ones included."""
        state = self._state
        if self.best < len(self.history) - 1:
            state = self._checkpoints.read_state((self.best + 1) * (self._per_epoch + 1), state)
        return self._fixed | state.trained

    def _run_epoch(self, shown: tqdm) -> None:
        options, epoch = self.options, len(self.history)
        shown.set_description(f"fine-tuning, epoch {epoch + 1} of {options.epochs}", refresh=False)
        order = np.random.default_rng([options.seed, _ORDER, epoch]).permutation(self._seen)
        plan = self.images.plan(order, options.batch)

        def flipped(number: int) -> bool:
            return bool(np.random.default_rng([options.seed, _FLIPS, epoch, number]).integers(2))

        for batch in self.images.batches(plan[self._batch :], options.batch, flipped=flipped):
            self._state, tally = self._step(self._state, self._fixed, *batch)
            if not tally.finite:
                raise UsageError(
                    f"the loss is not finite in step {self._batch + 1} of epoch {epoch + 1}: lower the learning rate "
                    f"(now {options.learning_rate:g}) and choose another --out; {self._checkpoints.folder} keeps the "
                    "last checkpoint"
                )
            self._score.add(tally)
            self._batch += 1
            loss, accuracy = self._score.means()
            shown.set_postfix(loss=f"{loss:.3f}", accuracy=f"{100 * accuracy:.1f} %", refresh=False)
            shown.update()
            self._stop_if_asked()
            if options.checkpoint_steps and self._batch % options.checkpoint_steps == 0:
                self._save()
        self.history.append(Epoch(*self._score.means(), *self._validate()))
        self._batch, self._score = 0, Score()
        self._save(measured=len(self._held_out) > 0)
        self._stop_if_asked()

    def _validate(self) -> tuple[float | None, float | None, float | None]:
        """Loss, accuracy and mean average precision of the held-out images."""
        if not len(self._held_out):
            return None, None, None
        score, scores, targets = Score(), [], []
        plan = self.images.plan(self._held_out, self.options.batch)
        parameters = self._fixed | self._state.trained
        for batch in self.images.batches(plan, self.options.batch):
            tally, found = jax.device_get(self._measure(parameters, *batch))
            score.add(tally)
            scores.append(found[batch.counted])
            targets.append(batch.targets[batch.counted])
            self._stop_if_asked()
        several = self.images.targets.ndim > 1
        return *score.means(), mean_average_precision(*map(np.concatenate, (scores, targets))) if several else None

    def _stop_if_asked(self) -> None:
        try:
            _interrupts.check()
        except KeyboardInterrupt:
            self._save()
            raise

    def _save(self, *, measured: bool = False) -> None:
        # An epoch's end counts one more than its last step, so that both can be kept.
        number = len(self.history) * (self._per_epoch + 1) + self._batch
        if number == self._saved:
            return
        notes = {
            "settings": self.settings,
            "batch": self._batch,
            "score": dataclasses.asdict(self._score),
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "skipped": self.images.skipped,
        }
        metrics = None
        if measured:
            last = self.history[-1]
            metrics = {"loss": last.validation_loss or 0.0, "quality": last.quality, "epoch": len(self.history)}
        self._checkpoints.save(number, self._state, notes, metrics)
        self._saved = number

    def _check_settings(self, notes: dict[str, Any]) -> None:
        before = notes["settings"]
        long = {"network": "other network", "classes": "other classes", IMAGES: "other images"}
        told = [
            long.get(name, f"{name} {before.get(name)}, not {value}")
            for name, value in self.settings.items()
            if before.get(name) != value
        ]
        if told:
            raise UsageError(
                f"{self._checkpoints.folder}: a training was begun there with {'; '.join(told)}: "
                "use the same to resume it, choose another --out, or remove the folder"
            )


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
def _compiled_step(
    optimizer: optax.GradientTransformation, label_smoothing: float, backbone: Backbone, layer: str | None, dtype: str
) -> Callable[..., tuple[TrainState, Tally]]:
    """The compiled step, shared by trainings of equal options in this process."""
    network: dict[str, Any] = {"backbone": backbone, "layer": layer, "dtype": jnp.dtype(dtype)}
    step = functools.partial(classifier.train_step, optimizer=optimizer, label_smoothing=label_smoothing, **network)
    return jax.jit(step, donate_argnums=0, compiler_options=compiler_options(backbone))


@functools.cache
def _compiled_measure(backbone: Backbone, layer: str | None, dtype: str) -> Callable[..., tuple[Tally, jax.Array]]:
    def measure(
        params: Params, images: jax.Array, sizes: jax.Array, targets: jax.Array, counted: jax.Array
    ) -> tuple[Tally, jax.Array]:
        scores = classifier.logits(params, images, sizes, backbone=backbone, layer=layer, dtype=jnp.dtype(dtype))
        return classifier.tally(scores, targets, counted), scores

    return jax.jit(measure, compiler_options=compiler_options(backbone))
