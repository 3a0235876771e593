"""Whole jobs on small real images: against the NumPy transcription, and against themselves."""

import weakref

import numpy as np
import pytest
from PIL import Image

from jaxloc import moments
from jaxloc.errors import UsageError
from jaxloc.inference import Extractor
from jaxloc.localizers import METHODS, Inputs
from jaxloc.run import Options, colocalize, localize, model_file, moment_store
from tests.reference import scda_ddt as reference
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


@pytest.mark.parametrize(("method", "layers"), [("ddt", ["relu5_3"]), ("ddt+", ["relu5_3", "relu5_2"])])
def test_colocalize_equals_the_transcription_of_the_paper(job, paths, sizes, maps, method, layers):
    folder, findings = job(method)
    expected = helpers.expect_ddt(maps, layers, sizes)
    helpers.check_boxes(folder, paths, expected)
    np.testing.assert_allclose([item.noise_score for item in findings.images], [one.share for one in expected])
    np.testing.assert_allclose([item.score for item in findings.images], [one.score for one in expected], atol=1e-4)
    assert (None in {one.box for one in expected}) == (method == "ddt+")


def test_ddt_spread_fits_and_looks_at_square_roots(job, sizes, maps):
    folder, findings = job("ddt-spread")
    roots = {layer: [np.sqrt(one) for one in maps[layer]] for layer in ("relu5_3", "relu5_2")}
    model = model_file.load(folder / "model.safetensors").sets["motorcycle"].models
    for layer, each in roots.items():
        cells = np.vstack([one.reshape(-1, one.shape[-1]) for one in each])
        np.testing.assert_allclose(model[layer].mean, cells.mean(0), rtol=1e-5)
    fitted = tuple(model[layer] for layer in roots)
    for number, (finding, size) in enumerate(zip(findings.images, sizes, strict=True)):
        inputs = Inputs(tuple((each[number], each[number].shape[:2]) for each in roots.values()), size)
        found = METHODS["ddt-spread"].localize(fitted, inputs, connectivity=8, backend="host")
        assert finding.box == tuple(found.box.tolist())
        assert finding.noise_score == pytest.approx(float(found.positive_share))


def test_scda_equals_the_transcription_of_the_paper(job, paths, sizes, maps):
    folder, findings = job("scda")
    masks = [reference.scda_mask(one) for one in maps["relu5_3"]]
    boxes = [tuple(reference.box(mask, size).tolist()) for mask, size in zip(masks, sizes, strict=True)]
    helpers.check_boxes(folder, paths, [helpers.Expected(box, 0, 0) for box in boxes])
    assert all(item.noise_score is None and not item.noisy for item in findings.images)


@pytest.mark.soak  # the demo finds it with VGG-16 in cli/test_commands.py
def test_vgg16_finds_the_object_where_it_was_put_and_nowhere_else(vgg16, tmp_path):
    truth = helpers.write_photographs(tmp_path / "all", with_object=6)
    paths = sorted((tmp_path / "all").iterdir())[::2]  # those of one shape
    folder, layers = helpers.plant(tmp_path / "motorcycle", paths), ["relu5_3", "relu5_2"]
    findings = colocalize([folder], tmp_path / "out", Options(method="ddt+"))
    assert findings.settings["weights checksum"] == vgg16.checksum
    expected = helpers.expect_ddt(helpers.features(vgg16, paths, layers), layers, [(128, 128)] * 4)
    helpers.check_boxes(tmp_path / "out", paths, expected)
    np.testing.assert_allclose([item.noise_score for item in findings.images], [one.share for one in expected])
    np.testing.assert_allclose([item.score for item in findings.images], [one.score for one in expected], atol=1e-4)
    found = helpers.boxes_of(tmp_path / "out")
    assert [truth[path.name] is None for path in paths] == [False, False, False, True]
    for name, box in ((path.name, truth[path.name]) for path in paths):
        if box is None:
            assert found[name] is None
        else:
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            assert found[name][0] < x < found[name][2]
            assert found[name][1] < y < found[name][3]


