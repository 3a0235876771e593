"""How busy the device is said to be, by a clock of the test's own, and a bar that goes away however its block ends."""

import threading

import pytest

from jaxloc.run import progress
from jaxloc.run.progress import Busy


@pytest.fixture
def idle_share(monkeypatch):
    """The idle share after steps ``(sent, there)``, in seconds; a step that is never there fails instead."""
    moments = {"sent": 0.0, "there": 0.0}

    def wait(there):
        if there is None:
            raise RuntimeError("the device has failed")
        moments["there"] = there

    def now():
        return moments["sent" if threading.current_thread() is threading.main_thread() else "there"]

    monkeypatch.setattr(progress.time, "perf_counter", now)
    monkeypatch.setattr(progress.jax, "block_until_ready", wait)

    def measure(*steps):
        busy = Busy()
        for sent, there in steps:
            moments["sent"] = sent
            busy.sent(there)
        busy.close()
        return busy.idle_share

    return measure


def test_before_anything_is_sent_nothing_is_idle(idle_share):
    assert idle_share() == 0


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(10, 12)], 0),
        ([(10, 12), (11, 14), (13, 19)], 0),  # always one waiting
        ([(10, 11), (14, 15)], 3 / 5),
        ([(10, 12), (11, 14), (18, 20)], 4 / 10),
        ([(10, 12), (12, 12), (13, 14)], 1 / 4),  # a result that is there at once
        ([(10, 12), (13, None), (15, 16)], 3 / 6),  # whoever uses the result sees the failure
    ],
)
def test_the_device_is_idle_from_a_result_to_the_next_step_sent(idle_share, steps, expected):
    assert idle_share(*steps) == pytest.approx(expected)


def test_closing_ends_the_thread():
    before = threading.active_count()
    busy = Busy()
    busy.sent(())
    assert threading.active_count() == before + 1
    for _ in range(2):
        busy.close()
        assert threading.active_count() == before


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_bar_is_closed_however_the_block_ends(monkeypatch, error):
    closed = []
    monkeypatch.setattr(progress.Progress, "close", lambda shown: closed.append(shown))
    try:
        with progress.progress("locating", 3) as shown:
            shown.update()
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert closed == [shown]


def test_where_there_is_no_terminal_a_bar_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_LINES", 0)
    with progress.progress("fitting", 4) as shown:
        shown.skip(1)
        shown.busy.sent(())
        for _ in range(3):
            shown.update()
    lines = capsys.readouterr().err.split("\n")
    assert lines.pop() == "", "the last line ends"
    assert [line.partition(" (")[0] for line in lines[-3:]] == [f"fitting: {n} of 4 images" for n in (2, 3, 4)]
    assert all("device idle 0 %" in line and "to go" in line and "\r" not in line for line in lines[-3:])


def test_a_short_job_without_a_terminal_says_nothing(capsys):
    for _ in progress.bar(range(3), purpose="looking", total=3, unit="image"):
        pass
    assert capsys.readouterr().err == ""


def test_what_an_earlier_call_has_done_counts_for_the_place_and_not_for_the_rate():
    with progress.progress("locating", 100) as shown:
        shown.skip(80)
        shown.update(5)
        shown.skip(10)
        said = shown._bar.format_dict
    assert (said["n"], said["n"] - said["initial"]) == (95, 5)
