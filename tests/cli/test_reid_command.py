"""The commands that tell identities apart, on a small network."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxloc.errors import UsageError
from jaxloc.options import ReidOptions
from jaxloc.run.reid import train as train_module
from tests.cli import cli
from tests.models import narrow

OPTIONS = (
    "--method",
    "triplet",
    "--hidden",
    8,
    "--steps",
    2,
    "--step-images",
    12,
    "--workers",
    1,
    "--devices",
    1,
    "--max-side",
    64,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("identities") / "in", np.random.default_rng(0)
    for identity in ("a", "b", "c"):
        (folder / "kind" / identity).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "kind" / identity / f"{number}.png")
    return folder


def test_what_is_learnt_makes_a_gallery_that_is_measured(images, tmp_path):
    weights = narrow.write(tmp_path / "narrow.safetensors")
    status, out, err = cli.invoke("reid", "train", images, "-o", tmp_path / "out", "-w", weights, *OPTIONS)
    assert (status, err) == (0, "")
    assert "Learnt triplet on 9 images of 3 identities of 1 kind;" in out
    made = tmp_path / "out" / "projection.safetensors"
    command = "index", images, "-o", tmp_path / "gallery", "-w", weights, "--devices", 1, "--projection", made
    status, out, err = cli.invoke(*command)
    assert (status, err) == (0, "")
    status, out, err = cli.invoke("reid", "evaluate", tmp_path / "gallery", "--draws", 2, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["identities"], found["queries"], found["draws"]) == (3, 6, 2)
    status, out, _ = cli.invoke("reid", "evaluate", tmp_path / "gallery")
    assert status == 0
    assert "CMC@1" in out
    status, _, err = cli.invoke("reid", "evaluate", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "no gallery here" in err


def test_options_reach_the_job(monkeypatch):
    asked = []

    def job(*arguments, **options):
        asked.append((arguments, options))
        raise UsageError("far enough")

    monkeypatch.setattr(train_module, "train", job)
    given = "--method ccl --margin 0.5 --layer pool4 --seed 3 --validation-share 0.2 --labels l.json --split train"
    assert cli.invoke("reid", "train", "a", "-o", "o", *given.split())[0] == 2
    ((paths, out, options), more) = asked[0]
    assert (paths, str(out), more["splits"], str(more["labels"])) == (["a"], "o", ["train"], "l.json")
    assert options == ReidOptions(method="ccl", margin=0.5, layer="pool4", seed=3, validation_share=0.2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--step-images", "13"], "step images must be a multiple of 12, not 13: change --step-images"),
        (["--steps", "0"], "steps must be at least 1, not 0"),
        (["--validation-share", "1"], "validation share must be from 0 to below 1, not 1.0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(given, message):
    assert cli.invoke("reid", "train", "a", "-o", "o", *given) == (2, "", f"jaxloc: {message}\n")
