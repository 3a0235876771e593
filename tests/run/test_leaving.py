"""Hosts that end together: one tells the others, and host 0, which the others need, leaves last."""

from types import SimpleNamespace

import pytest

from jaxloc import _interrupts
from jaxloc.errors import UsageError
from jaxloc.run import leaving


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
    monkeypatch.setattr(leaving, "_service", lambda: made)
    monkeypatch.setattr(leaving, "_LOOK", 0)
    return made


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(leaving.time, "sleep", seconds.append)
    return seconds


def test_a_host_that_was_asked_tells_the_others_and_waits_for_them(state, slept):
    leaving._leave(asked=True)
    assert list(state.client.values.values()) == ["yes"]
    assert [milliseconds for _, milliseconds in state.client.barriers] == [15_000]
    assert slept == []


def test_host_0_leaves_last(state, slept):
    state.process_id = 0
    leaving._leave(asked=True)
    assert slept == [1]


def test_a_host_that_was_not_asked_itself_says_why_it_stops(state):
    with pytest.raises(UsageError, match="another host of this run has stopped, so this one stops too: see what the"):
        leaving._leave(asked=False)
    assert state.client.barriers


@pytest.mark.parametrize("asked", [True, False])
def test_hosts_that_are_gone_are_not_waited_for(state, asked):
    state.client = Client(fails=True)
    if asked:
        leaving._leave(asked)
    else:
        with pytest.raises(UsageError, match="another host"):
            leaving._leave(asked)
    assert state.client.barriers == []


def test_a_host_notices_that_another_was_asked(state):
    with _interrupts.remembered():
        leaving._watch()
        with pytest.raises(_interrupts.Terminated):
            _interrupts.check()
    assert state.client.looks == 3


def test_where_the_hosts_have_parted_nothing_is_watched(state):
    state.client = None
    with _interrupts.remembered():
        leaving._watch()
        _interrupts.check()


def test_without_other_hosts_nothing_is_told(state, monkeypatch):
    monkeypatch.setattr(_interrupts, "_leaving", [])
    state.client = None
    leaving.leave_together()
    assert _interrupts._leaving == []
