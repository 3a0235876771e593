"""Everything a folder, a path or an option may hold that it should not."""

import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

import jaxloc
from jaxloc import moments
from jaxloc.data.annotations import read_coco
from jaxloc.errors import ImageError, UsageError, WeightsError
from jaxloc.inference import Extractor
from jaxloc.models import FeatureMap
from jaxloc.run import Options, colocalize, localize, model_file, stream
from jaxloc.run.steps import Steps
from tests.run import helpers


def test_unreadable_images_are_skipped_with_their_reasons_and_change_nothing(job, paths, tmp_path):
    folder = helpers.plant(tmp_path / "motorcycle", paths)
    (folder / "00_garbage.jpg").write_bytes(b"no image at all")
    (folder / "04_hdf").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    (folder / "05_empty.png").touch()
    (folder / "99_half.jpg").write_bytes(paths[0].read_bytes()[:900])
    Image.new("RGB", (200, 15)).save(folder / "03_tiny.png")
    (folder / "list.txt").write_text("\n".join(path.name for path in [*folder.iterdir(), folder / "98_gone.jpg"]))
    findings = colocalize([folder / "list.txt"], tmp_path / "out", Options(batch=4))
    reasons = [(item.name, item.reason) for item in findings.skipped if item.name != "list.txt"]
    assert reasons[:5] == [
        ("00_garbage.jpg", "not an image, or of a kind that Pillow does not know"),
        ("03_tiny.png", "too small: 200×15 pixels, relu5_3 needs 16 a side"),
        ("04_hdf", "not an image that is read: HDF5 data"),
        ("05_empty.png", "empty file (0 bytes)"),
        ("98_gone.jpg", "no such file"),
    ]
    assert reasons[5][0] == "99_half.jpg"
    assert "truncated" in reasons[5][1]
    assert helpers.boxes_of(tmp_path / "out") == helpers.boxes_of(job("ddt").folder)
    coco = helpers.annotations(tmp_path / "out")
    assert [(item["file_name"], item["reason"]) for item in coco["skipped"]] == [
        (item.name, item.reason) for item in findings.skipped
    ]


def change_features(monkeypatch, change):
    """Each image's features ``[h, w, d]`` of each layer become ``change(number, features)``."""
    extract = Extractor.features

    def changed(engine, batch):
        maps = jax.device_get(extract(engine, batch))
        for layer, (features, size) in maps.items():
            each = [change(*pair) for pair in zip(batch.indices.tolist(), features, strict=True)]
            maps[layer] = FeatureMap(np.stack(each), size)
        return engine.put(maps)

    monkeypatch.setattr(Extractor, "features", changed)


def test_an_image_whose_features_are_not_finite_is_named_and_spoils_no_other(job, photos, paths, tmp_path, monkeypatch):
    expected, names = helpers.noise_scores(job("ddt").folder), [path.name for path in paths]
    total = moments.count(the_moments(job("ddt").folder))
    broken = np.zeros((8, 8, 1), np.float32)
    broken[0, :2, 0] = np.nan, np.inf
    change_features(monkeypatch, lambda number, features: features + broken if number == 2 else features)
    findings = colocalize([photos], tmp_path)
    reason = "the features of 2 of its 64 cells are not finite (NaN or infinity)"
    assert [(item.name, item.reason) for item in findings.skipped] == [(names[2], reason)]
    del expected[names[2]]
    found = helpers.noise_scores(tmp_path)
    assert found == pytest.approx(expected, abs=0.05)
    assert moments.count(the_moments(tmp_path)) == total - 2
    with pytest.raises(UsageError, match=r"images\[2\] \(.*\): the features of 2 of its 64 cells are not finite"):
        jaxloc.colocalize(paths, jaxloc.load("vgg16"))


def the_moments(folder):
    (fitted,) = model_file.load(folder / "model.safetensors").sets.values()
    return fitted.moments["relu5_3"]


