"""Fitted models on disk: bit for bit what was fitted, or one line that says what is wrong with the file."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jaxloc import ddt, moments
from jaxloc._files import StoredArrays
from jaxloc.errors import UsageError
from jaxloc.run import model_file
from jaxloc.run.model_file import FittedSet, ModelFile

LAYERS = ("relu5_3", "relu5_2")


def fit(seed: int) -> FittedSet:
    rng = np.random.default_rng(seed)
    upper, lower = rng.random((2, 50, 6), np.float32)
    sums = {layer: moments.of(some) for layer, some in zip(LAYERS, (upper, lower), strict=True)}
    models = {layer: ddt.fit(one) for layer, one in sums.items()}
    return FittedSet(models, sums | {"relu5_3+relu5_2": moments.of(upper, below=lower)})


def earlier(fitted: FittedSet) -> FittedSet:
    """The same without moments across layers, which earlier versions did not keep."""
    return FittedSet(fitted.models, {layer: fitted.moments[layer] for layer in LAYERS})


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return ModelFile(
        {"dogs/große": fit(0), "": fit(1), "cats": earlier(fit(2))}, "ddt+", LAYERS, "minority", 640, "vgg16", "ab" * 32
    )


@pytest.fixture
def path(model, tmp_path):
    model_file.save(tmp_path / "model.safetensors", model)
    return tmp_path / "model.safetensors"


def rewrite(path, change):
    """Save the file anew after ``change(arrays, metadata)``."""
    with safetensors.safe_open(path, "np") as file:
        metadata = dict(file.metadata())
    arrays = safetensors.numpy.load_file(path)
    change(arrays, metadata)
    safetensors.numpy.save_file(arrays, path, metadata)


def test_a_model_comes_back_bit_for_bit(model, path):
    loaded = model_file.load(path)
    for field in dataclasses.fields(ModelFile):
        if field.name != "sets":
            assert getattr(loaded, field.name) == getattr(model, field.name)
    assert list(loaded.sets) == list(model.sets)
    for name, fitted in model.sets.items():
        assert set(loaded.sets[name].moments) == set(fitted.moments)
        for kind in ("models", "moments"):
            for layer, one in getattr(fitted, kind).items():
                other = getattr(loaded.sets[name], kind)[layer]
                assert type(one) is type(other)
                for expected, found in zip(one, other, strict=True):
                    assert np.asarray(found).dtype == np.asarray(expected).dtype
                    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


def test_a_loaded_model_fits_on_with_more_images(model, path):
    sums = model_file.load(path).sets["cats"].moments["relu5_3"]
    more = moments.of(np.random.default_rng(9).random((30, 6), np.float32))
    assert moments.count(moments.merge(sums, more)) == 80


def test_moments_are_read_when_they_are_asked_for(path, monkeypatch):
    read = []
    one = StoredArrays.__getitem__
    monkeypatch.setattr(StoredArrays, "__getitem__", lambda arrays, name: read.append(name) or one(arrays, name))
    sets = model_file.load(path).sets
    assert "cats" in sets
    assert "birds" not in sets
    assert read == []
    fitted = sets["cats"]
    assert fitted.models.keys() == fitted.moments.keys() == set(LAYERS)
    assert set(read) == {f"2/{layer}/{field}" for layer in LAYERS for field in ddt.Model._fields}
    read.clear()
    fitted.moments["relu5_2"]
    assert read == [f"2/relu5_2/{field}" for field in ("total", "mean", "scatter")]
    with pytest.raises(KeyError):
        fitted.moments["relu1_1"]


def test_a_set_that_is_cut_off_once_the_file_is_open_says_that_it_is_damaged(path):
    sets = model_file.load(path).sets
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UsageError, match=r"model\.safetensors: damaged model file \(.*\): fit it again"):
        dict(sets["cats"].moments)


def test_a_model_of_sets_from_a_file_is_written_as_it_was(model, path, tmp_path):
    model_file.save(tmp_path / "again.safetensors", model_file.load(path))
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_same_model_gives_the_same_bytes(model, path, tmp_path):
    for _ in range(5):
        model_file.save(tmp_path / "again.safetensors", model)
        assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_file_is_plain_safetensors_that_says_what_it_is(path):
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    assert metadata["format"] == model_file.FORMAT
    assert json.loads(metadata["layers"]) == list(LAYERS)
    assert all(np.isfinite(array).all() for array in safetensors.numpy.load_file(path).values())


def test_saving_replaces_the_file_and_leaves_no_other(model, path):
    model_file.save(path, dataclasses.replace(model, max_side=0))
    assert model_file.load(path).max_side == 0
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_missing_file_says_what_writes_one(tmp_path):
    for path in (tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(UsageError, match=rf"{path}: no such model file; `jaxloc colocalize` writes one"):
            model_file.load(path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 200, -4000, -1])
def test_a_truncated_file_says_that_it_is_damaged(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UsageError, match=r"model\.safetensors: damaged model file \(.*\): fit it again"):
        model_file.load(path)


@pytest.mark.parametrize("content", [b"not safetensors at all", b"\xff" * 100, b"{}"])
def test_a_file_of_another_kind_says_that_it_is_damaged(path, content):
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"damaged model file"):
        model_file.load(path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "jaxloc-weights-1"}, {"format": "jaxloc-ddt-99"}])
def test_safetensors_of_something_else_say_that_they_are_no_model(tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"conv1_1/kernel": np.zeros((3, 3, 3, 4), np.float32)}, path, metadata)
    with pytest.raises(
        UsageError, match=r"^[^(]*weights\.safetensors: not a DDT model; `jaxloc colocalize` writes one"
    ):
        model_file.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, metadata: arrays.pop("0/relu5_3/mean"),
        lambda arrays, metadata: arrays.pop("2/relu5_2/scatter"),
        lambda arrays, metadata: metadata.pop("sets"),
        lambda arrays, metadata: metadata.pop("weights_checksum"),
        lambda arrays, metadata: metadata.update(layers="relu5_3"),
        lambda arrays, metadata: metadata.update(sets=json.dumps(["a", "b", "c", "d"])),
        lambda arrays, metadata: metadata.update(max_side="large"),
    ],
    ids=["no mean", "no scatter", "no sets", "no checksum", "layers are no list", "one set too many", "no number"],
)
def test_a_file_with_something_missing_says_that_it_is_damaged(path, change):
    rewrite(path, change)
    with pytest.raises(UsageError, match=r"damaged model file \(.*\): fit it again"):
        model_file.load(path)
