"""A trace of a run begins with its first step, ends by itself, and says where it is."""

import jax

from jaxloc.run import machine
from jaxloc.run.profiling import traced
from jaxloc.run.progress import Busy


def compute() -> None:
    output = jax.jit(lambda x: x + 1)(1)
    busy = Busy()
    busy.sent(output)
    busy.close()


def test_a_profile_begins_with_the_first_step_and_ends_by_itself(tmp_path, capsys):
    with traced(tmp_path / "trace", seconds=0):
        assert not (tmp_path / "trace").exists()
        compute()
        assert not list((tmp_path / "trace").rglob("*.xplane.pb"))
        compute()
        assert len(list((tmp_path / "trace").rglob("*.xplane.pb"))) == 1
        compute()
    assert len(list((tmp_path / "trace").rglob("*.xplane.pb"))) == 1
    assert f"s of computing: {tmp_path / 'trace'}" in capsys.readouterr().err


def test_a_profile_ends_with_the_run(tmp_path):
    with machine.set_up(cache="none", profile=tmp_path / "trace"):
        compute()
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))


def test_a_run_that_computes_nothing_says_that_there_is_no_trace(tmp_path, capsys):
    with machine.set_up(cache="none", profile=tmp_path / "trace"):
        pass
    assert not (tmp_path / "trace").exists()
    assert "Nothing was computed" in capsys.readouterr().err
