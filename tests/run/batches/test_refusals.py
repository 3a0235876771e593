"""What a run does with a folder that holds another run, a damaged one, a running one or a finished one."""

import io
import json
import math
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxloc.errors import UsageError
from jaxloc.inference import parameters
from jaxloc.run import localize, writing
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small
from tests.soaked import soaked

CURE = "use the same, choose another --out, or start over with --overwrite"


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        ({"method": "ddt+"}, "method ddt, and ddt+"),
        ({"method": "scda"}, "method ddt, and scda"),
        ({"layer": "relu5_2"}, "layer relu5_3, and relu5_2"),
        ({"sign": "none"}, "sign rule aggregation, and none"),
        ({"noise_threshold": 0.25}, "noise threshold 0, and 0.25"),
        ({"max_side": 0}, "shorter side at most 800 pixels, and unlimited"),
        ({"connectivity": 4}, "connectivity 8, and 4"),
        ({"dtype": "bfloat16"}, "computed in float32, and bfloat16"),
        ({"conv": "direct"}, "convolution (--conv) auto, and direct"),
        ({"batch": 1}, "batch size (--batch) at most 64, and 1"),
        ({"batch": 64}, "batch size (--batch) at most 64, and 64"),
        ({"shard_size": 4}, "shard size (--shard-size) 3, and 4"),
        ({"moments_memory": 5000}, "memory for moments (--moments-memory) 1 GB, and 5e-06 GB"),
        ({"report_limit": 2}, "report limit (--report-limit) 1000, and 2"),
        ({"overlays": True}, "overlays (--overlays) no, and yes"),
    ],
)
def test_other_settings_are_refused_and_named(asked, values, difference):
    _, out, _ = asked
    before = helpers.every_file(out)
    assert runs.complaint(*asked, **values) == f"{out}: holds a run with {difference} is asked for: {CURE}"
    assert helpers.every_file(out) == before


def test_other_weights_are_refused(asked, tmp_path):
    images, out, _ = asked
    message = runs.complaint(images, out, small.write_weights(tmp_path / "other.safetensors", seed=1))
    assert message.startswith(f"{out}: holds a run with weights")
    assert message.endswith(CURE)


@pytest.mark.parametrize("change", soaked(["more", "fewer", "renamed", "another size"], ["fewer", "another size"]))
def test_other_images_are_refused(asked, tmp_path, change):
    images, out, weights = asked
    changed = tmp_path / "changed"
    shutil.copytree(images, changed)
    image = changed / "cat" / "1.png"
    if change == "more":
        small.crop("cat", 7).save(changed / "cat" / "7.png")
    elif change == "fewer":
        image.unlink()
    elif change == "renamed":
        image.rename(changed / "cat" / "8.png")
    else:
        image.write_bytes(image.read_bytes() + b"\0")
    number = {"more": 8, "fewer": 6}.get(change, 7)
    assert runs.complaint(changed, out, weights) == (
        f"{out}: holds a run on other images (7 then, {number} now, or some have changed): {CURE}"
    )


def test_other_images_in_an_archive_of_the_same_name_are_refused(weights, tmp_path):
    archive, out = tmp_path / "cats.parquet", tmp_path / "out"

    def write(first):
        encoded = []
        for number in range(first, first + 2):
            file = io.BytesIO()
            small.crop("cat", number).save(file, "PNG")
            encoded.append(file.getvalue())
        pq.write_table(pa.table({"image": encoded}), archive)

    write(0)
    localize([archive], out, runs.options(weights))
    write(2)
    with pytest.raises(UsageError, match=r"holds a run on other images \(2 then, 2 now, or some have changed\)"):
        localize([archive], out, runs.options(weights))
    localize([archive], out, runs.options(weights), overwrite=True)
    assert localize([archive], out, runs.options(weights)).finished_before


def test_the_same_images_elsewhere_are_the_same_images(asked, tmp_path):
    images, out, weights = asked
    shutil.copytree(images, tmp_path / "moved")
    assert runs.run(tmp_path / "moved", out, weights).finished_before


@pytest.mark.parametrize("name", ["annotations.json", "model.safetensors", "report.html"])
def test_what_no_run_has_written_is_not_replaced(images, weights, tmp_path, unbroken, name):
    asked = images, tmp_path / "out", weights
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("by hand")
    assert runs.complaint(*asked) == (
        f"{tmp_path / 'out' / name}: written by something else than a run in this folder, and would be replaced: "
        "choose another folder with --out, or pass --overwrite"
    )
    assert helpers.every_file(tmp_path / "out") == {name: b"by hand"}
    runs.run(*asked, overwrite=True)
    assert helpers.every_file(tmp_path / "out") == unbroken()


