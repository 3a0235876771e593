"""Fine-tuning as a job: what it leaves behind, and that whatever breaks it off, it goes on to the same result."""

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxloc import _interrupts, models
from jaxloc.errors import UsageError
from jaxloc.models import extract_features
from jaxloc.options import FinetuneOptions
from jaxloc.run import classify
from jaxloc.run.finetune import finetune
from jaxloc.run.loop import Loop, Score
from jaxloc.run.training import Training
from jaxloc.run.training_images import LabelledImages
from tests.data.datasets import trees
from tests.models import narrow
from tests.run import helpers

COLOURS = {"black": (20, 20, 20), "blue": (30, 30, 230), "yellow": (240, 240, 30)}


def write_images(folder: Path, count: int = 6) -> Path:
    """Noisy images of one colour each, in two shapes that go into one bucket."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shape = ((64, 52, 3), (40, 64, 3))[number % 2]
            pixels = np.clip(rng.normal(colour, 20, shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "in")


def test_the_classes_of_a_data_set_are_its_labels_and_not_its_folders(tmp_path):
    root = trees.cub(tmp_path)
    found = LabelledImages([f"cub200/train:{root}"], minimum_side=1, max_side=64, workers=1)
    assert len(found.classes) == 2
    assert all(source.label == found.classes[n] for source, n in zip(found.sources, found.targets, strict=True))


def short_training(folder: Path) -> FinetuneOptions:
    """Training of the whole of a narrow network, whose weights ``folder`` takes, in a few steps."""
    return FinetuneOptions(
        weights=narrow.write(folder / "narrow.safetensors"),
        epochs=4,
        batch=4,
        optimizer="adamw",
        learning_rate=0.003,
        validation_share=0.3,
        workers=2,
    )


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return short_training(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def quick(options):
    """Six steps of the last block and the head: of 18 images of three classes a third are held out."""
    return dataclasses.replace(options, epochs=2, frozen_blocks=4)


@pytest.fixture(scope="module")
def quickly(images, quick, tmp_path_factory):
    """What a quick training without a break returned."""
    return finetune([images], tmp_path_factory.mktemp("quick"), quick)


@pytest.fixture(scope="module")
def unbroken(images, options, tmp_path_factory):
    """A training without a break: its folder. Nothing may be changed in it."""
    folder = tmp_path_factory.mktemp("unbroken")
    finetune([images], folder, options)
    return folder


def same_outcome(a: Path, b: Path) -> bool:
    files = ("tuned.safetensors", "classifier.safetensors", "training.json")
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in files)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def killed() -> None:
    raise Killed


def break_off(monkeypatch, at_step: int, how) -> None:
    """Run ``how`` once so many steps have been taken."""
    taken = []
    add = Score.add

    def counted(score, tally):
        add(score, tally)
        taken.append(1)
        if len(taken) == at_step:
            how()

    monkeypatch.setattr(Score, "add", counted)


def test_learns_and_leaves_a_network_and_a_classifier_that_work_together(images, options, unbroken):
    log = json.loads((unbroken / "training.json").read_text())
    losses = [epoch["loss"] for epoch in log["epochs"]]
    assert losses[-1] < 0.85 * losses[0]
    tuned = models.load(unbroken / "tuned.safetensors")
    before = models.load(options.weights)
    assert tuned.backbone == before.backbone
    assert tuned.source == "random, fine-tuned by jaxloc on 18 images of 3 classes"
    assert all((tuned.params[name]["kernel"] != before.params[name]["kernel"]).any() for name in before.params)
    head = classify.load(unbroken / "classifier.safetensors")
    assert head.classes == tuple(COLOURS)
    assert head.settings["weights_checksum"] == tuned.checksum
    assert head.settings["vectors"] == "average of pool5"
    found = LabelledImages([images], minimum_side=32, max_side=224)
    held_out = classify.hold_out_share(found.targets, 0.3, 0)
    vectors = []
    extract = jax.jit(functools.partial(extract_features, backbone=tuned.backbone, layers=("pool5",)))
    for source in found.sources:
        with Image.open(source.path) as image:
            maps = extract(tuned.params, np.asarray(image))
        vectors.append(np.asarray(maps["pool5"].features).mean((0, 1)))
    scores = head.scores(np.array(vectors))[held_out].astype(np.float64)
    losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(len(scores)), found.targets[held_out]]
    assert losses.mean() == pytest.approx(log["epochs"][log["best"]]["validation_loss"], rel=1e-4)


def test_a_finished_training_is_not_done_again(images, options, unbroken):
    before = helpers.every_file(unbroken)
    again = finetune([images], unbroken, options)
    assert again.resumed
    assert len(again.epochs) == 4
    assert helpers.every_file(unbroken) == before


def test_killed_in_the_middle_of_an_epoch_it_goes_on_to_the_same_weights(images, quick, quickly, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        break_off(patch, 8, killed)  # two steps into the second epoch: a validation has two batches
        with pytest.raises(Killed):
            finetune([images], tmp_path / "out", dataclasses.replace(quick, checkpoint_steps=2))
    assert not (tmp_path / "out" / "tuned.safetensors").exists()
    assert finetune([images], tmp_path / "out", quick).resumed
    assert same_outcome(tmp_path / "out", quickly.weights.parent)


@pytest.mark.soak
def test_a_process_that_is_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(
    images, options, unbroken, tmp_path
):
    code = f"""
