"""Hosts that stop together: one tells the others, and the first exits last."""

# ruff: noqa: PT012  # what happens inside is what is tested

import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxloc import _interrupts
from jaxloc.errors import UsageError
from jaxloc.run import distributed


class Client:
    """The coordination service as a host sees it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.values: dict[str, str] = {}
        self.barriers: list[tuple[str, int]] = []
        self.looks = 0
        self._fails = fails

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        if self._fails or (key in self.values and not allow_overwrite):
            raise RuntimeError("UNAVAILABLE")
        self.values[key] = value

    def key_value_try_get(self, key: str) -> str:
        self.looks += 1
        if self.looks == 3:
            self.values[key] = "yes"
        if key not in self.values:
            raise RuntimeError("NOT_FOUND")
        return self.values[key]

    def wait_at_barrier(self, name: str, milliseconds: int) -> None:
        self.barriers.append((name, milliseconds))


@pytest.fixture
def state(monkeypatch):
    made = SimpleNamespace(client=Client(), process_id=1)
    monkeypatch.setattr(distributed, "_service", lambda: made)
    monkeypatch.setattr(distributed, "_POLL", 0)
    return made


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(distributed.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def parting():
    return distributed._Parting()


def test_a_host_that_is_stopped_tells_the_others_and_waits_for_them(state, slept, parting):
    assert parting.farewell() is None
    assert list(state.client.values.values()) == ["yes"]
    assert [milliseconds for _, milliseconds in state.client.barriers] == [15_000]
    assert slept == []


def test_host_0_exits_last(state, slept, parting):
    state.process_id = 0
    parting.farewell()
    assert slept == [1]


def test_a_host_stops_when_another_is_stopped_and_says_why(state, parting):
    with pytest.raises(_interrupts.Stopped), _interrupts.stoppable(lambda stopped: None):
        parting.watch()
        time.sleep(1)
    assert state.client.looks == 3
    assert "another host of this run has stopped, so this one stops too: see what the" in parting.farewell()
    assert state.client.barriers


def test_hosts_that_are_gone_are_not_waited_for(state, parting):
    state.client = Client(fails=True)
    assert parting.farewell() is None
    assert state.client.barriers == []


def test_a_host_that_is_stopped_does_not_watch_any_more(state, parting):
    parting.farewell()
    with _interrupts.stoppable(lambda stopped: None):
        parting.watch()
    assert state.client.looks == 0


def test_where_the_hosts_have_parted_nothing_is_watched(state, parting):
    state.client = None
    with _interrupts.stoppable(lambda stopped: None):
        parting.watch()


def test_without_other_hosts_nothing_is_told(state, monkeypatch):
    monkeypatch.setattr(_interrupts, "farewells", [])
    state.client = None
    distributed._stop_together()
    assert _interrupts.farewells == []


def test_a_host_that_does_not_agree_is_named(monkeypatch):
    digests = [bytes(32), bytes(32), bytes(31) + b"1"]
    monkeypatch.setattr(distributed, "count", lambda: 3)
    monkeypatch.setattr(
        distributed.multihost_utils,
        "process_allgather",
        lambda own: np.stack([own, *(np.frombuffer(other, np.uint8) for other in digests[1:])]),
    )
    message = r"^host 2 has images or options that is not host 0's: every host must see the same images and the same "
    with pytest.raises(UsageError, match=message):
        distributed.agree("images or options", digests[0])
    digests[2] = digests[0]
    distributed.agree("images or options", digests[0])


def test_a_host_that_is_gone_while_it_is_waited_for_is_told(monkeypatch):
    def gone(*_):
        raise RuntimeError("DEADLINE_EXCEEDED")

    monkeypatch.setattr(distributed, "count", lambda: 2)
    monkeypatch.setattr(distributed.multihost_utils, "sync_global_devices", gone)
    with pytest.raises(UsageError, match=r"^another host of this run has stopped, so this one stops too: see what the"):
        distributed.wait("a place")


@pytest.fixture
def initialize(monkeypatch):
    """Let JAX's ``initialize`` be something else, and patience short."""
    monkeypatch.setattr(_interrupts, "farewells", [])
    monkeypatch.setattr(distributed, "_service", lambda: None)
    monkeypatch.setattr(distributed, "_PATIENCE", 0.05)
    return lambda function: monkeypatch.setattr(jax.distributed, "initialize", function)


def test_a_process_that_waits_for_the_others_says_so(initialize, capsys):
    initialize(lambda **_: time.sleep(0.3))
    distributed.join()
    assert capsys.readouterr().err.startswith("waiting for the other hosts: start the same command on each of them, ")


def test_hosts_that_do_not_come_in_time_are_an_error(initialize, monkeypatch):
    monkeypatch.setattr(distributed, "_GIVE_UP", 0.1)
    initialize(lambda **_: time.sleep(1))
    with pytest.raises(UsageError, match=r"^the other hosts did not connect within 0\.1 seconds: start the same"):
        distributed.join()


def test_a_process_of_no_cluster_is_told_what_to_set(initialize):
    def alone(**_):
        raise ValueError("coordinator_address should be defined.")

    initialize(alone)
    with pytest.raises(UsageError) as caught:
        distributed.join()
    assert str(caught.value) == (
        "the hosts could not be joined (coordinator_address should be defined.): on a cluster JAX knows, start the "
        "same command on every host with --distributed; elsewhere set JAX_COORDINATOR_ADDRESS=HOST:PORT, "
        "JAX_NUM_PROCESSES and JAX_PROCESS_ID as well"
    )