def test_a_finished_run_computes_nothing_again_and_prepares_no_network(asked, monkeypatch):
    monkeypatch.setattr(parameters, "_prepared", None)
    before = {path: path.stat() for path in asked[1].rglob("*") if path.is_file()}
    with runs.counted() as seen:
        findings = runs.run(*asked)
    assert not seen
    assert findings.finished_before
    assert len(findings.images) == 6
    assert [item.name for item in findings.skipped] == [runs.CORRUPT]
    after = {path: path.stat() for path in asked[1].rglob("*") if path.is_file()}
    assert {path: stat.st_mtime_ns for path, stat in after.items()} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


@pytest.mark.parametrize(("name", "computed"), [("annotations.json", 0), ("report.html", 0), ("model.safetensors", 6)])
def test_a_result_that_is_missing_is_written_again_and_only_a_missing_fit_is_computed(asked, unbroken, name, computed):
    (asked[1] / name).unlink()
    with runs.counted() as seen:
        runs.run(*asked)
    assert seen.total() == computed
    assert helpers.every_file(asked[1]) == unbroken()


def test_a_part_that_is_missing_is_computed_again(asked, unbroken):
    (asked[1] / "parts" / "found-00001.parquet").unlink()
    runs.run(*asked)
    assert helpers.every_file(asked[1]) == unbroken()


@pytest.mark.parametrize("text", soaked(["", "[]", "{", '{"format": "other"}', "\0\xff"], ["{", '{"format": "other"}']))
def test_a_damaged_manifest_is_named_with_the_cure(broken, unbroken, text):
    _, out, _ = broken
    (out / "parts" / "_run.json").write_text(text)
    message = runs.complaint(*broken)
    assert message.startswith(f"{out / 'parts' / '_run.json'}: not a run's manifest (")
    assert message.endswith("): start over with --overwrite")
    runs.run(*broken, overwrite=True)
    assert helpers.every_file(out) == unbroken()


def test_a_manifest_with_parts_missing_or_of_another_kind_is_named_with_the_cure(broken):
    path = broken[1] / "parts" / "_run.json"
    whole = json.loads(path.read_text())
    missing = [{name: value for name, value in whole.items() if name != key} for key in whole]
    other = [whole | {key: None} for key in ("settings", "images", "shapes", "step", "padding")]
    for damaged in (*missing, *other, whole | {"images": {}}, whole | {"shapes": [[1]]}, whole | {"step": math.inf}):
        path.write_text(json.dumps(damaged))
        message = runs.complaint(*broken)
        assert message.startswith(f"{path}: not a run's manifest (")
        assert message.endswith("start over with --overwrite")


@pytest.mark.parametrize("name", ["found-00000.parquet"])
@pytest.mark.parametrize("damage", soaked(["cut", "empty", "changed"], ["changed"]))
def test_a_damaged_part_is_named_with_the_cure(broken, unbroken, name, damage):
    _, out, _ = broken
    path = out / "parts" / name
    data = path.read_bytes()
    middle = len(data) // 3
    path.write_bytes(
        {"cut": data[:-20], "empty": b"", "changed": data[:middle] + b"\xa5" * 9 + data[middle + 9 :]}[damage]
    )
    message = runs.complaint(*broken, feature_cache=0)
    assert message.startswith(f"{path}: ")
    assert "delete it and run the same command again" in message
    path.unlink()
    runs.run(*broken, feature_cache=0)
    assert helpers.every_file(out) == unbroken()


@pytest.mark.parametrize("stopped_at", soaked([3, 6], [6]))
def test_damaged_moments_are_named_with_the_cure(images, weights, unbroken, tmp_path, stopped_at):
    asked = images, tmp_path / "out", weights
    assert runs.stopped(stopped_at, *asked)
    path = min((tmp_path / "out" / "parts").glob("moments-*"))
    path.write_bytes(path.read_bytes()[:-8])
    message = runs.complaint(*asked)
    assert message.startswith(f"{path}: missing or damaged (")
    assert message.endswith("): delete it and run the same command again")
    path.unlink()
    runs.run(*asked)
    assert helpers.every_file(tmp_path / "out") == unbroken()


def test_a_second_run_into_one_folder_is_refused(asked):
    before = helpers.every_file(asked[1])
    with writing.locked(asked[1]):
        message = runs.complaint(*asked, overwrite=True)
    assert message == (
        f"{asked[1]}: another process is writing to this folder: wait until it is done, or use another one"
    )
    assert helpers.every_file(asked[1]) == before