@pytest.mark.parametrize("method", ["ddt", "ddt+", "scda"])
def test_annotations_are_a_coco_file_with_all_that_was_found(job, paths, sizes, method):
    folder, findings = job(method)
    coco = helpers.annotations(folder)
    assert coco["categories"] == [{"id": 1, "name": "motorcycle"}]
    assert [entry["id"] for entry in coco["images"]] == list(range(1, 7))
    assert [entry["file_name"] for entry in coco["images"]] == [path.name for path in paths]
    assert [(entry["height"], entry["width"]) for entry in coco["images"]] == sizes
    assert [entry["id"] for entry in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    found = {entry["image_id"]: entry for entry in coco["annotations"]}
    for entry, finding in zip(coco["images"], findings.images, strict=True):
        assert entry["category_id"] == 1
        assert entry["found"] == finding.found == (entry["id"] in found)
        assert entry["noise_score"] == finding.noise_score
        assert entry["noisy"] == finding.noisy
        if finding.found:
            annotation = found[entry["id"]]
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == finding.box
            assert annotation["area"] == width * height
            assert annotation["iscrowd"] == 0
            assert annotation["score"] == finding.score
            assert 0 < annotation["score"] < 1
    assert coco["skipped"] == []


@pytest.mark.parametrize(
    ("method", "layer"), [("ddt", "relu5_3"), ("ddt+", "relu5_3 and relu5_2"), ("scda", "relu5_3")]
)
def test_annotations_tell_what_the_result_depends_on(job, small_vgg16, method, layer):
    settings = helpers.annotations(job(method).folder)["info"]["settings"]
    assert settings["method"] == method
    assert settings["layer"] == layer
    assert settings["weights checksum"] == small_vgg16.checksum
    assert settings["shorter side at most"] == "800 pixels"
    assert settings.get("sign rule") == (None if method == "scda" else "aggregation")


@pytest.mark.parametrize("method", ["ddt", "ddt+"])
def test_the_model_is_the_first_components_of_all_descriptors(job, maps, small_vgg16, method):
    model = model_file.load(job(method).folder / "model.safetensors")
    assert model.method == method
    assert model.layers == (("relu5_3", "relu5_2") if method == "ddt+" else ("relu5_3",))
    assert model.weights_checksum == small_vgg16.checksum
    assert list(model.sets) == ["motorcycle"]
    for layer in model.layers:
        fitted = model.sets["motorcycle"].models[layer]
        mean, components, values = reference.ddt_fit(maps[layer], 2)
        np.testing.assert_allclose(fitted.mean, mean, atol=1e-4 * mean.max())
        np.testing.assert_allclose(fitted.eigenvalues, values, rtol=1e-4)
        np.testing.assert_allclose(fitted.components, components, atol=1e-3)
        descriptors = sum(one.shape[0] * one.shape[1] for one in maps[layer])
        assert moments.count(model.sets["motorcycle"].moments[layer]) == descriptors


def test_scda_leaves_no_model(job):
    assert not (job("scda").folder / "model.safetensors").exists()


@pytest.mark.parametrize("method", ["ddt", "ddt+", "scda"])
def test_there_is_a_report_an_overlay_of_each_image_and_nothing_else(job, paths, sizes, method):
    folder, _ = job(method)
    expected = helpers.written(model=method != "scda") | {f"overlays/{path.name}.png" for path in paths}
    assert set(helpers.every_file(folder)) == expected
    report = (folder / "report.html").read_text()
    for path, size in zip(paths, sizes, strict=True):
        assert path.name in report
        with Image.open(folder / "overlays" / f"{path.name}.png") as overlay:
            assert overlay.size == size[::-1]


def test_the_same_images_give_the_same_bytes_of_every_file(job, photos, tmp_path):
    colocalize([photos], tmp_path / "again", Options(overlays=True))
    assert helpers.every_file(tmp_path / "again") == helpers.every_file(job("ddt").folder)


@pytest.mark.parametrize("options", [{"batch": 8}, {"batch": 3, "workers": 1}, {"backend": "device"}], ids=str)
def test_how_it_is_computed_changes_no_box(job, photos, tmp_path, options):
    findings = colocalize([photos], tmp_path, Options(**options))
    assert helpers.boxes_of(tmp_path) == helpers.boxes_of(job("ddt").folder)
    expected = job("ddt").findings.images
    np.testing.assert_allclose([item.score for item in findings.images], [item.score for item in expected], atol=1e-5)


def test_the_order_in_which_images_are_given_changes_nothing(job, photos, paths, tmp_path):
    shuffled = [paths[number] for number in np.random.default_rng(0).permutation(len(paths))]
    colocalize(shuffled, tmp_path)
    assert helpers.annotations(tmp_path) == helpers.annotations(job("ddt").folder)


@pytest.mark.parametrize("size", [0, 1, 300_000])
@pytest.mark.parametrize("method", soaked(["ddt", "ddt+"], ["ddt+"]))  # which keeps a second layer as well
def test_the_size_of_the_feature_cache_changes_nothing(job, photos, tmp_path, method, size):
    colocalize([photos], tmp_path, Options(method=method, feature_cache=size))
    assert helpers.annotations(tmp_path) == helpers.annotations(job(method).folder)
    assert set(helpers.every_file(tmp_path)) == helpers.written()


def test_a_disk_too_full_for_the_features_changes_nothing(photos, sizes, tmp_path):
    options = Options(layer="relu2_2", report_limit=0)  # large features, small results
    colocalize([photos], tmp_path / "room", options)
    total = sum(rows * columns // 4 * small.WIDTHS[1] * 4 for rows, columns in sizes)
    with helpers.file_size_limit(total - 5000):
        colocalize([photos], tmp_path / "full", options)
    assert helpers.every_file(tmp_path / "full") == helpers.every_file(tmp_path / "room")


def test_a_disk_too_full_for_the_results_names_the_file_and_leaves_no_half(job, photos, tmp_path, monkeypatch):
    write = moment_store.write_safetensors_in_parts

    def write_to_a_full_disk(*arguments):
        with helpers.file_size_limit(400):
            write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(moment_store, "write_safetensors_in_parts", write_to_a_full_disk)
        with pytest.raises(UsageError, match=r"moments-00000\.safetensors: cannot be written \(.*free some space"):
            colocalize([photos], tmp_path, Options(overlays=True))
    assert set(helpers.every_file(tmp_path)) == {"parts/_run.json"}
    colocalize([photos], tmp_path, Options(overlays=True))
    assert helpers.every_file(tmp_path) == helpers.every_file(job("ddt").folder)


def test_features_are_never_all_in_memory(photos, tmp_path, monkeypatch):
    made: list[weakref.ref] = []
    most = []
    features = Extractor.features

    def watched(engine, batch):
        maps = features(engine, batch)
        made.extend(weakref.ref(one.features) for one in maps.values())
        most.append(sum(reference() is not None for reference in made))
        return maps

    monkeypatch.setattr(Extractor, "features", watched)
    colocalize([photos], tmp_path, Options(feature_cache=0))
    assert len(most) == 2 * 6
    assert max(most) <= 3


def test_the_network_runs_once_for_each_image_whose_features_are_kept(photos, tmp_path, monkeypatch):
    seen = []
    features = Extractor.features
    monkeypatch.setattr(
        Extractor, "features", lambda engine, batch: seen.extend(batch.indices) or features(engine, batch)
    )
    colocalize([photos], tmp_path, Options())
    assert sorted(seen) == list(range(6))


def test_bfloat16_finds_nearly_the_same(job, photos, tmp_path):
    findings = colocalize([photos], tmp_path, Options(dtype="bfloat16"))
    assert findings.settings["computed in"] == "bfloat16"
    expected = job("ddt").findings.images
    assert [item.found for item in findings.images] == [item.found for item in expected]
    shares = [[item.noise_score for item in some] for some in (findings.images, expected)]
    np.testing.assert_allclose(*shares, atol=0.05)


def test_localize_needs_one_image_only(job, paths, tmp_path):
    findings = localize(paths[:1], tmp_path)
    assert [item.box for item in findings.images] == [job("scda").findings.images[0].box]
    assert [item.category for item in findings.images] == ["motorcycle"]


@pytest.mark.parametrize("layer", soaked(["pool5", "relu4_3"], ["pool5"]))
def test_another_layer_is_used_if_asked_for(maps, photos, paths, sizes, tmp_path, layer):
    colocalize([photos], tmp_path, Options(layer=layer))
    helpers.check_boxes(tmp_path, paths, helpers.expect_ddt(maps, [layer], sizes))
    assert model_file.load(tmp_path / "model.safetensors").layers == (layer,)
