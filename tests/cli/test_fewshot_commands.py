"""The commands of few-shot recognition: what they pass on, print and exit with."""

import json
from pathlib import Path

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import EpisodeOptions, NameOptions
from jaxloc.run import fewshot
from jaxloc.run.fewshot import evaluation
from tests.cli import cli
from tests.run.retrieval import small


@pytest.fixture
def calls(monkeypatch) -> list[tuple[tuple, dict]]:
    """Jobs are not run; what they were asked is kept here."""
    asked: list[tuple[tuple, dict]] = []

    def job(*arguments, **options):
        asked.append((arguments, options))
        raise UsageError("far enough")

    monkeypatch.setattr(fewshot, "name_images", job)
    monkeypatch.setattr(evaluation, "evaluate_episodes", job)
    return asked


def test_without_options_the_jobs_get_their_defaults(calls):
    assert cli.invoke("fewshot", "name", "e", "a", "b", "-o", "o") == (2, "", "jaxloc: far enough\n")
    assert cli.invoke("fewshot", "evaluate", "a") == (2, "", "jaxloc: far enough\n")
    assert calls == [
        (([Path("e")], ["a", "b"], Path("o"), NameOptions()), {"base": (), "labels": None, "keep": None}),
        ((["a"], EpisodeOptions()), {"base": (), "labels": None, "keep": None}),
    ]


def test_options_reach_the_jobs(calls):
    shared = "--weights w --layer pool4 --side 96 --dimension 8 --seed 3 --dtype bfloat16 --labels l.json"
    cli.invoke("fewshot", "name", "e", "a", "-o", "o", "--top", "2", "--report-limit", "7", *shared.split())
    given = "--ways 3 --shots 1 --shots 2 --queries 4 --episodes 9 --draws 3 --splits 2 --base-classes 5 --base b"
    given += " --mapping printed --mapping residual --steps 7"
    cli.invoke("fewshot", "evaluate", "a", *f"{given} --keep k".split(), *shared.split())
    common = {"weights": "w", "layer": "pool4", "side": 96, "dimension": 8, "seed": 3, "dtype": "bfloat16"}
    episodes = {"ways": 3, "shots": (1, 2), "queries": 4, "episodes": 9, "draws": 3, "splits": 2, "base_classes": 5}
    episodes |= {"mapping": ("printed", "residual"), "steps": 7}
    assert calls[0][0][3] == NameOptions(**common, top=2, report_limit=7)
    assert calls[1][0][1] == EpisodeOptions(**common, **episodes)
    assert calls[1][1] == {"base": ["b"], "labels": Path("l.json"), "keep": Path("k")}


def test_names_are_printed_and_skipped_images_exit_with_3(tmp_path):
    weights = small.write_weights(tmp_path / "narrow.safetensors")
    images = small.write_images(tmp_path / "photos", range(1), empty=False)
    (tmp_path / "asked").mkdir()
    small.crop("cat", 0).save(tmp_path / "asked" / "cat.png")
    (tmp_path / "asked" / "broken.png").write_bytes(b"no image")
    given = ["fewshot", "name", images, tmp_path / "asked", "--weights", weights, "--side", 64, "--dimension", 4]
    status, out, _ = cli.invoke(*given, "--out", tmp_path / "out", "--strict")
    assert status == 3
    assert "Least certain: cat.png (cat or " in out
    assert "broken.png: " in out
    assert f"Look at {tmp_path / 'out' / 'report.html'}" in out
    status, out, _ = cli.invoke(*given, "--out", tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["images"][0]["name"] == "cat"
