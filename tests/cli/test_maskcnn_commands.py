"""The commands of Mask-CNN: what they pass on."""

from pathlib import Path

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import MaskCnnOptions
from jaxloc.run import maskcnn
from tests.cli import cli


@pytest.fixture
def calls(monkeypatch) -> list[tuple]:
    """Jobs are not run; what they were asked is kept here."""
    asked: list[tuple] = []

    def job(*arguments):
        asked.append(arguments)
        raise UsageError("far enough")

    for name in ("train_maskcnn", "apply_maskcnn"):
        monkeypatch.setattr(maskcnn, name, job)
    return asked


def test_options_reach_the_jobs(calls):
    assert cli.invoke("maskcnn", "train", "cub200:x", "-o", "o") == (2, "", "jaxloc: far enough\n")
    given = "--weights w --side 448 --steps 9 --classifier-steps 8 --test-share 0.5 --seed 3 --report-limit 2"
    cli.invoke("maskcnn", "train", "d", "-o", "o", *given.split())
    cli.invoke("maskcnn", "apply", "m", "a", "b", "-o", "o", "--weights", "w")
    every = {"weights": "w", "side": 448, "steps": 9, "classifier_steps": 8, "test_share": 0.5, "seed": 3}
    assert calls == [
        ("cub200:x", Path("o"), MaskCnnOptions()),
        ("d", Path("o"), MaskCnnOptions(**every, report_limit=2)),
        (Path("m"), ["a", "b"], Path("o"), MaskCnnOptions(weights="w")),
    ]
