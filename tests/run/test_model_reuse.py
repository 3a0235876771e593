"""A fitted model updated with more images, and applied to images it never saw."""

import dataclasses
import json

import numpy as np
import pytest

from jaxloc import moments
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.run import Options, apply, colocalize, localize, model_file
from jaxloc.run.model_file import FittedSet
from tests.run import helpers


def test_a_fit_updated_with_more_images_equals_the_fit_on_all(job, paths, tmp_path):
    colocalize(paths[:3], tmp_path / "a")
    findings = colocalize(paths[3:], tmp_path / "b", update=tmp_path / "a" / "model.safetensors")
    found, expected = (helpers.the_model(folder) for folder in (tmp_path / "b", job("ddt").folder))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5 * float(expected.mean.max()))
    np.testing.assert_allclose(found.components, expected.components, atol=1e-5)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-5)
    totals = [
        moments.count(model_file.load(folder / "model.safetensors").sets["motorcycle"].moments["relu5_3"])
        for folder in (tmp_path / "b", job("ddt").folder)
    ]
    assert totals[0] == totals[1]
    assert [item.box for item in findings.images] == [item.box for item in job("ddt").findings.images[3:]]


def test_a_model_without_moments_across_layers_is_applied_and_updated(job, paths, tmp_path):
    whole = model_file.load(job("ddt+").folder / "model.safetensors")
    fitted = whole.sets["motorcycle"]
    assert set(fitted.moments) == {"relu5_3", "relu5_2", "relu5_3+relu5_2"}
    below = fitted.models["relu5_2"]
    wrong = fitted.models | {"relu5_2": below._replace(components=-below.components)}
    alone = FittedSet(wrong, {layer: fitted.moments[layer] for layer in whole.layers})
    model_file.save(tmp_path / "old.safetensors", dataclasses.replace(whole, sets={"motorcycle": alone}))
    applied = apply(tmp_path / "old.safetensors", paths[:2], tmp_path / "applied")
    assert len(applied.images) == 2
    colocalize(paths, tmp_path / "out", Options(method="ddt+"), update=tmp_path / "old.safetensors")
    again = model_file.load(tmp_path / "out" / "model.safetensors").sets["motorcycle"]
    np.testing.assert_allclose(again.models["relu5_2"].components, below.components, atol=1e-4)
    assert set(again.moments) == set(fitted.moments)