def test_features_that_do_not_vary_show_no_object(photos, tmp_path, monkeypatch):
    change_features(monkeypatch, lambda _, features: np.full_like(features, 0.1))
    findings = colocalize([photos], tmp_path)
    assert findings.warnings == ["motorcycle: its features do not vary, so no object stands out"]
    assert set(helpers.boxes_of(tmp_path).values()) == {None}


def test_a_set_whose_images_are_unlike_is_told(photos, tmp_path, monkeypatch):
    def unlike(number, features):
        """A common channel and one of its own on the left half."""
        features = np.zeros_like(features)
        features[:, :4, number], features[:, :4, -1] = 1, 0.6
        return features

    change_features(monkeypatch, unlike)
    (warning,) = colocalize([photos], tmp_path).warnings
    assert re.match(r"motorcycle: its images share little that DDT can see \(alignment 0.\d{3}, below 0.6\)", warning)


def test_an_image_that_vanishes_between_the_passes_is_skipped(job, photos, paths, tmp_path, monkeypatch):
    expected = helpers.boxes_of(job("ddt").folder)  # before reading is tampered with
    reads = []
    read_image = stream.read_image

    def vanishing(path, **options):
        reads.append(Path(path).name)
        if reads.count(paths[2].name) > 1 and Path(path) == paths[2]:
            raise ImageError("no such file")
        return read_image(path, **options)

    monkeypatch.setattr(stream, "read_image", vanishing)
    findings = colocalize([photos], tmp_path, Options(feature_cache=0, report_limit=0))
    assert [(item.name, item.reason) for item in findings.skipped] == [(paths[2].name, "no such file")]
    del expected[paths[2].name]
    assert helpers.boxes_of(tmp_path) == expected


@pytest.mark.parametrize("method", ["ddt", "scda"])
def test_no_readable_image_at_all_is_an_error_that_shows_reasons(tmp_path, method):
    folder = helpers.plant(tmp_path / "in", [])
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"no readable image among 5 \(0\.jpg: not an image.*2\.jpg: .* …\)"):
        colocalize([folder], tmp_path / "out", Options(method=method))
    assert helpers.every_file(tmp_path / "out") == {}


@pytest.mark.parametrize("out", ["a file", "a file/below"])
def test_a_folder_for_results_that_cannot_be_made_is_named_before_anything_is_computed(
    photos, tmp_path, monkeypatch, out
):
    (tmp_path / "a file").write_bytes(b"kept")
    monkeypatch.setattr(Steps, "__init__", None)
    with pytest.raises(UsageError, match=rf"{out}: cannot be written \(.*\): choose another folder with --out"):
        colocalize([photos], tmp_path / out)
    assert (tmp_path / "a file").read_bytes() == b"kept"


def test_results_inside_the_folder_of_images_are_not_taken_for_images(job, paths, tmp_path):
    folder = helpers.plant(tmp_path / "motorcycle", paths)
    for overwrite in (False, False, True):
        findings = localize([folder], folder / "out", Options(overlays=True), overwrite=overwrite)
        assert len(findings.images) == 6


def test_results_written_into_the_folder_of_images_itself_are_not_taken_for_images(paths, tmp_path):
    folder = helpers.plant(tmp_path / "motorcycle", paths[:2])
    for overwrite in (False, False, True):
        findings = localize([folder], folder, Options(overlays=True), overwrite=overwrite)
        assert [item.name for item in findings.images] == [path.name for path in paths[:2]]


def test_jpegs_without_their_last_bytes_are_kept_and_marked_if_asked_for(paths, tmp_path):
    folder = helpers.plant(tmp_path / "motorcycle", paths[:1])
    whole = Image.open(paths[1])
    whole.convert("RGB").save(folder / "z.jpg")
    (folder / "z.jpg").write_bytes((folder / "z.jpg").read_bytes()[:-400])
    found = localize([folder], tmp_path / "out", Options(truncated="keep"))
    assert not found.skipped
    assert [item.note for item in found.images] == [None, "lacks its last bytes"]
    assert found.warnings == ["1 image lacks its last bytes, kept as far as they go: z.jpg"]
    coco = helpers.annotations(tmp_path / "out")
    assert [entry.get("note") for entry in coco["images"]] == [None, "lacks its last bytes"]
    assert coco["info"]["settings"]["JPEGs cut short"] == "kept"


