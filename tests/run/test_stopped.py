"""Stopped at any stage of a run, it ends there, and resumes to the same bytes."""

import os
import signal
import threading
from pathlib import Path

import pytest

from jaxloc import _interrupts
from jaxloc.inference import programs
from jaxloc.report import coco, figures
from jaxloc.report import parquet as stored
from jaxloc.report.records import Finding, Findings
from jaxloc.run import distributed, fit_pass, outputs
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def stop_in(monkeypatch):
    """Stop this process when a function is called for the third time; returns the list of its calls."""

    def prepare(owner, name: str, *, at: int = 3) -> list[int]:
        calls: list[int] = []
        function = getattr(owner, name)

        def calling(*arguments, **options):
            calls.append(len(calls))
            if len(calls) == at:
                stop()
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, calling)
        return calls

    return prepare


def is_stopped(work) -> bool:
    with _interrupts.stoppable(lambda stopped: None):
        try:
            work()
        except _interrupts.Stopped:
            return True
    return False


@pytest.fixture
def findings(tmp_path) -> Findings:
    """Of three shards on disk."""
    shards = [tmp_path / f"found-{shard}.parquet" for shard in range(3)]
    for shard, path in enumerate(shards):
        names = [f"{shard}-{number}.png" for number in range(4)]
        stored.write(path, [Finding(name, Path(name), "cat", 80, 60, (1, 2, 30, 40), 0.5, True) for name in names], [])
    return Findings("cat", "scda", {}, stored.Images(shards), stored.SkippedImages(shards))


@pytest.mark.parametrize(
    ("owner", "name", "written"),
    [(coco, "_xywh", set()), (figures.Figures, "add", {"annotations.json"})],
    ids=["annotations", "report"],
)
def test_while_results_are_written(findings, stop_in, monkeypatch, tmp_path, owner, name, written):
    outputs.write(tmp_path / "unbroken", findings)
    with monkeypatch.context():
        calls = stop_in(owner, name)
        assert is_stopped(lambda: outputs.write(tmp_path / "out", findings))
        assert len(calls) == 3
    assert set(helpers.every_file(tmp_path / "out")) == written
    outputs.write(tmp_path / "out", findings)
    assert helpers.every_file(tmp_path / "out") == helpers.every_file(tmp_path / "unbroken")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    return runs.write_images(tmp_path_factory.mktemp("kinds") / "images")


@pytest.fixture(scope="module")
def unbroken(kinds, weights, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("unbroken") / "out"
    runs.run(kinds, folder, weights)
    return helpers.every_file(folder)


@pytest.mark.parametrize(
    ("owner", "name", "missing"),
    [
        (fit_pass, "_fit", "parts/fitted-00000.safetensors"),
        (programs.Programs, "compile", "parts/moments-00000.safetensors"),
    ],
    ids=["between two sets' fits", "between two shapes' programs"],
)
def test_where_nothing_is_read(kinds, weights, unbroken, stop_in, monkeypatch, tmp_path, owner, name, missing):
    programs.programs_of.cache_clear()  # else nothing is compiled again
    with monkeypatch.context():
        calls = stop_in(owner, name, at=1)
        assert is_stopped(lambda: runs.run(kinds, tmp_path / "out", weights))
    there = helpers.every_file(tmp_path / "out")
    assert missing not in there
    assert not [path for path in there if path.endswith(".part")]
    if name == "_fit":
        assert len(calls) == 1
    runs.run(kinds, tmp_path / "out", weights)
    assert helpers.every_file(tmp_path / "out") == unbroken


@pytest.mark.parametrize("wait", [lambda: distributed.wait("a place"), lambda: distributed.agree("options", bytes(32))])
def test_while_other_hosts_are_waited_for(monkeypatch, wait):
    never = threading.Event()

    def others(_) -> None:
        stop()
        never.wait(60)

    monkeypatch.setattr(distributed, "count", lambda: 2)
    for name in ("sync_global_devices", "process_allgather"):
        monkeypatch.setattr(distributed.multihost_utils, name, others)
    assert is_stopped(wait)


def test_while_another_hosts_file_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    monkeypatch.setattr(distributed.time, "sleep", lambda seconds: stop())
    assert is_stopped(lambda: distributed.see(tmp_path / "late"))
