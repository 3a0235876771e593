"""A Ctrl-C or SIGTERM ends a job at the next picture, and a second Ctrl-C at once."""

import signal
import threading

import pytest

from jaxloc import _interrupts


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
