"""Work on many images in threads: in order, shown, never far ahead, and over when the block is."""

import contextlib
import threading

import pytest

from jaxloc.run import threaded as threads
from jaxloc.run.threaded import threaded


@pytest.fixture
def bars(monkeypatch):
    """Each bar as ``[purpose, total, done, closed]``."""
    shown = []

    class Bar:
        def __init__(self, entry):
            self.entry = entry

        def update(self, images=1):
            self.entry[2] += images

    @contextlib.contextmanager
    def progress(purpose, total):
        shown.append([purpose, total, 0, False])
        entry = shown[-1]
        try:
            yield Bar(entry)
        finally:
            entry[3] = True

    monkeypatch.setattr(threads, "progress", progress)
    return shown


@pytest.mark.parametrize("in_threads", [True, False])
def test_results_come_in_order_and_are_counted(bars, in_threads):
    with threaded() as work:
        made = list(work("doubling", lambda number: 2 * number, range(100), threads=in_threads))
    assert made == [2 * number for number in range(100)]
    assert bars == [["doubling", 100, 100, True]]


def test_only_work_that_waits_for_the_disk_goes_to_threads():
    def where(_):
        return threading.current_thread() is threading.main_thread()

    with threaded() as work:
        assert list(work("a", where, range(3), threads=False)) == [True] * 3
        assert list(work("b", where, range(3))) == [False] * 3


@pytest.mark.parametrize("in_threads", [True, False])
def test_never_more_than_a_few_results_wait(monkeypatch, in_threads):
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 3)
    begun = []
    with threaded() as work:
        for taken, _ in enumerate(work("a", begun.append, range(200), threads=in_threads), 1):
            assert len(begun) <= taken + (2 * 3 if in_threads else 0)


def test_threads_and_bars_are_gone_when_the_block_fails_in_between(bars, reading_threads):
    seen = []

    def write():
        with threaded() as work:
            for _ in work("writing", lambda number: number, range(1000)):
                seen.extend(reading_threads())
                raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write()
    assert seen
    assert reading_threads() == []
    assert bars == [["writing", 1000, 1, True]]


def test_an_error_in_a_thread_is_the_works_own(bars, reading_threads):
    def fail(number):
        if number == 3:
            raise OSError("the disk is full")
        return number

    done = []
    with pytest.raises(OSError, match="the disk is full"), threaded() as work:
        done += work("writing", fail, range(1000))
    assert reading_threads() == []
    assert bars == [["writing", 1000, 3, True]]


@pytest.mark.parametrize("in_threads", [True, False])
def test_it_ends_between_two_images_at_ctrl_c(bars, reading_threads, in_threads):
    done = []

    def interrupted(number):
        if number == 2:
            raise KeyboardInterrupt
        return str(number)

    with pytest.raises(KeyboardInterrupt), threaded() as work:
        done.extend(work("writing", interrupted, range(10), threads=in_threads))
    assert reading_threads() == []
    assert bars[0][3]
