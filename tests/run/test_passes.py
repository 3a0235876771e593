"""One batch in flight: the order, and what is yielded when."""

import pytest

from jaxloc.run.passes import in_flight


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


def test_an_error_yields_nothing_more():
    def launch(batch):
        if batch == 2:
            raise ValueError("no")
        return batch

    taken = []
    with pytest.raises(ValueError, match="no"):
        taken.extend(in_flight(range(9), launch))
    assert taken == [0]
