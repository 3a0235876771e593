"""Many image sets in one run: as each on its own, whatever the memory, and each image accounted for once."""

import errno
import os

import jax
import numpy as np
import pytest

from jaxloc.run import model_file, moment_store
from jaxloc.run.localize_pass import TOO_FEW
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small
from tests.soaked import soaked

SETS, OF_ONE_SET = 5, 8 * (small.WIDTHS[-1] ** 2 + small.WIDTHS[-1])
"""How many sets, and the bytes that the moments of one take."""
SETTINGS = {"batch": 4, "shard_size": 7}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Five sets of four to six images; nothing may be written here."""
    folder = tmp_path_factory.mktemp("sets") / "images"
    for number in range(SETS):
        kind = sorted(small.KINDS)[number % 3]
        (folder / f"{number:02d}").mkdir(parents=True)
        for image in range(4 + number % 3):
            small.crop(kind, 10 * number + image).save(folder / f"{number:02d}" / f"{image}.png")
    return folder


@pytest.fixture(autouse=True)
def full_batches(monkeypatch):
    helpers.compile_full_batches(monkeypatch)


def windows_of(number):
    return {"moments_memory": number * OF_ONE_SET + 1}


@pytest.fixture(scope="module")
def whole(sets, weights, tmp_path_factory):
    """Every file of an unbroken run in two windows."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        helpers.compile_full_batches(patch)
        runs.run(sets, folder, weights, **SETTINGS, **windows_of(3))
    return helpers.every_file(folder)


def check_close(found, expected):
    for layer, wanted in expected.models.items():
        # Boxes come from the first component; those after it turn freely where two are nearly as strong.
        one = found.models[layer]
        for values, others in ((one.mean, wanted.mean), (one.components[0], wanted.components[0])):
            np.testing.assert_allclose(values, others, rtol=0, atol=1e-6 * np.abs(others).max())
    for values, others in zip(
        jax.tree.leaves(dict(found.moments)), jax.tree.leaves(dict(expected.moments)), strict=True
    ):
        np.testing.assert_allclose(values, others, rtol=0, atol=1e-6 * np.abs(others).max())


def test_sets_fitted_together_are_as_each_on_its_own(sets, weights, tmp_path):
    with runs.counted() as seen:
        findings = runs.run(sets, tmp_path / "out", weights, **SETTINGS, **windows_of(3))
    total = len(list(sets.rglob("*.png")))
    assert seen == dict.fromkeys(range(total), 1)
    assert len(findings.images) == total
    together = helpers.boxes_of(tmp_path / "out")
    fitted = model_file.load(tmp_path / "out" / "model.safetensors")
    assert list(fitted.sets) == sorted(folder.name for folder in sets.iterdir())
    for folder in sorted(sets.iterdir()):
        out = tmp_path / folder.name
        runs.run(folder, out, weights, **SETTINGS)
        boxes = {name.split("/")[1]: box for name, box in together.items() if name.startswith(f"{folder.name}/")}
        assert boxes == helpers.boxes_of(out)
        (alone,) = model_file.load(out / "model.safetensors").sets.values()
        check_close(fitted.sets[folder.name], alone)


def test_the_memory_for_moments_changes_nothing_but_the_number_of_shards(sets, weights, tmp_path):
    found = {}
    for number in (1, SETS):
        runs.run(sets, tmp_path / str(number), weights, batch=4, shard_size=100, **windows_of(number))
        found[number] = model_file.load(tmp_path / str(number) / "model.safetensors").sets
        shards = list((tmp_path / str(number) / "parts").glob("found-*"))
        assert len(shards) == {1: SETS, SETS: 1}[number]
    assert helpers.boxes_of(tmp_path / "1") == helpers.boxes_of(tmp_path / str(SETS))
    for name in found[SETS]:
        check_close(found[1][name], found[SETS][name])


def test_stopped_between_windows_it_goes_on(sets, weights, whole, tmp_path):
    settings = SETTINGS | windows_of(3)
    for at_batch in (6, 5):
        assert runs.stopped(at_batch, sets, tmp_path / "out", weights, **settings)
    runs.run(sets, tmp_path / "out", weights, **settings)
    assert helpers.every_file(tmp_path / "out") == whole


@pytest.mark.parametrize("module", [moment_store, model_file])
@pytest.mark.parametrize("failing", soaked([1, 2], [2]))
def test_a_disk_full_of_features_costs_no_result(sets, weights, whole, tmp_path, monkeypatch, module, failing):
    write, tried = module.write_safetensors_in_parts, []

    def write_or_fail(path, *arrays):
        tried.append(path)
        if len(tried) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, *arrays)

    monkeypatch.setattr(module, "write_safetensors_in_parts", write_or_fail)
    runs.run(sets, tmp_path / "out", weights, **SETTINGS, **windows_of(3))
    assert tried[failing] == tried[failing - 1]
    assert helpers.every_file(tmp_path / "out") == whole


def test_the_parts_of_a_window_go_when_it_is_fitted(sets, weights, tmp_path):
    settings = SETTINGS | windows_of(4) | {"sign": "minority", "feature_cache": 0}
    assert runs.stopped(24, sets, tmp_path / "out", weights, **settings)
    names = {path.name for path in (tmp_path / "out" / "parts").iterdir()}
    assert "fitted-00000.safetensors" in names
    assert not names & {f"{kind}-00000.safetensors" for kind in ("moments", "unsigned", "evidence")}


@pytest.mark.parametrize("together", soaked([1, 3], [3]))
def test_a_set_of_one_readable_image_is_reported_and_the_others_are_found(images, weights, tmp_path, together):
    folder = tmp_path / "images"
    runs.write_images(folder)
    (folder / "cat" / "1.png").unlink()
    findings = runs.run(folder, tmp_path / "out", weights, **windows_of(together))
    reasons = {(item.category, item.name): item.reason for item in findings.skipped}
    assert len(findings.skipped) == 2
    assert reasons[("cat", "cat/0.png")] == TOO_FEW
    assert "truncated" in reasons["cat", runs.CORRUPT]
    assert {finding.category for finding in findings.images} == {"coffee", "face"}
    assert list(model_file.load(tmp_path / "out" / "model.safetensors").sets) == ["coffee", "face"]


@pytest.mark.parametrize("kind", soaked(runs.SETTINGS, ["ddt"]))
def test_a_corrupt_image_is_recorded_once_with_its_reason(images, weights, tmp_path, kind):
    findings = runs.run(images, tmp_path / "out", weights, **runs.SETTINGS[kind])
    assert [item.name for item in findings.skipped] == [runs.CORRUPT]
    recorded = helpers.annotations(tmp_path / "out")["skipped"]
    assert [(item["file_name"], item["reason"]) for item in recorded] == [(runs.CORRUPT, findings.skipped[0].reason)]
    names = [finding.name for finding in findings.images]
    assert len(names) == len(set(names)) == 6
