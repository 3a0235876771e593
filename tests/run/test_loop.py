"""The training loop with a line to learn: whatever ends it, it resumes to the same bits."""

import shutil
import signal

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxloc import _interrupts
from jaxloc.errors import UsageError
from jaxloc.models.training import Tally, make_step, start
from jaxloc.run.loop import Loop
from jaxloc.run.training_checkpoints import Checkpoints


def loss(learnt, fixed, x, y):
    errors = (x @ learnt["kernel"] + fixed - y) ** 2
    return errors.mean(), Tally(errors.sum(), (errors < 0.01).sum(), jnp.int32(len(x)))


def draw(number):
    x = np.random.default_rng([0, 7, number]).normal(size=(8, 2)).astype(np.float32)
    return x, x @ np.array([1, -2], np.float32) + 0.5


def validate(state):
    return {"quality": -float(np.abs(np.asarray(state.trained["kernel"]) - [1, -2]).max())}


def train(
    folder, *, before=lambda number: None, rate=0.1, steps=50, every=20, check=validate, poison=-1, cure="",
    period="", between=0,
):  # fmt: skip
    """Train, calling ``before`` at each step; the parameters and the loop."""

    def drawn(number):
        before(number)
        x, y = draw(number)
        return (x * np.float32(np.nan) if number == poison else x), y

    optimizer = optax.adamw(optax.cosine_decay_schedule(rate, steps))
    state = start({"kernel": np.zeros(2, np.float32)}, optimizer)
    with Checkpoints(folder) as checkpoints:
        loop = Loop(
            state, make_step(loss, optimizer), drawn, steps=steps, every=every, checkpoints=checkpoints,
            settings={"rate": rate}, fixed=np.float32(0.5), validate=check, learning_rate=rate, cure=cure,
            period=period, checkpoint_steps=between,
        )  # fmt: skip
        return loop.run(), loop


class Killed(BaseException):
    """Nothing catches it."""


def at(step, how):
    def before(number):
        if number == step:
            how()

    return before


def killed():
    raise Killed


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return train(tmp_path_factory.mktemp("unbroken"))


def test_learns_and_validates_after_each_period_and_the_last_step(unbroken):
    learnt, loop = unbroken
    assert len(loop.history) == 3
    assert loop.history[2]["loss"] < 0.1 * loop.history[0]["loss"]
    assert loop.history[2]["accuracy"] > loop.history[0]["accuracy"]
    assert loop.best == 2
    assert np.abs(np.asarray(learnt["kernel"]) - [1, -2]).max() < 0.2


@pytest.mark.parametrize("step", [5, 20, 47])
def test_killed_it_resumes_to_the_same_bits(step, unbroken, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, before=at(step, killed))
    learnt, loop = train(tmp_path)
    assert loop.resumed == (step >= 20)
    assert loop.history == unbroken[1].history
    assert np.asarray(learnt["kernel"]).tobytes() == np.asarray(unbroken[0]["kernel"]).tobytes()


def test_ctrl_c_ends_the_step_and_resumes_with_the_next(unbroken, tmp_path):
    with (
        _interrupts.stoppable(lambda stopped: None),
        pytest.raises(KeyboardInterrupt),
    ):
        train(tmp_path, before=at(7, lambda: signal.raise_signal(signal.SIGINT)))
    seen = []
    learnt, loop = train(tmp_path, before=seen.append)
    assert (seen[0], loop.resumed) == (8, True)
    assert np.asarray(learnt["kernel"]).tobytes() == np.asarray(unbroken[0]["kernel"]).tobytes()


def test_a_damaged_checkpoint_is_passed_over(unbroken, tmp_path, caplog):
    with pytest.raises(Killed):
        train(tmp_path, before=at(3, killed), between=1)
    _, second = sorted(tmp_path.iterdir())
    shutil.rmtree(second / "state")
    learnt, _ = train(tmp_path)
    assert f"checkpoint {second.name} cannot be read" in caplog.text
    assert np.asarray(learnt["kernel"]).tobytes() == np.asarray(unbroken[0]["kernel"]).tobytes()
    for checkpoint in tmp_path.iterdir():
        shutil.rmtree(checkpoint / "state")
    with pytest.raises(UsageError, match=r"no checkpoint can be read .*remove the folder to start anew"):
        train(tmp_path)


def test_the_best_state_is_returned(tmp_path):
    qualities, kept = iter([1, 3, 3]), []

    def check(state):
        kept.append(np.asarray(state.trained["kernel"]))
        return {"quality": next(qualities)}

    learnt, loop = train(tmp_path, check=check)
    assert loop.best == 1
    np.testing.assert_array_equal(learnt["kernel"], kept[1])


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_last_state(tmp_path):
    with pytest.raises(UsageError, match=r"not finite in step 43: lower the learning rate \(now 0\.1\)"):
        train(tmp_path, poison=42)
    with pytest.raises(UsageError, match=r"not finite in step 3 of epoch 3: lower the learning rate"):
        train(tmp_path, poison=42, period="epoch")
    seen = []
    train(tmp_path, before=seen.append)
    assert seen[0] == 40


def test_a_training_without_a_choice_of_the_rate_tells_a_cure_of_its_own(tmp_path):
    with pytest.raises(UsageError, match=r"^the loss is not finite in step 1: choose another --seed$"):
        train(tmp_path, poison=0, cure="choose another --seed")


def test_other_settings_are_refused(tmp_path):
    train(tmp_path, steps=2)
    with pytest.raises(UsageError, match=r"begun there with rate 0\.1, not 0\.2: use the same"):
        train(tmp_path, rate=0.2, steps=2)
