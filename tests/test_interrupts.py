"""A Ctrl-C ends a job at the next picture, and a second one at once."""

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


def test_nothing_is_remembered_past_the_block():
    with _interrupts.remembered():
        signal.raise_signal(signal.SIGINT)
    _interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
