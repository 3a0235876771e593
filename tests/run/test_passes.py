"""One batch in flight: the order, what is yielded when, and that a stop loses nothing that was launched."""

import signal

import pytest

from jaxloc import _interrupts
from jaxloc.run.passes import STOPS, in_flight


def test_a_batch_is_launched_before_the_result_of_the_one_before_it_is_taken():
    events = []

    def launch(batch):
        events.append(f"launch {batch}")
        return batch

    def take(result):
        events.append(f"take {result}")

    for result in in_flight(iter("abc"), launch):
        take(result)
    assert events == ["launch a", "launch b", "take a", "launch c", "take b", "take c"]


@pytest.mark.parametrize("number", range(3))
def test_every_result_comes_once_and_in_order(number):
    assert list(in_flight(range(number), str)) == [str(batch) for batch in range(number)]


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_yields_what_was_launched_and_then_stops(at, number):
    launched, taken = [], []

    def launch(batch):
        launched.append(batch)
        if batch == at:
            signal.raise_signal(number)
        return batch

    with _interrupts.remembered(), pytest.raises(STOPS) as stop:
        taken.extend(in_flight(range(9), launch))
    assert issubclass(stop.type, KeyboardInterrupt if number == signal.SIGINT else _interrupts.Terminated)
    assert launched == taken == list(range(at + 1))


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_that_comes_from_reading_yields_what_was_launched(stop):
    def batches():
        yield 0
        yield 1
        raise stop

    taken = []
    with pytest.raises(stop):
        taken.extend(in_flight(batches(), lambda batch: batch))
    assert taken == [0, 1]


def test_an_error_yields_nothing_more():
    def launch(batch):
        if batch == 2:
            raise ValueError("no")
        return batch

    taken = []
    with pytest.raises(ValueError, match="no"):
        taken.extend(in_flight(range(9), launch))
    assert taken == [0]
