"""The short way: what it takes, that it finds what the command finds, and that a second call compiles nothing."""

import contextlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import run
from jaxloc.errors import UsageError
from jaxloc.options import IndexOptions, LocalizeOptions
from jaxloc.run import model_file
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with helpers.one_device():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def net(weights):
    return jaxloc.load(weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images of two sizes."""
    folder = tmp_path_factory.mktemp("images") / "cats"
    folder.mkdir()
    for number in range(6):
        small.crop("cat", number).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def paths(folder):
    return sorted(folder.iterdir())


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """The programs that are compiled while the block runs."""
    seen: list[str] = []
    counting = True

    def listen(event: str, seconds: float, **details: object) -> None:
        if counting and event == COMPILED:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    counting = False


def same(found, other) -> None:
    assert [(one.box, one.score, one.found) for one in found] == [(one.box, one.score, one.found) for one in other]
    for one, two in zip(found, other, strict=True):
        np.testing.assert_array_equal(one.mask, two.mask)
        np.testing.assert_array_equal(one.response, two.response)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.soak),
        {"method": "ddt+", "sign": "loading", "max_side": 64},
        {"method": "ddt-spread"},
        {"sign": "minority"},
    ],
)
def test_colocalize_finds_what_the_command_finds(net, weights, folder, paths, tmp_path, settings):
    run.colocalize([folder], tmp_path / "out", LocalizeOptions(weights=weights, **settings))
    found = jaxloc.colocalize(paths, net, name="cats", **settings)
    expected = helpers.annotations(tmp_path / "out")
    written = jaxloc.colocalize(folder, net, name="cats", **settings).to_coco()
    assert written["annotations"] == expected["annotations"]
    assert written["images"] == expected["images"]
    assert [one.box for one in found] == list(helpers.boxes_of(tmp_path / "out").values())
    model_file.save(tmp_path / "model.safetensors", found.model)
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "out" / "model.safetensors").read_bytes()


def test_localize_and_apply_find_what_the_commands_find(net, weights, folder, paths, tmp_path):
    run.localize([folder], tmp_path / "alone", LocalizeOptions(weights=weights))
    alone = jaxloc.localize(paths, net)
    assert [one.box for one in alone] == list(helpers.boxes_of(tmp_path / "alone").values())
    assert alone.model is None
    same(alone, jaxloc.colocalize(paths, net, method="scda"))
    model = jaxloc.colocalize(paths[:4], net, name="cats").model
    model_file.save(tmp_path / "model.safetensors", model)
    run.apply(tmp_path / "model.safetensors", [folder], tmp_path / "applied", LocalizeOptions(weights=weights))
    applied = jaxloc.apply(model, paths, net)
    assert [one.box for one in applied] == list(helpers.boxes_of(tmp_path / "applied").values())
    same(applied, jaxloc.apply(tmp_path / "model.safetensors", folder, net, name="cats"))


def test_many_images_are_merged_shard_by_shard_as_the_command_does(net, weights, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(70):  # two shards
        small.crop("cat", number).resize((48, 32)).save(folder / f"{number:02d}.png")
    run.colocalize([folder], tmp_path / "out", LocalizeOptions(weights=weights))
    found = jaxloc.colocalize(folder, net, name="many")
    model_file.save(tmp_path / "model.safetensors", found.model)
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "out" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("descriptor", soaked(["scda", "scda_flip+"], ["scda_flip+"]))
def test_describe_gives_the_vectors_of_the_command(net, weights, folder, paths, tmp_path, descriptor):
    index([folder], tmp_path / "gallery", IndexOptions(weights=weights, descriptor=descriptor))
    gallery = Gallery.open(tmp_path / "gallery")
    expected = np.concatenate([gallery.vectors(shard) for shard in gallery.shards])
    np.testing.assert_array_equal(jaxloc.describe(paths, net, descriptor=descriptor), expected)


@pytest.mark.parametrize("kept", [10**9, 0])
def test_a_second_call_compiles_nothing(net, paths, monkeypatch, kept):
    monkeypatch.setattr("jaxloc.api.batches._ROOM", kept)
    calls = [
        lambda: jaxloc.colocalize(paths, net, method="ddt+"),
        lambda: jaxloc.localize(paths, net),
        lambda: jaxloc.describe(paths, net),
        lambda: net.features(paths, "pool5"),
    ]
    first = [call() for call in calls]
    with compilations() as compiled:
        second = [call() for call in calls]
    assert compiled == []
    same(first[0], second[0])


def test_images_of_any_kind_give_the_same(net, paths):
    arrays = [np.asarray(Image.open(path)) for path in paths]
    expected = jaxloc.colocalize(paths, net)
    same(expected, jaxloc.colocalize([str(path) for path in paths], net))
    same(expected, jaxloc.colocalize(arrays, net))
    same(expected, jaxloc.colocalize((Image.open(path) for path in paths), net))
    same(expected, jaxloc.colocalize([array / 255 for array in arrays], net))
    same(expected, jaxloc.colocalize([jax.numpy.asarray(array) for array in arrays], net))
    square = [array for array in arrays if array.shape == arrays[0].shape]
    same(jaxloc.colocalize(square, net), jaxloc.colocalize(np.stack(square), net))


def test_one_image_counts_as_a_list_of_one(net, paths):
    array = np.asarray(Image.open(paths[0]))
    (expected,) = jaxloc.localize([array], net)
    for one in (array, Image.open(paths[0]), paths[0], str(paths[0]), array[None]):
        found = jaxloc.localize(one, net)
        assert len(found) == 1
        assert found[0].box == expected.box


def test_features_are_cut_to_the_image_and_come_by_layer(net, paths):
    alone = net.features(paths[1], "relu5_3")
    several = net.features(paths, ["relu5_3", "pool5"])
    assert alone[0].shape == several[1]["relu5_3"].shape == (6, 8, small.WIDTHS[-1])
    assert several[1]["pool5"].shape == (3, 4, small.WIDTHS[-1])
    scale = np.abs(alone[0]).max()
    np.testing.assert_allclose(several[1]["relu5_3"], alone[0], atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images were given"),
        (7, "images must be arrays, PIL images or paths, got int"),
        (
            [np.zeros((40, 40, 3), np.uint8), None],
            "images[1]: an image must be an array, a PIL image or a path, got None",
        ),
        ([np.zeros((40, 40, 4), np.uint8)], "images[0]: an image must be [h, w, 3] (RGB) or [h, w] (grey), got shape"),
        ([np.zeros((40, 40), np.int64)], "images[0]: an image must be uint8, or float in [0, 1], got int64"),
        ([np.full((40, 40), 255.0)], "images[0]: a float image must be in [0, 1]: divide by 255, or pass uint8"),
        ([np.full((40, 40), np.nan)], "images[0]: a float image must be in [0, 1]"),
        (["missing.jpg"], "images[0] (missing.jpg): no such file"),
        ([np.zeros((40, 8, 3), np.uint8)], "images[0]: 8×40 pixels are too small, relu5_3 needs 16 a side"),
    ],
)
def test_a_wrong_image_is_named_by_its_position(net, images, message):
    with pytest.raises(UsageError) as caught:
        jaxloc.localize(images, net)
    assert str(caught.value).startswith(message)


def test_wrong_options_are_named(net, paths):
    with pytest.raises(UsageError, match=r"method must be one of ddt, ddt\+, ddt-spread, scda"):
        jaxloc.colocalize(paths, net, method="magic")
    with pytest.raises(UsageError, match=r"unknown layer 'relu9'"):
        jaxloc.colocalize(paths, net, layer="relu9")
    with pytest.raises(UsageError, match=r"ddt looks at an image set: use jaxloc\.colocalize"):
        jaxloc.localize(paths, net, method="ddt")
    with pytest.raises(UsageError, match=r"ddt needs at least 2 images: pass more, or use jaxloc\.localize"):
        jaxloc.colocalize(paths[:1], net)
    with pytest.raises(UsageError, match=r"descriptor 'vlad' needs a codebook, so use the command jaxloc index"):
        jaxloc.describe(paths, net, descriptor="vlad")
    with pytest.raises(UsageError, match=r"descriptor 'magic' is unknown; here are fc8, "):
        jaxloc.describe(paths, net, descriptor="magic")
    with pytest.raises(UsageError, match=r"gem has no weight; it takes power"):
        jaxloc.describe(paths, net, descriptor="gem", weight=1)
    with pytest.raises(UsageError, match=r"gallery must be \[n, d\] and queries \[q, d\]"):
        jaxloc.search(np.ones((3, 4)), np.ones((2, 5)))


def test_a_model_is_applied_with_its_own_weights_to_a_set_that_it_has(net, paths, tmp_path):
    model = jaxloc.colocalize(paths, net, name="cats").model
    with pytest.raises(UsageError, match=r"this model has the sets cats: choose one with name="):
        jaxloc.apply(model, paths, net, name="dogs")
    other = jaxloc.load(small.write_weights(tmp_path / "other.safetensors", seed=1))
    with pytest.raises(UsageError, match="fitted on features of other weights"):
        jaxloc.apply(model, paths, other)


def test_search_ranks_by_cosine():
    gallery = np.array([[1, 0], [0, 2], [3, 3], [0, 0]], np.float32)
    found = jaxloc.search(gallery, [0, 5], k=9)
    assert found.indices.tolist() == [[1, 2, 0, 3]]
    np.testing.assert_allclose(found.scores[0, :3], [1, np.sqrt(0.5), 0], atol=1e-6)


def test_results_for_other_libraries(net, paths):
    found = jaxloc.colocalize(paths, net, name="cat")
    assert repr(found) == f"Found(ddt: an object in {sum(one.found for one in found)} of 6 images)"
    assert [one.name for one in found[:2]] == [str(path) for path in paths[:2]]
    for one, detections in zip(found, found.to_supervision(), strict=True):
        assert len(detections) == one.found
        assert one.pixels.shape == one.size
        if one.found:
            np.testing.assert_array_equal(detections.xyxy, [one.box])
            assert detections.data["class_name"].tolist() == ["cat"]


def test_images_are_drawn_with_their_boxes(net, paths):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib comes with the extra jaxloc[notebook]")
    matplotlib.use("Agg")
    found = jaxloc.localize(paths, net)
    figure = jaxloc.plot(paths, found, columns=4)
    assert sum(len(axis.get_images()) for axis in figure.axes) == 6
    plain = jaxloc.plot(paths, found, heat=False)
    assert not np.array_equal(*(drawn.axes[0].get_images()[0].get_array() for drawn in (figure, plain)))
    matplotlib.pyplot.close("all")
    with pytest.raises(UsageError, match="5 images and 6 results: pass the images that were searched"):
        jaxloc.plot(paths[:5], found)


def test_a_bar_is_shown_when_asked_for(net, paths, capsys):
    jaxloc.localize(paths, net, progress=True)
    assert "localizing" in capsys.readouterr().err
    jaxloc.localize(paths, net)
    assert capsys.readouterr().err == ""


def test_every_name_is_there_and_nothing_is_imported_before_its_first_use():
    for name in dir(jaxloc):
        assert getattr(jaxloc, name) is not None
    modules = {info.name for info in pkgutil.iter_modules(jaxloc.__path__) if not info.name.startswith("_")}
    assert modules - {"api", "cli"} <= set(dir(jaxloc))
    code = "import sys, jaxloc; print(sorted({'jax', 'numpy', 'flax', 'PIL', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
