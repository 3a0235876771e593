"""The commands that learn from labels: what they print, write and exit with."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import ClassifyOptions, FinetuneOptions, IndexOptions
from jaxloc.run import finetune as finetune_module
from jaxloc.run import recognition
from tests.cli import cli
from tests.run import helpers
from tests.run.retrieval import small

TRAINING = ("--epochs", 1, "--batch", 4, "--workers", 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Four images of each of three kinds, of one shape."""
    return small.write_images(tmp_path_factory.mktemp("images") / "photos", range(0, 8, 2), empty=False)


@pytest.fixture
def calls(monkeypatch) -> list[tuple[tuple, dict]]:
    """Jobs are not run; what they were asked is kept here."""
    asked: list[tuple[tuple, dict]] = []

    def job(*arguments, **options):
        asked.append((arguments, options))
        raise UsageError("far enough")

    monkeypatch.setattr(recognition, "recognize", job)
    monkeypatch.setattr(finetune_module, "finetune", job)
    return asked


def test_without_options_the_jobs_get_their_defaults(calls):
    assert cli.invoke("classify", "a", "b", "-o", "o") == (2, "", "jaxloc: far enough\n")
    assert cli.invoke("finetune", "a", "-o", "o") == (2, "", "jaxloc: far enough\n")
    assert calls == [
        ((["a", "b"], Path("o"), ClassifyOptions()), {"test": (), "labels": None}),
        ((["a"], Path("o"), FinetuneOptions()), {}),
    ]


def test_every_option_of_classify_reaches_the_job(calls):
    given = "--test t --test u --test-share 0.5 --tune last --epochs 3 --batch 7 --optimizer adamw --learning-rate 0.01"
    given += " --training-side 96 --svm-c 2 --labels l.json --max-side 300 --seed 5 --weights w --dtype bfloat16"
    given += " --workers 2 --download"
    given += " --layer pool4"
    cli.invoke("classify", "a", "-o", "o", *given.split())
    shared = {"layer": "pool4", "dtype": "bfloat16", "workers": 2, "allow_download": True}
    training = FinetuneOptions(
        weights="w", epochs=3, batch=7, optimizer="adamw", learning_rate=0.01, max_side=96, seed=5, **shared
    )
    describing = IndexOptions(descriptor="scda_flip+", weight=1.0, max_side=300, **shared)
    options = ClassifyOptions(
        tune="last", training=training, describing=describing, test_share=0.5, regularization=2.0, seed=5
    )
    paths = (["a"], Path("o"), options)
    assert calls == [(paths, {"test": [Path("t"), Path("u")], "labels": Path("l.json")})]


def test_every_option_of_finetune_reaches_the_job(calls):
    given = "--multi-label --frozen-blocks 4 --epochs 3 --batch 7 --optimizer adamw --learning-rate 0.01"
    given += " --validation-share 0.2 --training-side 96 --checkpoint-steps 9 --seed 5 --weights w --dtype bfloat16"
    given += " --workers 2 --download --layer pool4"
    cli.invoke("finetune", "a", "-o", "o", *given.split())
    options = FinetuneOptions(
        weights="w",
        layer="pool4",
        multi_label=True,
        frozen_blocks=4,
        epochs=3,
        batch=7,
        optimizer="adamw",
        learning_rate=0.01,
        validation_share=0.2,
        max_side=96,
        checkpoint_steps=9,
        seed=5,
        dtype="bfloat16",
        workers=2,
        allow_download=True,
    )
    assert calls == [((["a"], Path("o"), options), {})]


def test_classify_prints_the_accuracy_of_each_kind_or_json_and_is_strict_if_asked(images, weights, tmp_path):
    classify = ["classify", images, "--out", tmp_path / "out", "--weights", weights, "--svm-c", 1, "--workers", 1]
    status, out, err = cli.invoke(*classify, "--strict")
    assert (status, err) == (0, "")
    for kind in small.KINDS:
        assert re.search(rf"^{kind} +1 +[01] +(0|100)\.00$", out, re.M)
    right = int(re.search(r"^all +3 +(\d) ", out, re.M)[1])
    assert "Learnt from 9 images, tested on 3; C = 1; mean over kinds" in out
    assert str(tmp_path / "out" / "classifier.safetensors") in out

    status, out, err = cli.invoke(*classify, "--json")
    assert (status, err) == (0, "")
    values = json.loads(out, parse_constant=pytest.fail)
    assert values["accuracy"] == right / 3
    assert (values["train"], values["test"], values["skipped"], values["tuned"]) == (9, 3, {}, None)
    assert [one["name"] for one in values["classes"]] == sorted(small.KINDS)

    photos = tmp_path / "photos"
    shutil.copytree(images, photos, ignore=shutil.ignore_patterns("6.png"))
    for number in range(12):
        (photos / "cat" / f"text{number}.png").write_text("no image")
    classify[1:4] = [photos, "--out", tmp_path / "other", "--test", images]
    status, out, err = cli.invoke(*classify, "--strict")
    assert (status, err) == (3, "")
    assert "cat/text0.png: not an image" in out
    assert "… and 2 more, listed in evaluation.json" in out
    assert cli.invoke(*classify)[0] == 0
    status, out, _ = cli.invoke(*classify, "--json", "--strict")
    assert status == 3
    assert len(json.loads(out)["skipped"]) == 12


