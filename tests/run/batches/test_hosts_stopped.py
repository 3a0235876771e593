"""Two processes as two hosts, of which one is asked to end: both end, and what is left goes on."""

import os
import signal

import pytest

from tests.run import helpers
from tests.run.batches import runs
from tests.run.batches.test_hosts import command, finish_both, start_both

__all__ = ["command"]

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="no POSIX signals on this system"), pytest.mark.timeout(300)]


@pytest.mark.soak
def test_hosts_end_together_with_what_they_have(unbroken, images, command, programs, weights, tmp_path):
    expected = unbroken()
    first, second = finish_both(start_both([command(images)] * 2, programs, batch=1, number=signal.SIGTERM))
    assert second[0] == 143
    assert "jaxloc: asked to end; finished work is kept: run the same command again to resume" in second[1].splitlines()
    assert first[0] == 2
    assert (
        "jaxloc: another host of this run has stopped, so this one stops too: see what the other printed, and start "
        "the same command on every host again; finished shards are kept"
    ) in first[1].splitlines()
    there = helpers.every_file(tmp_path / "out")
    assert "parts/_run.json" in there
    assert not [name for name in there if name.endswith(".part")]
    runs.run(images, tmp_path / "out", weights)
    assert helpers.every_file(tmp_path / "out") == expected
