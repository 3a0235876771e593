"""The state of a training and one step of it, whatever is learnt."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxloc._jit import standard_promotion


class TrainState(NamedTuple):
    """Number of steps taken, the parameters that are learnt, and the optimiser's own state."""

    step: jax.Array
    trained: Any
    optimizer: Any


class Tally(NamedTuple):
    """Sums over a batch, which add up over batches: loss, correct answers, answers.

    ``finite`` says whether the loss and every gradient were finite; other steps are not taken.
    """

    loss: jax.Array
    correct: jax.Array
    total: jax.Array
    finite: jax.Array | bool = True


Step = Callable[..., tuple[TrainState, Tally]]
"""``step(state, fixed, *batch)``, the state after it and the batch's tally before it."""


@functools.partial(jax.jit, static_argnums=1)
def start(learnt: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step; the parameters are copied, so that a step may donate them.

    It is one program: a copy and the optimiser's zeros for each shape would be dozens.
    """
    learnt = jax.tree.map(jnp.array, learnt)
    return TrainState(jnp.int32(0), learnt, optimizer.init(learnt))


@standard_promotion()
def descend(
    mean_loss: Callable[[Any], tuple[jax.Array, Tally]], state: TrainState, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Tally]:
    """One step of the optimiser down a loss.

    Returns:
        the state after the step, and the tally. If loss or gradients are not finite the state stays as it was.
    """
    (loss, tally), gradients = jax.value_and_grad(mean_loss, has_aux=True)(state.trained)
    finite = tally.finite & jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradients))
    updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.trained)
    after = TrainState(state.step + 1, optax.apply_updates(state.trained, updates), optimizer_state)
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, state), tally._replace(finite=finite)


def cross_entropy(scores: jax.Array, targets: jax.Array) -> tuple[jax.Array, Tally]:
    """Mean softmax cross entropy of logits ``[…, classes]`` with classes ``[…]``, and the tally of the batch."""
    losses = optax.softmax_cross_entropy_with_integer_labels(scores, targets)
    return losses.mean(), Tally(losses.sum(), (scores.argmax(-1) == targets).sum(), jnp.int32(losses.size))


def make_step(loss: Callable[..., tuple[jax.Array, Tally]], optimizer: optax.GradientTransformation) -> Step:
    """The compiled step down ``loss(learnt, fixed, *batch)``, which gives the mean loss and the batch's tally."""

    def step(state: TrainState, fixed: Any, *batch: Any) -> tuple[TrainState, Tally]:
        return descend(lambda learnt: loss(learnt, fixed, *batch), state, optimizer)

    return jax.jit(step, donate_argnums=0)