def test_files_that_are_not_read_are_among_the_warnings(paths, tmp_path):
    folder = helpers.plant(tmp_path / "motorcycle", paths[:1])
    (folder / "a.CR2").write_bytes(b"raw")
    told = "1 .cr2 file not read: RAW photographs; develop them to JPEG or TIFF"
    assert localize([folder], tmp_path / "out", Options()).warnings == [told]
    assert helpers.annotations(tmp_path / "out")["info"]["warnings"] == [told]


def test_photographs_beside_an_earlier_runs_results_stay_in_a_later_run(paths, tmp_path):
    folder = helpers.plant(tmp_path / "two" / "motorcycle", paths[:2])
    helpers.plant(tmp_path / "two" / "other", paths[2:4])
    for _ in range(2):  # the second time there is nothing left to do
        findings = colocalize([tmp_path / "two"], folder, Options(overlays=True), per_folder=True)
        assert len(findings.images) == 4
    assert findings.finished_before
    assert len(localize([tmp_path / "two"], tmp_path / "out", Options()).images) == 4
    assert len(localize([folder], tmp_path / "out2", Options()).images) == 2


def test_names_that_are_not_utf8_are_skipped_by_name_and_folders_of_such_names_refused(paths, tmp_path):
    folder, odd = tmp_path / "in", tmp_path / os.fsdecode(b"k\xe4fer")
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system has names of text only")
    helpers.plant(folder, paths[:1])
    shutil.copy(paths[1], folder / os.fsdecode(b"\xff.jpg"))
    findings = localize([folder], tmp_path / "out")
    assert [item.name for item in findings.images] == [paths[0].name]
    assert [(one.name, one.reason) for one in findings.skipped] == [("\\xff.jpg", "its name is not UTF-8: rename it")]
    assert list(read_coco(tmp_path / "out/annotations.json")) == [paths[0].name]
    shutil.copy(paths[0], odd)
    with pytest.raises(UsageError, match=r"/k\\xe4fer: its name is not UTF-8: rename it$"):
        localize([odd], tmp_path / "other")


def test_overlays_stay_inside_the_results_wherever_the_images_lie(paths, tmp_path):
    helpers.plant(tmp_path / "photos", paths[:1])
    (tmp_path / "lists" / "mine").mkdir(parents=True)
    (tmp_path / "lists" / "mine" / "list.txt").write_text(f"../../photos/{paths[0].name}\n")
    localize([tmp_path / "lists/mine/list.txt"], tmp_path / "lists/mine/out", Options(overlays=True))
    outside = [path for path in tmp_path.rglob("*.png") if tmp_path / "lists/mine/out" not in path.parents]
    assert outside == []
    assert len(list((tmp_path / "lists/mine/out").rglob("*.png"))) == 1


def test_images_of_any_size_are_shrunk_to_the_limit_and_boxes_are_in_their_own_pixels(small_vgg16, tmp_path):
    folder = helpers.plant(tmp_path / "coffee", [])
    image = Image.fromarray(skimage.data.coffee())
    sizes = [(150, 131), (40, 131), (250, 300)]
    for number, (rows, columns) in enumerate(sizes):
        image.resize((columns, rows)).save(folder / f"{number}.png")
    colocalize([folder], tmp_path / "out", Options(max_side=100, batch=4))
    paths = sorted(folder.iterdir())
    expected = helpers.expect_ddt(
        helpers.features(small_vgg16, paths, ["relu5_3"], shorter_side=100), ["relu5_3"], sizes
    )
    helpers.check_boxes(tmp_path / "out", paths, expected)
    coco = helpers.annotations(tmp_path / "out")
    assert [(entry["height"], entry["width"]) for entry in coco["images"]] == sizes
    assert coco["info"]["settings"]["shorter side at most"] == "100 pixels"
    assert expected[2].box[3] > 131


