"""A run that was stopped or killed goes on where it was, and ends with the bytes of an unbroken run."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from tests.run import helpers
from tests.run.batches import runs
from tests.run.batches.runs import SETTINGS, Killed
from tests.soaked import soaked

READABLE = set(range(7)) - {2}
"""Numbers of the images that can be read."""
PASSES = {"ddt": 2, "ddt+": 2, "scda": 1, "minority": 3}
"""How often a run of each kind needs an image's features, if it keeps none."""


@contextlib.contextmanager
def killed_at_new_file(number: int, *, before: bool = False) -> Iterator[None]:
    """Kill the run at the file, of those that were not there yet, with this number: once it is complete, or before."""
    replace = os.replace
    new = 0

    def replacing(source, target):
        nonlocal new
        new += not os.path.exists(target)
        if before and new == number:
            raise Killed
        replace(source, target)
        if new == number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replacing)
        yield


@pytest.mark.parametrize("kind", soaked(SETTINGS, ["scda", "minority"]))
def test_killed_after_every_file_it_computes_nothing_twice(unbroken, images, weights, tmp_path, kind):
    expected = unbroken(**SETTINGS[kind])
    files = {"ddt": 11, "ddt+": 11, "scda": 6, "minority": 14}[kind]
    with runs.counted() as seen:
        for _ in range(files):
            with killed_at_new_file(1), pytest.raises(Killed):
                runs.run(images, tmp_path / "out", weights, **SETTINGS[kind])
        findings = runs.run(images, tmp_path / "out", weights, **SETTINGS[kind])
    assert not findings.finished_before
    assert seen == dict.fromkeys(READABLE, PASSES[kind])
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.parametrize("number", soaked(range(1, 12), [1, 3, 5, 8, 11]))
def test_killed_before_a_file_is_complete_it_goes_on(unbroken, images, weights, tmp_path, number):
    expected = unbroken()
    with killed_at_new_file(number, before=True), pytest.raises(Killed):
        runs.run(images, tmp_path / "out", weights)
    runs.run(images, tmp_path / "out", weights)
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.parametrize("kind", soaked(SETTINGS, ["scda", "minority"]))
def test_stopped_in_a_shard_it_computes_that_shard_again_and_no_other(unbroken, images, weights, tmp_path, kind):
    expected = unbroken(**SETTINGS[kind])
    last = len(READABLE) * PASSES[kind]
    with runs.counted() as seen:
        for at_batch in (last, last - len(READABLE) + 4 if PASSES[kind] > 1 else 4):
            assert runs.stopped(at_batch, images, tmp_path / "out", weights, **SETTINGS[kind] | {"feature_cache": 0})
            seen.clear()
            findings = runs.run(images, tmp_path / "out", weights, **SETTINGS[kind])
            assert not findings.finished_before
            shard = {6} if at_batch == last else READABLE - {0, 1}
            assert seen == dict.fromkeys(shard, 1)
            assert helpers.every_file(tmp_path / "out") == expected
            shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("number", soaked([signal.SIGTERM, signal.SIGINT], [signal.SIGTERM]))
def test_stopped_on_eight_devices_it_goes_on_on_any_number(unbroken, images, weights, tmp_path, number):
    expected = unbroken(shard_size=7)
    asked = images, tmp_path / "out", weights
    assert runs.stopped(1, *asked, number=number, shard_size=7, devices=8)
    assert runs.stopped(2, *asked, number=number, shard_size=7, devices=1)
    runs.run(*asked, shard_size=7, devices=2)
    assert helpers.every_file(tmp_path / "out") == expected


def test_a_full_disk_in_the_middle_keeps_what_is_done(unbroken, images, weights, tmp_path):
    expected = unbroken()
    sizes = {name: len(data) for name, data in expected.items()}
    limit = max(size for name, size in sizes.items() if "found-" in name) - 1
    with helpers.file_size_limit(limit):
        message = runs.complaint(images, tmp_path / "out", weights)
    assert message.endswith("free some space and run the same command again; the finished shards stay")
    assert "cannot be written (File too large)" in message
    done = helpers.every_file(tmp_path / "out")
    assert done
    assert not [name for name in done if name.endswith(".part")]
    runs.run(images, tmp_path / "out", weights)
    assert helpers.every_file(tmp_path / "out") == expected


def test_a_run_that_goes_on_says_how_much_was_begun_before(broken, images, weights, tmp_path):
    whole = runs.run(images, tmp_path / "whole", weights)
    assert whole.begun_before == 0
    assert runs.run(*broken, feature_cache=0).begun_before == len(whole.images) + len(whole.skipped)


def test_shards_that_were_not_begun_with_are_not_counted_as_such(images, weights, tmp_path):
    asked = images, tmp_path / "out", weights
    assert runs.stopped(4, *asked, method="scda")
    assert runs.run(*asked, method="scda").begun_before == 3
