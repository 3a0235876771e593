"""The part files of a run and its manifest."""

from pathlib import Path

import pytest

from jaxloc.data import Buckets, ImageSet, Source
from jaxloc.errors import UsageError
from jaxloc.run import checkpoint
from jaxloc.run.checkpoint import Checkpoint
from jaxloc.run.outputs import drop_halves
from jaxloc.run.plan import Images, buckets_from_json

SETTINGS = {"method": "ddt", "layer": "relu5_3"}
BUCKETS = Buckets({(64, 48): 3, (32, 32): 1}, 8)


def images(folder: Path, *names: str, category: str = "cat", size: int = 5) -> Images:
    for name in names:
        (folder / name).write_bytes(b"x" * size)
    return Images([ImageSet(category, [Source(folder / name, name) for name in names])])


@pytest.fixture
def begun(tmp_path):
    made = Checkpoint(tmp_path)
    made.begin(SETTINGS, {"number": 2, "digest": "ab"}, BUCKETS)
    return made


def test_where_there_is_no_run_there_is_no_manifest(tmp_path):
    assert Checkpoint(tmp_path).manifest() is None


def test_a_run_is_known_again(begun, tmp_path):
    manifest = Checkpoint(tmp_path).manifest()
    checkpoint.check_same(manifest, SETTINGS, {"number": 2, "digest": "ab"}, tmp_path)
    kept = buckets_from_json(manifest)
    assert (kept.counts, kept.step) == (BUCKETS.counts, BUCKETS.step)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "ddt", "layer": "relu5_2"}, "a run with layer relu5_3, and relu5_2 is asked for"),
        ({"method": "ddt"}, "a run with layer relu5_3, and unset is asked for"),
        (SETTINGS | {"updates": "abc"}, "a run with updates unset, and abc is asked for"),
    ],
)
def test_the_setting_that_differs_is_named(begun, tmp_path, settings, message):
    with pytest.raises(UsageError, match=f"{message}: use the same, choose another --out, or start over with --over"):
        checkpoint.check_same(begun.manifest(), settings, {"number": 2, "digest": "ab"}, tmp_path)


def test_finishing_drops_the_parts_that_nobody_needs(begun):
    kept = [begun.file("found", 0), begun.file("found", 1)]
    dropped = [begun.file("moments", 0), begun.file("fitted", 0), begun.file("evidence", 0)]
    for path in kept + dropped:
        path.touch()
    begun.finish(["doubtful"])
    assert set(begun.folder.iterdir()) == {*kept, begun.folder / "_run.json"}
    assert begun.manifest()["finished"] is True
    assert begun.manifest()["warnings"] == ["doubtful"]
    assert begun.manifest()["settings"] == SETTINGS


def test_cleaning_drops_what_a_kill_left_half_written_and_nothing_else(begun):
    kept = [begun.file("found", 0), begun.file("moments", 0)]
    out = begun.folder.parent
    (out / "overlays" / "sub").mkdir(parents=True)
    kept += [out / "report.html", out / "overlays" / "sub" / "a.png.png", out / ".mine", out / "mine.part"]
    half = ["parts/.found-00001.parquet", ".report.html", "overlays/.b.png.png", "overlays/sub/.c.png.png"]
    for path in [*kept, *(out / f"{name}.0a1b2c3d.part" for name in half)]:
        path.touch()
    drop_halves(begun.folder.parent)
    assert {path for path in out.rglob("*") if path.is_file()} == {*kept, begun.folder / "_run.json"}


def test_clearing_drops_the_run(begun, tmp_path):
    begun.file("found", 0).touch()
    for _ in range(2):
        begun.clear()
        assert list(tmp_path.iterdir()) == []


def test_images_are_described_by_names_sets_order_and_sizes(tmp_path):
    described = checkpoint.describe_images(images(tmp_path, "a", "b"))
    assert described["number"] == 2
    assert described == checkpoint.describe_images(images(tmp_path, "a", "b"))
    others = [
        images(tmp_path, "b", "a"),
        images(tmp_path, "a", "c"),
        images(tmp_path, "a"),
        images(tmp_path, "a", "b", category="dog"),
    ]
    for other in others:
        assert checkpoint.describe_images(other) != described
    assert checkpoint.describe_images(images(tmp_path, "a", "b", size=6)) != described


def test_of_many_images_the_sizes_are_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_COUNTED", 1)
    described = checkpoint.describe_images(images(tmp_path, "a", "b"))
    assert checkpoint.describe_images(images(tmp_path, "a", "b", size=6)) == described


def test_an_image_that_is_gone_is_described_all_the_same(tmp_path):
    gone = images(tmp_path, "a")
    (tmp_path / "a").unlink()
    assert checkpoint.describe_images(gone)["number"] == 1


def test_cleaning_leaves_half_an_export_to_the_command_that_writes_it(begun, tmp_path):
    half = tmp_path / ".coco.0a1b2c3d.part" / "annotations.json"
    half.parent.mkdir()
    half.touch()
    drop_halves(begun.folder.parent)
    assert half.exists()
