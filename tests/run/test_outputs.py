"""Results on disk: whole or not at all, whatever stops the writing."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxloc import ddt, moments
from jaxloc.data import read_image
from jaxloc.errors import UsageError
from jaxloc.report import parquet
from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.report.video import Clip, write_annotations
from jaxloc.run import outputs
from jaxloc.run.export import export
from jaxloc.run.model_file import FittedSet, ModelFile
from tests.run import helpers


@pytest.fixture
def findings(tmp_path) -> Findings:
    images = []
    for name in ("a.png", "sub/b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)).save(path)
        heat = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
        images.append(Finding(name, path, "dogs", 80, 60, (1.0, 2.0, 30.0, 40.0), 0.5, True, 0.25, heat=heat))
    skipped = [Skipped("c.png", "dogs", "empty file (0 bytes)")]
    return Findings("dogs", "ddt", {"method": "ddt"}, images, skipped)


@pytest.fixture(scope="module")
def model() -> ModelFile:
    sums = moments.of(np.random.default_rng(0).random((40, 16), np.float32))
    return ModelFile(
        {"dogs": FittedSet({"relu5_3": ddt.fit(sums)}, {"relu5_3": sums})},
        "ddt",
        ("relu5_3",),
        "aggregation",
        800,
        "vgg16",
        "0" * 64,
    )


def test_prepare_makes_a_folder_with_its_parents_and_leaves_nothing_in_it(tmp_path):
    for _ in range(2):
        assert outputs.prepare(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert helpers.every_file(tmp_path) == {}
    assert (tmp_path / "a" / "b").is_dir()


def test_prepare_names_what_stands_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=rf"{out}: cannot be written \(.+\): choose another folder with --out"):
            outputs.prepare(out)


@pytest.mark.parametrize("address", ["gs://bucket/run", Path("s3://bucket/run")])
def test_an_address_is_no_folder_of_results(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (outputs.prepare, lambda out: export([], out, "coco")):
        with pytest.raises(UsageError, match=r"bucket/run: results are written to a folder, not to an address: .*NFS"):
            write(address)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_prepare_names_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError, match=r"cannot be written \(Permission denied\)"):
            outputs.prepare(tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def write_overlays(folder, findings: Findings) -> None:
    for finding in findings.images:
        outputs.write_overlay(folder, finding, read_image(finding.path).pixels)


def test_everything_is_written(findings, model, tmp_path):
    outputs.write(tmp_path / "out", findings, model=model)
    assert set(helpers.every_file(tmp_path / "out")) == {"annotations.json", "model.safetensors", "report.html"}
    assert json.loads((tmp_path / "out/annotations.json").read_text())["skipped"][0]["file_name"] == "c.png"


def test_an_overlay_is_as_large_as_its_image_and_named_after_it(findings, tmp_path):
    write_overlays(tmp_path / "out", findings)
    assert set(helpers.every_file(tmp_path / "out")) == {"overlays/a.png.png", "overlays/sub/b.png.png"}
    with Image.open(tmp_path / "out/overlays/sub/b.png.png") as overlay:
        assert overlay.size == (80, 60)


def test_only_what_there_is_to_write_is_written(findings, tmp_path):
    outputs.write(tmp_path / "out", findings)
    assert set(helpers.every_file(tmp_path / "out")) == {"annotations.json", "report.html"}


def test_files_can_be_read_by_those_who_may_read_any_new_file(findings, model, tmp_path):
    outputs.write(tmp_path / "out", findings, model=model)
    write_overlays(tmp_path / "out", findings)
    (tmp_path / "plain").touch()
    names = list(helpers.every_file(tmp_path / "out"))
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "out" / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("limit", "name", "written"),
    [
        (200, "annotations.json", set()),
        (1300, "model.safetensors", {"annotations.json"}),
        (10_000, "report.html", {"annotations.json", "model.safetensors"}),
    ],
)
def test_a_full_disk_names_the_file_and_leaves_no_half(findings, model, tmp_path, limit, name, written):
    with (
        helpers.file_size_limit(limit),
        pytest.raises(
            UsageError, match=rf"{name}: cannot be written \(File too large\): free some space and run the same command"
        ),
    ):
        outputs.write(tmp_path / "out", findings, model=model)
    assert set(helpers.every_file(tmp_path / "out")) == written


def test_a_full_disk_leaves_the_results_of_an_earlier_run_as_they_were(findings, model, tmp_path):
    outputs.write(tmp_path / "out", findings, model=model)
    before = helpers.every_file(tmp_path / "out")
    with helpers.file_size_limit(200), pytest.raises(UsageError, match="cannot be written"):
        outputs.write(tmp_path / "out", findings, model=model)
    assert helpers.every_file(tmp_path / "out") == before


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=repr)
def test_an_overlay_stopped_half_way_leaves_no_half(findings, tmp_path, monkeypatch, stopped_by):
    save = Image.Image.save

    def half(image, path, **options):
        save(image, path, **options)
        os.truncate(path, 30)
        raise stopped_by

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(type(stopped_by)):
        write_overlays(tmp_path / "out", findings)
    assert helpers.every_file(tmp_path / "out") == {}


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_ctrl_c_at_the_last_moment_leaves_the_earlier_file_whole(findings, tmp_path, monkeypatch, function):
    outputs.write(tmp_path / "out", findings)
    before = helpers.every_file(tmp_path / "out")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        outputs.write(tmp_path / "out", findings)
    assert helpers.every_file(tmp_path / "out") == before


def test_an_overlay_whose_name_the_disk_does_not_take_costs_no_box(findings, tmp_path, capsys):
    (tmp_path / "out/overlays/a.png.png/in the way").mkdir(parents=True)
    write_overlays(tmp_path / "out", findings)
    assert set(helpers.every_file(tmp_path / "out")) == {"overlays/sub/b.png.png"}
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"a\.png: this disk takes no overlay of such a name \(.+\); its box is in the results .+\n", said
    )


def test_a_file_in_the_place_of_the_overlays_is_an_error(findings, tmp_path):
    (tmp_path / "overlays").touch()
    with pytest.raises(FileExistsError):
        write_overlays(tmp_path, findings)


def plant(folder: Path, *names: str) -> set[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return set(names)


def test_clearing_drops_results_and_overlays_and_what_is_empty_then(findings, model, tmp_path):
    outputs.write(tmp_path, findings, model=model)
    write_overlays(tmp_path, findings)
    for _ in range(2):
        outputs.clear(tmp_path)
        assert set(tmp_path.iterdir()) == {tmp_path / "photos"}


def test_clearing_drops_no_file_that_a_person_put_there(findings, tmp_path):
    kept = plant(
        tmp_path, "overlays/mine.png", "overlays/mine.txt", "video/mine.mp4", "notes.txt", ".mine", "mine.part"
    )
    kept |= plant(tmp_path, "annotations_vid.json", "overlays/sub/empty.png")
    write_overlays(tmp_path, findings)
    overlay = (tmp_path / "overlays/a.png.png").read_bytes()
    (tmp_path / "overlays/copy.png").write_bytes(overlay)
    (tmp_path / "overlays/sub/a.png.png").write_bytes(overlay)  # of another place, so it was moved by somebody
    outputs.clear(tmp_path)
    kept |= {"overlays/copy.png", "overlays/sub/a.png.png", "photos/a.png", "photos/sub/b.png"}
    assert set(helpers.every_file(tmp_path)) == kept


def test_clearing_drops_halves_of_files_and_nothing_of_other_commands(tmp_path):
    halves = [".model.safetensors", "overlays/sub/.jaxloc", "video/.jaxloc", "parts/.found-00000.parquet"]
    plant(tmp_path, *(f"{name}.0a1b2c3d.part" for name in halves))
    kept = plant(tmp_path, ".coco.0a1b2c3d.part/annotations.json")
    outputs.clear(tmp_path)
    assert set(helpers.every_file(tmp_path)) == kept


@pytest.fixture
def filmed(tmp_path) -> Path:
    """The results of a run over two videos, one of which lies where videos are written to."""
    places = {"walk": tmp_path / "films" / "walk.mov", "run": tmp_path / "out" / "video" / "run.mp4"}
    plant(tmp_path, "films/walk.mov", "out/video/run.mp4")
    box = (1.0, 2.0, 30.0, 40.0)
    images = [
        Finding(f"{place.name}/00000000", f"{place}#00000000", "films", 80, 60, box, 0.5, True)
        for place in places.values()
    ]
    found = Findings("films", "scda", {}, images, [])
    parquet.write(plant_parts(tmp_path / "out"), images, [])
    clips = {
        str(place): Clip(number, place.name, 80, 60, 25.0, np.array([0]), np.array([0.0]), f"video/{name}.mp4")
        for number, (name, place) in enumerate(places.items(), 1)
    }
    write_annotations(tmp_path / "out" / "annotations_vid.json", found, clips)
    plant(
        tmp_path / "out", "video/walk.mp4", "video/walk.gif", "video/walk.txt", "video/stroll.mp4", "video/old/walk.mp4"
    )
    return tmp_path / "out"


def plant_parts(out: Path) -> Path:
    (out / "parts").mkdir(parents=True)
    return out / "parts" / "found-00000.parquet"


def test_clearing_drops_the_videos_that_were_written_and_none_that_were_read(filmed):
    (filmed / "video/run.mp4").touch()  # as new as what was written
    outputs.clear(filmed)
    assert set(helpers.every_file(filmed)) == {
        "parts/found-00000.parquet",
        "video/run.mp4",
        "video/walk.gif",
        "video/walk.txt",
        "video/stroll.mp4",
        "video/old/walk.mp4",
    }


def test_clearing_leaves_a_video_that_was_there_before_the_run(filmed):
    os.utime(filmed / "video/walk.mp4", (0, 0))
    outputs.clear(filmed)
    assert (filmed / "video/walk.mp4").exists()
    assert not (filmed / "annotations_vid.json").exists()


def test_clearing_leaves_a_link_in_the_place_of_a_video(filmed):
    (filmed / "video/walk.mp4").unlink()
    (filmed / "video/walk.mp4").symlink_to("nowhere.mp4")
    outputs.clear(filmed)
    assert (filmed / "video/walk.mp4").is_symlink()


@pytest.mark.parametrize("damage", [b"PAR1", None])
def test_clearing_leaves_all_videos_where_nobody_can_tell_what_was_read(filmed, damage):
    part = filmed / "parts/found-00000.parquet"
    part.unlink() if damage is None else part.write_bytes(damage)
    outputs.clear(filmed)
    assert not (filmed / "annotations_vid.json").exists()
    assert {path.name for path in (filmed / "video").iterdir()} >= {"walk.mp4", "walk.gif", "run.mp4"}


@pytest.mark.parametrize("content", ["[]", "{}", '{"videos": [1], "info": {"description": "found by jaxloc"}}', "\xff"])
def test_clearing_leaves_annotations_of_videos_that_are_not_a_runs(filmed, content):
    (filmed / "annotations_vid.json").write_text(content, encoding="latin-1")
    before = helpers.every_file(filmed)
    outputs.clear(filmed)
    assert helpers.every_file(filmed) == before
