"""The one training loop: steps, validation, checkpoints, and resuming to the same bits.

A training is three functions: ``draw(n)``, the batch of step ``n``, a function of a seed and ``n`` alone;
``step(state, fixed, *batch)``, as ``models.training.make_step`` compiles it; and ``validate(state)``. Whatever ends the
process, the same call resumes from the last checkpoint and ends with the same state as an uninterrupted one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import optax
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc._files import renamed
from jaxloc.errors import UsageError
from jaxloc.models.training import Step, Tally, TrainState, make_step, start
from jaxloc.run.progress import bar
from jaxloc.run.training_checkpoints import Checkpoints

Figures = dict[str, Any]
"""What was measured, as JSON values by name."""


class Score:
    """Loss and correct answers summed over batches."""

    def __init__(self, loss: float = 0.0, correct: int = 0, count: int = 0) -> None:
        self.loss, self.correct, self.count = loss, correct, count

    def add(self, tally: Tally) -> None:
        """Add a batch."""
        self.loss += float(tally.loss)
        self.correct += int(tally.correct)
        self.count += int(tally.total)

    def means(self) -> dict[str, float]:
        """Mean ``loss``, and ``accuracy``; zeros without answers."""
        return {"loss": self.loss / max(self.count, 1), "accuracy": self.correct / max(self.count, 1)}


class Loop:
    """A training of ``steps`` steps, validated after every ``every`` of them and after the last.

    Args:
        state: before the first step, from ``models.training.start``.
        step: gives the state after a batch, and its tally.
        draw: the batch of a step, counted from 0; called in order.
        steps: of the whole training.
        every: number of steps of a period, after which it validates and writes a checkpoint.
        checkpoints: those of this training.
        settings: every setting that the result depends on, as JSON values; a checkpoint with others is refused.
        fixed: parameters that are not learnt, passed to each step.
        validate: figures of a state, as JSON values: its ``quality``, by which the best state is chosen, and others.
            Of equals that with the lowest ``validation_loss`` is taken, if given, then the first. Long ones call
            ``_interrupts.check()`` now and then. ``None`` takes the last state.
        learning_rate: to be named if the loss is not finite.
        cure: what to do then, for a training whose rate cannot be chosen.
        checkpoint_steps: number of steps of a period after which it also writes a checkpoint; 0 does not.
        purpose: what the progress bar says.
        period: what a period is called, if it has a name.
        skipped: reasons by name of the image, kept with the checkpoints and restored.

    Attributes:
        history: of each finished period the mean ``loss`` and ``accuracy``, and the figures of its end.
        resumed: whether it resumed from a checkpoint.
    """

    def __init__(
        self,
        state: TrainState,
        step: Step,
        draw: Callable[[int], Any],
        *,
        steps: int,
        every: int,
        checkpoints: Checkpoints,
        settings: Mapping[str, Any],
        fixed: Any = None,
        validate: Callable[[TrainState], Figures] | None = None,
        learning_rate: float = 1e-3,
        cure: str = "",
        checkpoint_steps: int = 0,
        purpose: str = "training",
        period: str = "",
        skipped: dict[str, str] | None = None,
    ) -> None:
        self._state, self._step, self._draw, self._fixed, self._validate = state, step, draw, fixed, validate
        self._steps, self._every, self._checkpoint_steps = steps, every, checkpoint_steps
        self._checkpoints, self._settings = checkpoints, dict(settings)
        self._purpose, self._period = purpose, period
        self._cure = cure or (
            f"lower the learning rate (now {learning_rate:g}) and choose another --out; {checkpoints.folder} keeps the "
            "last checkpoint"
        )
        self._skipped = {} if skipped is None else skipped
        self.history: list[Figures] = []
        self.resumed = False
        self._batch, self._score, self._saved = 0, Score(), -1

    @property
    def best(self) -> int:
        """The period, from 0, after which the state was best; without validation the last."""
        if self._validate is None:
            return len(self.history) - 1
        ranks = [(figures["quality"], -(figures.get("validation_loss") or 0)) for figures in self.history]
        return ranks.index(max(ranks))

    def run(self) -> Any:
        """Train to the end, from the newest checkpoint if there is one; the learnt parameters of the best state.

        Ctrl-C (within ``_interrupts.stoppable``) ends the step, writes a checkpoint and raises ``KeyboardInterrupt``.
        """
        self._resume()
        shown = bar(purpose=self._purpose, total=self._steps, unit="step", initial=self._taken)
        with _interrupts.deferred(), shown:
            while len(self.history) < self._periods:
                self._run_period(shown)
        state = self._state
        if self.best < len(self.history) - 1:
            number = min((self.best + 1) * self._every, self._steps) + self.best + 1
            state = self._checkpoints.read_state(number, state)
        return state.trained

    @property
    def _periods(self) -> int:
        return -(-self._steps // self._every)

    @property
    def _taken(self) -> int:
        """Number of steps taken."""
        return min(len(self.history) * self._every + self._batch, self._steps)

    def _resume(self) -> None:
        restored = self._checkpoints.resume(self._state, self._check_settings)
        if restored is None:
            return
        self._state, notes = restored.state, restored.notes
        self._saved, self._batch, self.resumed = restored.number, notes["batch"], True
        self._score, self.history = Score(**notes["score"]), notes["history"]
        self._skipped.update(notes["skipped"])

    def _run_period(self, shown: tqdm) -> None:
        number = len(self.history) + 1
        if self._period:
            shown.set_description(f"{self._purpose}, {self._period} {number} of {self._periods}", refresh=False)
        while self._taken < min(number * self._every, self._steps):
            self._state, tally = self._step(self._state, self._fixed, *self._draw(self._taken))
            if not tally.finite:
                raise self._not_finite()
            self._score.add(tally)
            self._batch += 1
            means = self._score.means()
            shown.set_postfix(loss=f"{means['loss']:.3f}", accuracy=f"{100 * means['accuracy']:.1f} %", refresh=False)
            shown.update()
            self._stop_if_asked()
            if self._checkpoint_steps and self._batch % self._checkpoint_steps == 0:
                self._save()
        try:
            figures = {} if self._validate is None else self._validate(self._state)
        except KeyboardInterrupt:
            self._save()
            raise
        self.history.append(self._score.means() | figures)
        self._batch, self._score = 0, Score()
        self._save(measured=self._validate is not None)
        self._stop_if_asked()

    def _not_finite(self) -> UsageError:
        place = f"step {self._taken + 1}"
        if self._period:
            place = f"step {self._batch + 1} of {self._period} {len(self.history) + 1}"
        return UsageError(f"the loss is not finite in {place}: {self._cure}")

    def _stop_if_asked(self) -> None:
        try:
            _interrupts.check()
        except KeyboardInterrupt:
            self._save()
            raise

    def _save(self, *, measured: bool = False) -> None:
        # A period's end counts one more than its last step, so that both can be kept.
        number = self._taken + len(self.history)
        if number == self._saved:
            return
        notes = {
            "settings": self._settings,
            "batch": self._batch,
            "score": vars(self._score),
            "history": self.history,
            "skipped": self._skipped,
        }
        metrics = None
        if measured:
            last = self.history[-1]
            loss = last.get("validation_loss") or 0.0
            metrics = {"loss": loss, "quality": last["quality"], "epoch": len(self.history)}
        self._checkpoints.save(number, self._state, notes, metrics)
        self._saved = number

    def _check_settings(self, notes: dict[str, Any]) -> None:
        before = renamed(notes["settings"])
        long = {"network": "other network", "classes": "other classes", "images": "other images"}
        told = [
            long.get(name, f"{name} {before.get(name)}, not {value}")
            for name, value in self._settings.items()
            if before.get(name) != value
        ]
        if told:
            raise UsageError(
                f"{self._checkpoints.folder}: a training was begun there with {'; '.join(told)}: "
                "use the same to resume it, choose another --out, or remove the folder"
            )


def head_loop(
    params: Any,
    loss: Callable[..., tuple[Any, Tally]],
    draw: Callable[[int], Any],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    **others: Any,
) -> Loop:
    """The ``Loop`` of a small head on frozen maps: AdamW, whose rate decays to 0 along a cosine.

    ``others`` are further arguments of ``Loop``.
    """
    optimizer = optax.adamw(optax.cosine_decay_schedule(learning_rate, steps), weight_decay=weight_decay)
    step = make_step(loss, optimizer)
    return Loop(start(params, optimizer), step, draw, steps=steps, learning_rate=learning_rate, **others)