import os, signal, sys
from pathlib import Path
import pytest
from jaxloc.options import FinetuneOptions
from jaxloc.run.finetune import finetune, tuning_text
from tests.models import narrow
from tests.run.test_finetune import break_off

patch = pytest.MonkeyPatch()
break_off(patch, 8, lambda: os.kill(os.getpid(), signal.SIGKILL))
options = FinetuneOptions(**{dataclasses.asdict(options) | {"weights": str(options.weights), "checkpoint_steps": 2}!r})
finetune([{str(images)!r}], {str(tmp_path / "out")!r}, options)
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out" / "tuned.safetensors").exists()
    assert finetune([images], tmp_path / "out", options).resumed
    assert same_outcome(tmp_path / "out", unbroken)


@pytest.mark.soak  # run/test_loop.py
@pytest.mark.parametrize(("at_batch", "steps"), [(2, 2), (4, 3)])
def test_ctrl_c_ends_the_step_and_leaves_a_checkpoint_of_it(
    images, options, unbroken, tmp_path, monkeypatch, at_batch, steps
):
    """An epoch has three steps, so the fourth batch is of the validation set."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch, _interrupts.stoppable(lambda stopped: None):
        break_off(patch, at_batch, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            finetune([images], out, options)
    assert [path.name for path in (out / "checkpoints").iterdir()] == [str(steps)]
    assert finetune([images], out, options).resumed
    assert same_outcome(out, unbroken)


@pytest.mark.soak  # run/test_loop.py
def test_a_damaged_checkpoint_is_passed_over(images, options, unbroken, tmp_path, monkeypatch, caplog):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        break_off(patch, 3, killed)
        with pytest.raises(Killed):
            finetune([images], out, dataclasses.replace(options, checkpoint_steps=1))
    _, second = sorted((out / "checkpoints").iterdir())
    shutil.rmtree(second / "state")
    finetune([images], out, options)
    assert f"checkpoint {second.name} cannot be read" in caplog.text
    assert same_outcome(out, unbroken)
    for checkpoint in (out / "checkpoints").iterdir():
        shutil.rmtree(checkpoint / "state")
    with pytest.raises(UsageError, match=r"no checkpoint can be read .*remove the folder to start anew"):
        finetune([images], out, options)


def test_other_settings_or_images_are_refused(images, options, unbroken, tmp_path):
    other = dataclasses.replace(options, learning_rate=0.5, seed=3)
    with pytest.raises(UsageError, match=r"begun there with learning_rate 0\.003, not 0\.5; seed 0, not 3: .*--out"):
        finetune([images], unbroken, other)
    with pytest.raises(UsageError, match="begun there with other images: "):
        finetune([write_images(tmp_path / "in", 5)], unbroken, options)
    harmless = dataclasses.replace(options, workers=1, checkpoint_steps=7)
    assert finetune([images], unbroken, harmless).resumed


@pytest.mark.soak  # run/test_loop.py
def test_the_weights_of_the_best_epoch_are_kept(images, options, tmp_path, monkeypatch):
    held_out = iter([(0.5, 1 / 6), (0.3, 4 / 6), (0.4, 4 / 6), (0.3, 4 / 6)])

    def validate(training, state):
        loss, accuracy = next(held_out)
        return {"validation_loss": loss, "validation_accuracy": accuracy, "quality": accuracy}

    monkeypatch.setattr(Training, "_validate", validate)
    kept = []
    save = Loop._save

    def remember(loop, *, measured=False):
        kept.append(narrow.flat(loop._state.trained))
        save(loop, measured=measured)

    monkeypatch.setattr(Loop, "_save", remember)
    done = finetune([images], tmp_path / "out", options)
    assert done.best == 1
    assert [epoch.validation_accuracy for epoch in done.epochs] == [1 / 6, 4 / 6, 4 / 6, 4 / 6]
    tuned = narrow.flat(models.load(done.weights).params)
    assert all((tuned[name] == kept[1][name]).all() for name in tuned)
    assert any((tuned[name] != kept[2][name]).any() for name in tuned)


@pytest.mark.soak  # run/test_loop.py
def test_a_loss_that_is_not_finite_ends_it_with_the_cure(images, options, tmp_path):
    wild = dataclasses.replace(options, learning_rate=1e25, checkpoint_steps=1)
    with pytest.raises(UsageError, match=r"not finite in step \d of epoch 1: lower the learning rate \(now 1e\+25\)"):
        finetune([images], tmp_path / "out", wild)
    assert any((tmp_path / "out" / "checkpoints").iterdir())
    assert not (tmp_path / "out" / "tuned.safetensors").exists()


def test_frozen_blocks_stay_as_they_were(options, quickly):
    before, after = (narrow.flat(models.load(path).params) for path in (options.weights, quickly.weights))
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert {name for name in before if name.startswith("conv5") and name.endswith("kernel")} <= changed
    assert all(name.startswith("conv5") for name in changed)


def test_labels_may_be_given_by_name(images, quick, tmp_path):
    flat = helpers.plant(tmp_path / "flat", [])
    labels = {}
    for path in sorted(images.rglob("*.png")):
        name = f"{path.parent.name}{path.stem}.png"
        shutil.copy(path, flat / name)
        labels[name] = {"black": "dark", "blue": "cold", "yellow": "warm"}[path.parent.name]
    done = finetune([flat], tmp_path / "out", quick, labels=labels)
    assert done.classes == ("cold", "dark", "warm")
    del labels["yellow0.png"]
    with pytest.raises(UsageError, match=r"no label for yellow0\.png: add it"):
        finetune([flat], tmp_path / "other", quick, labels=labels)


def test_images_that_cannot_be_used_are_skipped_and_with_nothing_held_out_the_last_epoch_counts(quick, tmp_path):
    folder = write_images(tmp_path / "in", 4)
    (folder / "yellow" / "3.png").unlink()  # one that cannot be read takes its place in the plan
    (folder / "yellow" / "text.png").write_text("no image")
    whole = (folder / "yellow" / "0.png").read_bytes()
    (folder / "yellow" / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (20, 90)).save(folder / "yellow" / "small.png")
    done = finetune([folder], tmp_path / "out", dataclasses.replace(quick, validation_share=0.0))
    assert done.best == 1
    assert done.epochs[0].validation_accuracy is None
    assert set(done.skipped) == {"yellow/text.png", "yellow/cut.png", "yellow/small.png"}
    assert "too small: 20×90 pixels, and 32 a side" in done.skipped["yellow/small.png"]
    assert "not an image" in done.skipped["yellow/text.png"]
    assert np.isfinite(done.epochs[0].loss)


def test_one_class_is_refused(images, options, tmp_path):
    with pytest.raises(UsageError, match="only of 'yellow', and telling classes apart needs two"):
        finetune([images / "yellow"], tmp_path / "out", options)


def test_without_orbax_the_extra_is_named(images, options, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(UsageError, match=r"pip install 'jaxloc\[train\]'"):
        finetune([images], tmp_path / "out", options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of sgd, adamw, not 'lion'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"learning_rate": 0.0}, r"learning rate must be above 0, not 0\.0"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        FinetuneOptions(**wrong)


def test_every_image_is_seen_once_in_batches_of_one_shape_flipped_left_to_right(images):
    found = LabelledImages([images], minimum_side=32, max_side=0)
    plan = found.plan(np.random.default_rng(0).permutation(18), 4)
    assert sorted(number for together in plan for number in together) == list(range(18))
    assert max(map(len, plan)) == 4
    straight, flipped = list(found.batches(plan, 4)), list(found.batches(plan, 4, flipped=lambda _: True))
    assert {batch.images.shape for batch in straight} == {(4, 64, 64, 3)}
    assert {tuple(size) for batch in straight for size in batch.sizes} == {(64, 52), (40, 64), (0, 0)}
    for together, one, other in zip(plan, straight, flipped, strict=True):
        np.testing.assert_array_equal(one.counted, np.arange(4) < len(together))
        np.testing.assert_array_equal(one.targets[: len(together)], found.targets[together])
        for image, mirrored, (rows, columns) in zip(one.images, other.images, one.sizes, strict=True):
            np.testing.assert_array_equal(image[:rows, :columns][:, ::-1], mirrored[:rows, :columns])


def test_flips_change_from_epoch_to_epoch_and_are_about_half(images, quick, tmp_path, monkeypatch):
    seen = []
    batches = LabelledImages.batches

    def spy(self, plan, batch, *, flipped=None):
        if flipped is None:
            return batches(self, plan, batch)
        seen.append([flipped(number) for number in range(200)])
        return batches(self, plan, batch, flipped=flipped)

    monkeypatch.setattr(LabelledImages, "batches", spy)
    finetune([images], tmp_path / "out", quick)
    assert len(seen) == 2
    assert seen[0] != seen[1]
    assert all(70 < sum(epoch) < 130 for epoch in seen)