def test_an_update_takes_one_image_and_keeps_the_sets_it_does_not_touch(job, paths, tmp_path):
    first = job("ddt").folder / "model.safetensors"
    colocalize(paths[:2], tmp_path / "a", name="pair", update=first)
    colocalize(paths[2:3], tmp_path / "b", name="pair", update=tmp_path / "a" / "model.safetensors")
    before, after = (model_file.load(path) for path in (first, tmp_path / "b" / "model.safetensors"))
    assert set(after.sets) == {"motorcycle", "pair"}
    for old, new in zip(
        before.sets["motorcycle"].models["relu5_3"], after.sets["motorcycle"].models["relu5_3"], strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_images_of_a_folder_of_another_name_are_added_to_the_only_set_of_the_model(job, paths, tmp_path):
    helpers.plant(tmp_path / "more", paths[:2])
    colocalize([tmp_path / "more"], tmp_path / "out", update=job("ddt").folder / "model.safetensors")
    assert list(model_file.load(tmp_path / "out" / "model.safetensors").sets) == ["motorcycle"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layer": "relu5_2"},
            "fitted by ddt on relu5_3 with --max-side 800; asked for ddt on relu5_2 with --max-side 800: use the same",
        ),
        ({"method": "ddt+"}, r"asked for ddt\+ on relu5_3 and relu5_2"),
        ({"max_side": 96}, "asked for ddt on relu5_3 with --max-side 96"),
        ({"method": "scda"}, "scda fits nothing, so there is no model to update"),
    ],
    ids=str,
)
def test_a_model_is_not_updated_with_other_settings(job, photos, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        colocalize([photos], tmp_path, Options(**options), update=job("ddt").folder / "model.safetensors")


def test_a_model_of_activations_is_not_updated_with_their_roots(job, photos, tmp_path):
    with pytest.raises(UsageError, match=r"fitted by ddt\+ on .* asked for ddt-spread on"):
        colocalize([photos], tmp_path, Options(method="ddt-spread"), update=job("ddt+").folder / "model.safetensors")


@pytest.fixture
def other_weights(job, tmp_path):
    """A model fitted with other weights."""
    model = model_file.load(job("ddt").folder / "model.safetensors")
    model_file.save(tmp_path / "other.safetensors", dataclasses.replace(model, weights_checksum="0123456789abcdef"))
    return tmp_path / "other.safetensors"


def test_a_model_of_other_weights_is_neither_applied_nor_updated(other_weights, photos, tmp_path):
    message = r"other\.safetensors: fitted on features of other weights \(vgg16-small, 0123456789ab….*--weights"
    with pytest.raises(UsageError, match=message):
        apply(other_weights, [photos], tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        colocalize([photos], tmp_path / "out", update=other_weights)
    assert helpers.every_file(tmp_path / "out") == {}


@pytest.mark.parametrize("method", ["ddt", "ddt+"])
def test_a_model_applied_to_the_images_it_was_fitted_on_finds_the_same(job, photos, tmp_path, method):
    findings = apply(job(method).folder / "model.safetensors", [photos], tmp_path)
    fitted = helpers.annotations(job(method).folder)
    applied = helpers.annotations(tmp_path)
    for section in ("images", "annotations", "categories", "skipped"):
        assert applied[section] == fitted[section]
    assert findings.method == METHODS[method].title
    assert not (tmp_path / "model.safetensors").exists()


def test_a_model_finds_the_object_in_a_single_image_it_never_saw(small_vgg16, paths, tmp_path):
    colocalize(paths[1:], tmp_path / "fit")
    model = helpers.the_model(tmp_path / "fit")
    findings = apply(tmp_path / "fit" / "model.safetensors", [paths[0]], tmp_path / "out")
    assert [item.name for item in findings.images] == [paths[0].name]
    assert [item.category for item in findings.images] == ["motorcycle"]
    assert findings.images[0].found
    assert model.mean.shape == small_vgg16.params["conv5_3"]["bias"].shape


def test_which_set_of_a_model_to_look_for_is_asked_where_there_are_several(job, paths, tmp_path):
    colocalize(paths[:2], tmp_path / "two", name="pair", update=job("ddt").folder / "model.safetensors")
    model = tmp_path / "two" / "model.safetensors"
    with pytest.raises(UsageError, match=r"knows several sets \(motorcycle, pair\): choose one with --category"):
        apply(model, paths[:1], tmp_path / "out")
    with pytest.raises(UsageError, match=r"was not fitted on bicycle; it knows motorcycle, pair"):
        apply(model, paths[:1], tmp_path / "out", category="bicycle")
    findings = apply(model, paths[:1], tmp_path / "out", category="motorcycle")
    assert [item.box for item in findings.images] == [job("ddt").findings.images[0].box]
    helpers.plant(tmp_path / "in" / "motorcycle", paths[:1])
    helpers.plant(tmp_path / "in" / "pair", paths[:1])
    findings = apply(model, [tmp_path / "in"], tmp_path / "both", per_folder=True)
    assert [(item.category, item.name) for item in findings.images] == [
        ("motorcycle", f"motorcycle/{paths[0].name}"),
        ("pair", f"pair/{paths[0].name}"),
    ]
    helpers.plant(tmp_path / "in" / "boat", paths[:1])
    with pytest.raises(UsageError, match=r"was not fitted on boat; it knows motorcycle, pair"):
        apply(model, [tmp_path / "in"], tmp_path / "more", per_folder=True)


def test_a_model_is_neither_replaced_by_what_it_finds_nor_by_its_own_update(paths, tmp_path):
    colocalize(paths[:2], tmp_path)
    model = tmp_path / "model.safetensors"
    before = helpers.every_file(tmp_path)
    message = r"model\.safetensors: results in .* would take its place: choose another folder with --out$"
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=message):
            apply(model, paths[:1], tmp_path, overwrite=overwrite)
        with pytest.raises(UsageError, match=message):
            colocalize(paths[:2], tmp_path / "." / "", update=model, overwrite=overwrite)
    assert helpers.every_file(tmp_path) == before


def test_a_name_for_a_single_set_is_refused_where_there_are_many(job, paths, tmp_path):
    message = r"--category cat names a single set, .*: leave one of them out$"
    with pytest.raises(UsageError, match=message):
        apply(job("ddt").folder / "model.safetensors", paths, tmp_path, category="cat", per_folder=True)
    for run in (colocalize, localize):
        with pytest.raises(UsageError, match=message):
            run(paths, tmp_path, name="cat", per_label=True)


def test_a_list_that_results_would_replace_is_refused(paths, tmp_path):
    helpers.plant(tmp_path / "in", paths[:2])
    images = [{"id": number, "file_name": path.name} for number, path in enumerate(paths[:2])]
    given = tmp_path / "in" / "annotations.json"
    given.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    before = helpers.every_file(tmp_path)
    for run in (colocalize, localize):
        with pytest.raises(UsageError, match=r"annotations\.json: results in .* would take its place"):
            run([given], tmp_path / "in", overwrite=True)
    assert helpers.every_file(tmp_path) == before
