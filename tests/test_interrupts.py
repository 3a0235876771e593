"""A Ctrl-C or SIGTERM ends a job at the next image, and a second Ctrl-C at once."""

import ctypes
import os
import signal
import sys
import threading

import pytest

from jaxloc import _interrupts
from jaxloc.errors import UsageError


def test_the_first_is_noticed_at_the_next_check():
    with _interrupts.remembered():
        _interrupts.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            _interrupts.check()


def test_the_second_interrupts_at_once():
    with _interrupts.remembered():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_being_asked_to_end_is_noticed_at_the_next_check_however_often():
    with _interrupts.remembered():
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(_interrupts.Terminated):
            _interrupts.check()


def test_a_ctrl_c_after_that_interrupts_at_once():
    with _interrupts.remembered():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_was_asked_first_decides():
    with _interrupts.remembered():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            _interrupts.check()


def test_being_asked_to_end_is_no_error_that_a_job_could_swallow():
    assert not issubclass(_interrupts.Terminated, Exception)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_remembered_past_the_block(number):
    before = signal.getsignal(number)
    with _interrupts.remembered():
        signal.raise_signal(number)
    _interrupts.check()
    assert signal.getsignal(number) is before


def test_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with _interrupts.remembered():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_items_are_checked_one_by_one():
    seen = []

    def items():
        for number in range(5):
            seen.append(number)
            if number == 2:
                signal.raise_signal(signal.SIGTERM)
            yield number

    with _interrupts.remembered():
        with pytest.raises(_interrupts.Terminated):
            list(_interrupts.checked(items()))
        assert seen == [0, 1, 2]
    assert list(_interrupts.checked("abc")) == ["a", "b", "c"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_cannot_be_stopped_is_left_behind(number):
    never = threading.Event()

    def work():
        os.kill(os.getpid(), number)
        never.wait()

    with _interrupts.remembered():
        with pytest.raises((_interrupts.Interrupted, _interrupts.Terminated)):
            _interrupts.attended(work)
        never.set()


def test_work_that_is_attended_gives_its_result_or_its_error():
    assert _interrupts.attended(lambda: 7) == 7

    def late():
        raise TimeoutError("too late")

    with pytest.raises(TimeoutError, match="too late"):
        _interrupts.attended(late)


def run_and_check(work) -> None:
    with _interrupts.remembered():
        work()
        _interrupts.check()


@pytest.fixture
def leaving(monkeypatch):
    """What those who are told on leaving were told."""
    monkeypatch.setattr(_interrupts, "_leaving", [])
    told = []
    _interrupts.on_leaving(told.append)
    return told


def test_another_can_ask_from_any_thread(leaving):
    def ask() -> None:
        thread = threading.Thread(target=_interrupts.request)
        thread.start()
        thread.join()

    with pytest.raises(_interrupts.Terminated):
        run_and_check(ask)
    assert leaving == [False]


def test_who_leaves_because_of_a_signal_says_so_even_if_another_asked_first(leaving):
    def ask() -> None:
        _interrupts.request()
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(_interrupts.Terminated):
        run_and_check(ask)
    assert leaving == [True]


def test_nobody_is_told_where_a_job_ends_well_or_fails(leaving):
    with _interrupts.remembered():
        pass
    with pytest.raises(ValueError, match="a failure"), _interrupts.remembered():
        raise ValueError("a failure")
    assert leaving == []


def test_what_is_raised_on_leaving_is_raised_instead(leaving):
    def other(asked: bool) -> None:
        raise UsageError("another one stopped")

    _interrupts.on_leaving(other)
    with pytest.raises(UsageError, match="another one stopped"):
        run_and_check(_interrupts.request)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the C library's signal()")
def test_signals_that_a_library_took_are_taken_back():
    ignore = ctypes.c_void_p(int(signal.SIG_IGN))
    with _interrupts.remembered():
        ctypes.CDLL(None).signal(int(signal.SIGTERM), ignore)
        signal.raise_signal(signal.SIGTERM)
        _interrupts.check()
        _interrupts.take_back()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(_interrupts.Terminated):
            _interrupts.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_of_others_are_left_alone_outside_the_block(number):
    before = signal.getsignal(number)
    _interrupts.take_back()
    assert signal.getsignal(number) is before


def test_work_that_takes_too_long_is_left_behind():
    done = threading.Event()
    with pytest.raises(TimeoutError):
        _interrupts.attended(done.wait, seconds=0)
    done.set()
    assert _interrupts.attended(lambda: "in time", seconds=60) == "in time"
