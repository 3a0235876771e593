"""Ctrl-C and SIGTERM end a command at once, and from another thread where the main thread does not notice."""

# ruff: noqa: PT012  # what happens inside is what is tested

import ctypes
import gc
import signal
import sys
import threading
import time

import pytest

from jaxloc import _interrupts
from jaxloc._interrupts import Stopped, stoppable


@pytest.fixture
def left(monkeypatch):
    """Signals that ended the process from another thread."""
    monkeypatch.setattr(_interrupts, "GRACE", 0.05)
    return []


@pytest.fixture
def leave(left):
    return lambda stopped: left.append((stopped.number, stopped.reason))


@pytest.mark.parametrize("number", _interrupts.SIGNALS)
def test_a_signal_is_raised_at_once(leave, left, number):
    with pytest.raises(Stopped) as stopped, stoppable(leave):
        signal.raise_signal(number)
        pytest.fail("not reached")
    assert stopped.value.number == number
    assert left == []


@pytest.mark.parametrize("number", _interrupts.SIGNALS)
def test_where_the_main_thread_does_not_end_another_thread_ends_the_process(leave, left, number):
    with stoppable(leave):
        with pytest.raises(Stopped):
            signal.raise_signal(number)
        while not left:
            time.sleep(0.01)
    assert left == [(number, None)]


def test_a_signal_while_garbage_is_collected_ends_the_process_without_a_traceback(leave, left, capfd):
    def collecting(phase, information):
        signal.raise_signal(signal.SIGINT)

    with stoppable(leave):
        gc.callbacks.append(collecting)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(collecting)
        while not left:
            time.sleep(0.01)
    assert left == [(signal.SIGINT, None)]
    assert capfd.readouterr().err == ""


def test_a_second_ctrl_c_is_raised_as_well_and_a_second_sigterm_is_not(leave):
    with stoppable(leave):
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)


def test_no_job_can_swallow_it_as_an_error():
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("number", _interrupts.SIGNALS)
def test_handlers_are_those_of_before_after_the_block(leave, number):
    before = signal.getsignal(number)
    with stoppable(leave):
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_other_threads_are_left_alone(leave):
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with stoppable(leave):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", _interrupts.SIGNALS)
def test_a_signal_is_held_back_until_it_is_asked_for(leave, left, number):
    with stoppable(leave):
        with pytest.raises(Stopped) as stopped, _interrupts.deferred():
            _interrupts.check()
            signal.raise_signal(number)
            time.sleep(0.1)
            assert left == []
            _interrupts.check()
        assert stopped.value.number == number


def test_a_signal_that_is_held_back_is_raised_at_the_end_of_the_block(leave):
    done = []
    with stoppable(leave), pytest.raises(Stopped), _interrupts.deferred():
        signal.raise_signal(signal.SIGTERM)
        done.append(1)
    assert done


def test_the_first_of_two_that_are_held_back_decides_and_a_second_ctrl_c_is_raised_at_once(leave):
    with stoppable(leave), pytest.raises(Stopped) as stopped, _interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
    assert stopped.value.number == signal.SIGINT


def test_any_thread_can_stop_the_process(leave):
    with pytest.raises(Stopped), stoppable(leave):
        thread = threading.Thread(target=_interrupts.stop)
        thread.start()
        thread.join()
        time.sleep(1)


def test_farewells_are_said_when_a_signal_ends_the_block_and_only_then(leave, left, monkeypatch):
    monkeypatch.setattr(_interrupts, "farewells", [lambda: "another one stopped"])
    with pytest.raises(ValueError, match="a failure"), stoppable(leave):
        raise ValueError("a failure")
    with pytest.raises(Stopped) as stopped, stoppable(leave):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.reason == "another one stopped"
    with stoppable(leave):
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        while not left:
            time.sleep(0.01)
    assert left == [(signal.SIGTERM, "another one stopped")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the C library's signal()")
def test_signals_that_a_library_took_are_taken_back(leave):
    ignore = ctypes.c_void_p(int(signal.SIG_IGN))
    with stoppable(leave):
        ctypes.CDLL(None).signal(int(signal.SIGTERM), ignore)
        signal.raise_signal(signal.SIGTERM)
        _interrupts.take_back()
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", _interrupts.SIGNALS)
def test_handlers_of_others_are_left_alone_outside_the_block(number):
    before = signal.getsignal(number)
    _interrupts.take_back()
    assert signal.getsignal(number) is before
