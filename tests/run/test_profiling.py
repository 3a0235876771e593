"""A trace of a run ends by itself or with the run."""

import threading
import time

import jax
import pytest

from jaxloc.errors import UsageError
from jaxloc.run import runtime


def traces(folder) -> list:
    return list(folder.rglob("*.xplane.pb"))


def test_a_trace_ends_with_the_run(tmp_path):
    with runtime.set_up(cache="none", profile=tmp_path / "trace"):
        jax.jit(lambda x: x + 1)(1)
    assert len(traces(tmp_path / "trace")) == 1


@pytest.mark.soak  # the next test has no profiler, which takes three seconds to write
def test_a_trace_ends_by_itself(tmp_path):
    with runtime.traced(tmp_path / "trace", seconds=0):
        while not traces(tmp_path / "trace"):
            time.sleep(0.01)
    assert len(traces(tmp_path / "trace")) == 1


def test_a_trace_is_ended_once_after_its_time(tmp_path, monkeypatch):
    ended = threading.Event()

    def end():
        if ended.is_set():
            raise RuntimeError("no trace")
        ended.set()

    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", end)
    with runtime.traced(tmp_path / "trace", seconds=0):
        assert ended.wait(10)


@pytest.mark.parametrize("name", ["a file", "a file/below"])
def test_a_folder_that_cannot_hold_a_trace_is_named_before_any_work(tmp_path, name):
    (tmp_path / "a file").write_bytes(b"kept")
    with (
        pytest.raises(UsageError, match=rf"{name}: cannot be written \(.+\): choose another folder with --profile"),
        runtime.set_up(cache="none", profile=tmp_path / name),
    ):
        pytest.fail("it began")
    assert (tmp_path / "a file").read_bytes() == b"kept"
