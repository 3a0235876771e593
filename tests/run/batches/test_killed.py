"""The command, killed and stopped as systems do it: the same command goes on, and ends with the same bytes."""

import os
import signal

import pytest

from tests.run import helpers
from tests.run.batches import commanded, runs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no POSIX signals on this system")


FITTING = {3: "moments-00000.safetensors"}
LOCATING = {9: "found-00000.parquet"}
"""A batch of the run without features kept, and the last file that is complete by then."""


@pytest.fixture
def command(images, weights, tmp_path) -> list[object]:
    asked = ["--per-folder", "--devices", 1, "--shard-size", 3, "--workers", 1]
    return ["colocalize", images, "--out", tmp_path / "out", "--weights", weights, *asked]


@pytest.fixture
def run_again(images, weights, command, programs, tmp_path):
    """The same run once more, in a process of its own or in this one."""

    def again(own_process: bool) -> None:
        if own_process:
            assert commanded.finish(commanded.start(*command, environment=programs))[0] == 0
        else:
            runs.run(images, tmp_path / "out", weights)

    return again


KILLS = [
    {"file": "moments-00001.safetensors", "where": "half"},
    {"file": "fitted-00000.safetensors"},
    {"batch": 2},
    {"file": "found-00002.parquet", "where": "half"},
    {"file": "report.html", "where": "half"},
]


@pytest.mark.parametrize("kills", [KILLS[3:4], pytest.param(KILLS, marks=pytest.mark.soak)], ids=["once", "five times"])
def test_killed_it_ends_with_the_bytes_of_an_unbroken_run(unbroken, command, programs, run_again, tmp_path, kills):
    expected = unbroken()
    for moment in kills:
        process = commanded.start(*command, **moment, environment=programs)
        assert commanded.finish(process)[0] == -signal.SIGKILL, moment
        half = [name for name in helpers.every_file(tmp_path / "out") if name.endswith(".part")]
        assert len(half) == (moment.get("where") == "half")
    run_again(kills == KILLS)
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.soak  # in one process in test_resume.py, as a command in cli/test_commands.py
@pytest.mark.parametrize(
    ("number", "moments", "status", "message"),
    [
        (signal.SIGTERM, LOCATING, 143, "asked to end"),
        (signal.SIGTERM, FITTING | LOCATING, 143, "asked to end"),
        (signal.SIGINT, LOCATING, 130, "interrupted"),
    ],
    ids=["SIGTERM", "SIGTERM twice", "Ctrl-C"],
)
def test_stopped_in_a_shard_it_keeps_the_finished_ones(
    unbroken, command, programs, run_again, tmp_path, number, moments, status, message
):
    expected = unbroken()
    kept = "finished work is kept: run the same command again to resume"
    for batch, file in moments.items():
        process = commanded.start(*command, "--feature-cache", 0, batch=batch, number=number, environment=programs)
        assert commanded.finish(process) == (status, f"jaxloc: {message}; {kept}\n")
        parts = {path.name for path in (tmp_path / "out" / "parts").iterdir()}
        assert file in parts
        assert not [name for name in parts if name.endswith(".part")]
        assert not {"annotations.json", "report.html"} & {path.name for path in (tmp_path / "out").iterdir()}
    run_again(moments != LOCATING)
    assert helpers.every_file(tmp_path / "out") == expected