@pytest.mark.parametrize("limit", [0, 2])
def test_the_report_shows_no_more_images_than_asked_for(paths, tmp_path, limit):
    localize(paths[:4], tmp_path, Options(report_limit=limit))
    report = (tmp_path / "report.html").read_text()
    assert [path.name in report for path in paths[:4]] == [number < limit for number in range(4)]
    assert len(helpers.annotations(tmp_path)["images"]) == 4


def test_ctrl_c_in_the_middle_leaves_what_is_done_and_no_half_results(job, photos, tmp_path, monkeypatch):
    calls = []
    localize_batch = Steps.localize

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return localize_batch(*arguments)

    monkeypatch.setattr(Steps, "localize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        colocalize([photos], tmp_path / "out", Options(overlays=True))
    there = set(helpers.every_file(tmp_path / "out"))
    assert there >= {"parts/_run.json", "parts/fitted-00000.safetensors"}
    assert not [name for name in there if name.endswith((".part", ".html", ".json", ".parquet")) and "_run" not in name]
    colocalize([photos], tmp_path / "out", Options(overlays=True))
    assert len(calls) == 3 + 6
    assert helpers.every_file(tmp_path / "out") == helpers.every_file(job("ddt").folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "pca"}, r"method must be one of ddt, ddt\+, ddt-spread, scda, fs-egm, lost, .*, beam, not 'pca'"),
        ({"sign": "plus"}, "sign must be one of aggregation, loading, minority, border, attention, none, not 'plus'"),
        ({"connectivity": 6}, "connectivity must be one of 8, 4, not 6"),
        ({"backend": "gpu"}, "backend must be one of auto, host, device, not 'gpu'"),
        ({"conv": "fft"}, "conv must be one of auto, direct, winograd, winograd2x2, not 'fft'"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, not 'float16'"),
        ({"noise_threshold": 1.0}, "the noise threshold, a share of cells, must be from 0 to below 1, not 1.0"),
        ({"noise_threshold": float("nan")}, "the noise threshold, a share of cells, must be from 0 to below 1"),
        ({"max_side": 31}, r"max side must be 0 \(never shrink\) or at least 32 pixels, not 31"),
        ({"max_side": -1}, "max side must be 0"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"workers": -1}, "workers must be"),
        ({"report_limit": -1}, "report limit must be"),
        ({"feature_cache": -1}, "feature cache must be"),
        ({"devices": 0}, "number of devices must be at least 1, not 0"),
        ({"shard_size": 0}, "shard size must be at least 1, not 0"),
        ({"moments_memory": 0}, "memory for moments must be more than nothing, not 0 bytes"),
    ],
    ids=str,
)
def test_an_option_out_of_range_says_what_it_may_be(options, message):
    with pytest.raises(UsageError, match=message):
        Options(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "relu9_9"}, UsageError, "unknown layer 'relu9_9'; vgg16 has relu1_1, "),
        ({"layer": "pool5", "method": "ddt+"}, UsageError, "no convolution of the same block lies below 'pool5'"),
        ({"layer": "relu5_1", "method": "ddt+"}, UsageError, "no convolution of the same block lies below 'relu5_1'"),
        ({"layer": "fc6"}, WeightsError, "no weights for vgg16 with its classifier: convert a file"),
        ({"weights": "resnet"}, WeightsError, "unknown weights 'resnet': give a file, or one of vgg16, vgg19"),
        ({"weights": "nowhere/vgg16.safetensors"}, WeightsError, "no such weights file"),
        ({"devices": 1000}, UsageError, r"1000 devices asked for, and this host has \d+$"),
    ],
    ids=str,
)
def test_layers_and_weights_that_do_not_exist_are_named(vgg16, photos, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        colocalize([photos], tmp_path, Options(**options))
    assert helpers.every_file(tmp_path) == {}
