"""A trace of a run begins with its first step, ends by itself, and says where it is."""

import jax
import pytest

from jaxloc.errors import UsageError
from jaxloc.run import runtime
from jaxloc.run.profiling import traced
from jaxloc.run.progress import Busy


def compute() -> None:
    output = jax.jit(lambda x: x + 1)(1)
    busy = Busy()
    busy.sent(output)
    busy.close()


def test_a_profile_begins_with_the_first_step_and_ends_by_itself(tmp_path, capsys):
    with traced(tmp_path / "trace", seconds=0):
        assert not list((tmp_path / "trace").iterdir())
        compute()
        assert not list((tmp_path / "trace").rglob("*.xplane.pb"))
        compute()
        assert len(list((tmp_path / "trace").rglob("*.xplane.pb"))) == 1
        compute()
    assert len(list((tmp_path / "trace").rglob("*.xplane.pb"))) == 1
    assert f"s of computing: {tmp_path / 'trace'}" in capsys.readouterr().err


def test_a_profile_ends_with_the_run(tmp_path):
    with runtime.set_up(cache="none", profile=tmp_path / "trace"):
        compute()
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))


def test_a_run_that_computes_nothing_says_that_there_is_no_trace(tmp_path, capsys):
    with runtime.set_up(cache="none", profile=tmp_path / "trace"):
        pass
    assert not (tmp_path / "trace").exists()
    assert "Nothing was computed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a file", "a file/below"])
def test_a_folder_that_cannot_hold_a_trace_is_named_before_any_work(tmp_path, name):
    (tmp_path / "a file").write_bytes(b"kept")
    worked = False
    with (
        pytest.raises(UsageError, match=rf"{name}: cannot be written \(.+\): choose another folder with --profile"),
        runtime.set_up(cache="none", profile=tmp_path / name),
    ):
        worked = True
    assert not worked
    assert (tmp_path / "a file").read_bytes() == b"kept"


def broken(*arguments):
    raise RuntimeError("NOT_FOUND: no such\nfolder")


@pytest.mark.parametrize("function", ["start_trace", "stop_trace"])
def test_a_trace_that_cannot_be_written_after_all_is_told_and_harms_nothing(tmp_path, monkeypatch, capsys, function):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: None)
    monkeypatch.setattr(jax.profiler, function, broken)
    with traced(tmp_path / "trace", seconds=0):
        for _ in range(3):
            compute()
    said = f"{tmp_path / 'trace'}: no trace could be written (NOT_FOUND: no such folder); the run is not harmed.\n"
    assert capsys.readouterr().err == said


def test_a_run_that_is_stopped_ends_as_such_though_its_trace_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", broken)

    def stopped():
        compute()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), traced(tmp_path / "trace"):
        stopped()
