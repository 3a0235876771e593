"""What ``overwrite`` drops, what it goes on with, and that a kill while it drops things mixes no two runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxloc.errors import UsageError
from tests.run import helpers
from tests.run.batches import runs
from tests.run.batches.runs import Killed
from tests.soaked import soaked


@contextlib.contextmanager
def killed_after_dropping(number: int, out: Path) -> Iterator[None]:
    """Kill the run once so many files of a finished one are dropped; a lock that is let go is none of them."""
    unlink = Path.unlink
    dropped = 0

    def counting(path, missing_ok=False):
        nonlocal dropped
        manifest = out / "parts" / "_run.json"
        finished = dropped or (manifest.exists() and '"finished": true' in manifest.read_text())
        dropped += finished and path.suffix in (".json", ".html", ".parquet", ".safetensors") and path.exists()
        unlink(path, missing_ok)
        if dropped == number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", counting)
        yield


def test_overwrite_starts_over(asked, unbroken, images, weights, tmp_path):
    expected = unbroken(**runs.SETTINGS["scda"])
    findings = runs.run(*asked, overwrite=True, **runs.SETTINGS["scda"])
    assert not findings.finished_before
    assert helpers.every_file(tmp_path / "out") == expected


def test_overwrite_computes_everything_again(asked, unbroken):
    with runs.counted() as seen:
        runs.run(*asked, overwrite=True)
    assert len(seen) == 6
    assert helpers.every_file(asked[1]) == unbroken()


def test_nothing_of_the_run_before_is_taken_for_one_that_overwrites_it(asked):
    assert runs.stopped(2, *asked, overwrite=True)
    assert not {"annotations.json", "model.safetensors", "report.html"} & {path.name for path in asked[1].iterdir()}


def test_an_unfinished_run_goes_on_though_it_was_begun_with_overwrite(asked, unbroken):
    assert runs.stopped(10, *asked, overwrite=True, feature_cache=0)
    done = {path.name for path in (asked[1] / "parts").glob("found-*")}
    assert done
    with runs.counted() as seen:
        findings = runs.run(*asked, overwrite=True, feature_cache=0)
    assert 0 < sum(seen.values()) < 6
    assert not findings.finished_before
    assert helpers.every_file(asked[1]) == unbroken()


def test_a_run_that_was_begun_otherwise_is_started_over(asked, unbroken, images, weights, tmp_path):
    begun = images, tmp_path / "begun", weights
    assert runs.stopped(10, *begun, feature_cache=0)
    with runs.counted() as seen:
        runs.run(*begun, overwrite=True, feature_cache=0)
    assert sum(seen.values()) == 12
    assert helpers.every_file(tmp_path / "begun") == unbroken()


@pytest.mark.parametrize("damaged", ["fitted-00000.safetensors", "found-00000.parquet"])
def test_a_damaged_part_is_named_with_a_cure_and_dropped_by_starting_over(unbroken, images, weights, tmp_path, damaged):
    begun = images, tmp_path / "out", weights
    assert runs.stopped(10, *begun, feature_cache=0)
    path = tmp_path / "out" / "parts" / damaged
    path.write_bytes(path.read_bytes()[:-9])
    message = runs.complaint(*begun)
    assert message.startswith(f"{path}: ")
    assert message.endswith("delete it and run the same command again")
    runs.run(*begun, overwrite=True)
    assert helpers.every_file(tmp_path / "out") == unbroken()


def test_a_finished_run_without_its_model_gets_on_each_time_it_is_stopped(asked, unbroken):
    (asked[1] / "model.safetensors").unlink()
    assert runs.stopped(4, *asked)
    with runs.counted() as seen:
        runs.run(*asked)
    assert sum(seen.values()) < 6
    assert helpers.every_file(asked[1]) == unbroken()


@pytest.mark.parametrize("number", soaked(range(1, 8), [1, 4, 7]))
def test_killed_while_it_drops_a_run_no_other_run_takes_what_is_left(asked, unbroken, number):
    other = runs.SETTINGS["scda"]
    with killed_after_dropping(number, asked[1]), pytest.raises(Killed):
        runs.run(*asked, overwrite=True, **other)
    with contextlib.suppress(UsageError):  # something of the run before is there, and it says so
        runs.run(*asked, **other)
        assert helpers.every_file(asked[1]) == unbroken(**other)
    runs.run(*asked, overwrite=True, **other)
    assert helpers.every_file(asked[1]) == unbroken(**other)


def test_parts_of_no_run_are_not_taken_for_those_of_a_new_one(asked, unbroken):
    other = runs.SETTINGS["scda"]
    for name in ("annotations.json", "model.safetensors", "report.html", "parts/_run.json"):
        (asked[1] / name).unlink()
    runs.run(*asked, **other)
    assert helpers.every_file(asked[1]) == unbroken(**other)


@pytest.mark.parametrize("number", [1, 2])
def test_killed_while_a_finished_run_drops_its_parts_the_next_call_drops_the_rest(
    images, weights, tmp_path, unbroken, number
):
    windows = {"moments_memory": 1}  # too little for two of the three sets
    with killed_after_dropping(number, tmp_path / "out"), pytest.raises(Killed):
        runs.run(images, tmp_path / "out", weights, **windows)
    assert len(list((tmp_path / "out" / "parts").glob("fitted-*"))) == 3 - number
    assert runs.run(images, tmp_path / "out", weights, **windows).finished_before
    assert helpers.every_file(tmp_path / "out") == unbroken(**windows)
