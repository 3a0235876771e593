"""Reading ahead: in order, bounded, and nothing goes on after the loop is left."""

import threading
import time

import pytest

from jaxloc.data.ahead import read_ahead


class Watched:
    """Items, and how many of them were taken, worked on and finished."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self.done: list[int] = []
        self.lock = threading.Lock()

    def __iter__(self):
        for number in range(self.count):
            self.taken += 1
            yield number

    def work(self, number: int) -> int:
        time.sleep(0.001 * (number % 3))
        with self.lock:
            self.done.append(number)
        return number * number


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (1, 5), (4, 1), (4, 9), (8, 100)])
def test_results_come_in_the_order_of_their_items(workers, ahead):
    watched = Watched(40)
    found = list(read_ahead(watched.work, watched, workers=workers, ahead=ahead))
    assert found == [number * number for number in range(40)]
    assert sorted(watched.done) == list(range(40))


def test_no_items_give_no_results():
    assert list(read_ahead(int, [], workers=2, ahead=3)) == []


@pytest.mark.parametrize("ahead", [1, 3, 7])
def test_no_more_items_are_taken_than_may_wait(ahead):
    watched = Watched(50)
    for received, _ in enumerate(read_ahead(watched.work, watched, workers=4, ahead=ahead)):
        assert watched.taken <= received + ahead
    assert watched.taken == 50


def test_several_threads_work_at_once():
    together = threading.Barrier(3, timeout=20)
    assert list(read_ahead(lambda _: together.wait() >= 0, range(6), workers=3, ahead=3)) == [True] * 6


def test_an_error_comes_out_where_its_result_would_have():
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("number three is bad")
        return number

    results = read_ahead(work, range(100), workers=2, ahead=6)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="number three is bad"):
        next(results)


def test_an_error_of_the_items_themselves_comes_out():
    def items():
        yield 1
        raise RuntimeError("the list ended badly")

    with pytest.raises(RuntimeError, match="the list ended badly"):
        list(read_ahead(int, items(), workers=2, ahead=1))


def test_leaving_early_cancels_what_has_not_begun_and_waits_for_what_has(reading_threads):
    started = []
    release = threading.Event()

    def work(number: int) -> int:
        started.append(number)
        if number:
            release.wait(20)
        return number

    results = read_ahead(work, range(1000), workers=2, ahead=50)
    threading.Timer(0.2, release.set).start()
    assert next(results) == 0
    results.close()
    begun = list(started)
    assert len(begun) <= 4
    assert not reading_threads()
    assert started == begun


def test_one_of_its_own_threads_may_close_it():
    """As garbage collection does where it happens to run in one."""
    suspended, closed, errors = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        if number:
            suspended.wait()
            try:
                results.close()
            except RuntimeError as error:
                errors.append(error)
            closed.set()

    results = read_ahead(work, range(3), workers=1, ahead=2)
    next(results)
    suspended.set()
    assert closed.wait(60)
    assert errors == []