def test_finetune_prints_its_epochs_and_leaves_weights_that_classify_reads(images, weights, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    finetune = ["finetune", images, "--out", tmp_path / "tuning", "--weights", weights, *TRAINING]
    finetune += ["--frozen-blocks", 5, "--training-side", 64]
    status, out, err = cli.invoke(*finetune)
    assert (status, err) == (0, "")
    assert re.search(r"^1 +\d\.\d{4} +[\d.]+ +\d\.\d{4} +[\d.]+$", out, re.M)
    tuned = tmp_path / "tuning" / "tuned.safetensors"
    assert out.endswith(f"Kept epoch 1: {tuned}\n")
    assert f"Kept epoch 1 (resumed from a checkpoint): {tuned}\n" in cli.invoke(*finetune)[1]
    status, out, err = cli.invoke(*finetune, "--seed", 3)
    assert (status, out) == (2, "")
    assert "a training was begun there with seed 0, not 3: use the same to resume it" in cli.one_line(err)

    classify = ["classify", images, "--out", tmp_path / "out", "--weights", tuned, "--svm-c", 1, "--json"]
    status, out, err = cli.invoke(*classify, "--workers", 1)
    assert (status, err) == (0, "")
    assert json.loads(out)["test"] == 3


def test_without_orbax_the_extra_is_named(images, weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    out = tmp_path / "out"
    for command in (["finetune"], ["classify", "--tune", "head"]):
        status, text, err = cli.invoke(*command, images, "--out", out, "--weights", weights, *TRAINING)
        assert (status, text) == (2, "")
        assert "pip install 'jaxloc[train]'" in cli.one_line(err)
    assert not (out / "classifier.safetensors").exists()


@pytest.mark.parametrize(
    ("command", "given", "message"),
    [
        ("classify", ["--seed", "-1"], "seed must be at least 0, not -1"),
        ("classify", ["--test-share", "1"], "share to test on must be above 0 and below 1, not 1.0"),
        ("classify", ["--svm-c", "0"], "C must be above 0, not 0.0"),
        ("classify", ["--svm-c", "nan"], "C must be above 0, not nan"),
        ("classify", ["--max-side", "20"], "at least 32 pixels, not 20"),
        ("classify", ["--epochs", "0"], "epochs must be at least 1, not 0"),
        ("classify", ["--weights", "resnet"], "unknown weights 'resnet'"),
        ("classify", ["--labels", "gone.json"], "gone.json"),
        ("classify", ["--test", "gone"], "gone: no such file or folder"),
        ("finetune", ["--validation-share", "1"], "validation share must be from 0 to below 1, not 1.0"),
        ("finetune", ["--learning-rate", "0"], "learning rate must be above 0, not 0.0"),
        ("finetune", ["--weights", "gone.safetensors"], "gone.safetensors: no such weights file"),
    ],
    ids=cli.spelt,
)
def test_a_wrong_value_is_told_in_one_line(images, tmp_path, command, given, message):
    status, out, err = cli.invoke(command, images, "-o", tmp_path / "out", *given)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)
    assert [name for name in helpers.every_file(tmp_path) if "checkpoints" not in name] == []


@pytest.mark.parametrize("command", ["classify", "finetune"])
def test_one_kind_is_refused_in_one_line(images, weights, tmp_path, command):
    status, out, err = cli.invoke(command, images / "cat", "-o", tmp_path / "out", "--weights", weights)
    assert (status, out) == (2, "")
    assert "'cat', and telling" in cli.one_line(err)
    assert "one sub-folder" in err
