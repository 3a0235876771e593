"""Methods that ask a classifier, as jobs run them: what they find is what their pure functions find."""

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import beam, cam, eiss, localization, models
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.models import BACKBONES, resnet
from jaxloc.models.asking import classifier
from jaxloc.options import LocalizeEachOptions
from jaxloc.run import asking, localize
from jaxloc.run.asking import classes_of_sets
from tests.data.datasets import trees
from tests.models import narrow
from tests.soaked import soaked

SIDE = 96
_WHOLE = resnet.backbone("resnet18", name="resnet-asked", depths=(1, 1, 1, 1), width=4)
BACKBONE = dataclasses.replace(_WHOLE, head=_WHOLE.head._replace(side=SIDE))
OWN = {
    "cam": {"heat_threshold": 0.6},
    "eiss": {"windows": "grid:2", "best": 1, "max_iterations": 1},
    "beam": {"width": 2, "depth": 2},
}
"""Of each method, options that are quick to compute."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    BACKBONES[BACKBONE.name] = BACKBONE
    yield narrow.write(tmp_path_factory.mktemp("asked") / "weights.safetensors", BACKBONE, top=True)
    del BACKBONES[BACKBONE.name]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two images of one bucket, with an object of another colour each."""
    folder, rng = tmp_path_factory.mktemp("asked") / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number, (rows, columns) in enumerate(((90, 96), (96, 80))):
        pixels = rng.integers(0, 60, (rows, columns, 3), np.uint8)
        pixels[20:60, 30:70, number] += 180
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def alone(weights, photos):
    """By a method's name, what its functions find in each image by itself."""
    loaded = models.load(weights, top=True)

    def by_eiss(asked, pixels, size):
        found = eiss.search(asked.of_images, pixels, size=size, side=SIDE, grid=2, best=1, max_iterations=1)
        return found.box, found.classes[0], found.probabilities[0]

    def by_beam(asked, pixels, size):
        target = np.eye(1000, dtype=np.float32)[3]
        kept = beam.search(
            asked.map_of,
            jax.vmap(lambda maps: asked.of_map(maps, None)),
            pixels,
            target,
            size=size,
            side=SIDE,
            beam=2,
            depth=2,
        )
        heat = beam.heat_map(kept.boxes, kept.scores, size, valid=kept.valid)
        return localization.of_peak(heat, size, threshold=0.4).box, 3, asked.of_images(_square(pixels, size))[0, 3]

    def by_cam(asked, pixels, size):
        maps = [asked.map_of(_square(pixels, size, side))[0] for side in (SIDE, 2 * SIDE)]
        likely = sum(asked.of_map(one) for one in maps) / 2
        fused = cam.fuse([one @ (asked.kernel @ likely) + asked.bias @ likely for one in maps])
        cells = cam.spread(fused, maps[-1])
        box = localization.of_peak(cells - cells.min(), size, threshold=0.6).box
        return box, likely.argmax(), likely.max()

    @functools.cache
    def found(method):
        by = {"eiss": by_eiss, "beam": by_beam, "cam": by_cam}[method]

        @jax.jit
        @standard_promotion()
        def search(params, image, size):
            return by(classifier(params, backbone=BACKBONE), image / np.float32(255), size)

        each = []
        for path in sorted(photos.iterdir()):  # padded to one shape, so that one program is compiled
            pixels, padded = np.asarray(Image.open(path)), np.full((SIDE, SIDE, 3), 255, np.uint8)
            padded[: pixels.shape[0], : pixels.shape[1]] = pixels
            each.append(jax.device_get(search(loaded.params, padded, np.int32(pixels.shape[:2]))))
        return each

    return found


def _square(pixels, size, side=SIDE):
    return jaxloc.crops.crop_resize(pixels, np.full(4, np.nan, np.float32), (side, side), size=size)[None]


@pytest.mark.parametrize("method", soaked(OWN, ["cam", "beam"]))
def test_a_job_finds_what_the_functions_find(method, weights, photos, alone, tmp_path, capsys, monkeypatch):
    passes = {"cam": 5, "eiss": 12, "beam": 3}[method]
    monkeypatch.setattr(asking, "_MANY", 2 * passes)
    label = {"label": "3"} if method == "beam" else {}
    options = LocalizeEachOptions(method=method, weights=weights, workers=1, devices=1, **OWN[method], **label)
    found = localize([photos], tmp_path, options)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "asks the network" in line]
    told = f"{method} asks the network about {passes} times for an image: {2 * passes} passes of 2 images."
    assert line.startswith(told)
    for one, expected in zip(found.images, alone(method), strict=True):
        box, chosen, probability = expected
        np.testing.assert_allclose(one.box, box, atol=1e-3)
        assert one.category == one.class_name == BACKBONE.class_name(chosen)
        assert one.probability == pytest.approx(probability, abs=1e-5)
    written = json.loads((tmp_path / "annotations.json").read_text())
    for entry, one in zip(written["annotations"], found.images, strict=True):
        assert (entry["class"], entry["probability"]) == (one.class_name, one.probability)
        assert entry["passes"] == one.passes == passes
        assert [region["cropped"] for region in entry.get("regions", ())] == [row[4] for row in one.regions]
    if method == "eiss":
        assert one.regions[0][:4] == pytest.approx((0, 0, one.width, one.height))
        assert one.regions[-1][:4] == pytest.approx(one.box, abs=1e-3)
        assert entry["iterations"] == 1
    assert set(OWN[method]) <= {name.replace(" ", "_") for name in found.settings} | {"max_iterations", "width"}


def test_an_image_of_two_sets_has_an_overlay_in_the_folder_of_each(weights, tmp_path):
    root = trees.voc(tmp_path / "voc", year=2007, size=(96, 96), masks=False)
    options = LocalizeEachOptions(method="cam", weights=weights, workers=1, devices=1, overlays=True, **OWN["cam"])
    found = localize([f"voc07:{root}"], tmp_path / "out", options, per_label=True)
    assert {one.category for one in found.images} <= set(BACKBONE.class_names)
    assert [line.partition(",")[0] for line in found.warnings] == [
        f"{name}: the most probable class of each image was found" for name in ("aeroplane", "bicycle", "horse")
    ]
    drawn = [path.relative_to(tmp_path / "out" / "overlays") for path in (tmp_path / "out").rglob("*.png")]
    assert sorted(path.parts[0] for path in drawn if path.name.startswith("000000")) == ["aeroplane", "bicycle"]
    assert len(drawn) == len(found.images)


def test_each_of_the_most_probable_classes_has_an_object(weights, photos, tmp_path):
    options = LocalizeEachOptions(method="cam", weights=weights, workers=1, devices=1, top_k=2, overlays=True)
    found = localize([photos], tmp_path, options)
    assert [(one.name, one.rank) for one in found.images] == [(f"{n}.png", rank) for n in (0, 1) for rank in (0, 1)]
    assert found.images[0].probability > found.images[1].probability
    assert found.images[0].category != found.images[1].category
    written = json.loads((tmp_path / "annotations.json").read_text())
    assert [image["file_name"] for image in written["images"]] == ["0.png", "1.png"]
    assert [entry["image_id"] for entry in written["annotations"]] == [1, 1, 2, 2]
    drawn = sorted(path.relative_to(tmp_path / "overlays").as_posix() for path in tmp_path.rglob("*.png"))
    assert drawn == ["0.png.png", "1.png.png", "top-2/0.png.png", "top-2/1.png.png"]
    net = jaxloc.load(weights, top=True)
    objects = jaxloc.localize([*sorted(photos.iterdir())], net, method="cam", top_k=2)
    assert [one.category for one in objects] == [one.category for one in found.images]
    assert repr(objects) == "Found(cam: an object in 2 of 2 images)"
    assert len(objects.to_coco()["images"]) == 2


def test_the_name_of_a_folder_is_the_class_to_find(weights, photos, tmp_path):
    for name in ("Tabby", "person"):
        shutil.copytree(photos, tmp_path / "classes" / name)
    options = LocalizeEachOptions(method="cam", weights=weights, workers=1, devices=1, **OWN["cam"])
    found = localize([tmp_path / "classes"], tmp_path / "out", options, per_folder=True)
    known, unknown = found.images[:2], found.images[2:]
    assert [(one.category, one.class_name) for one in known] == [("Tabby", "tabby, tabby cat")] * 2
    assert all(one.category == one.class_name for one in unknown)
    (warning,) = found.warnings
    assert warning.startswith("person: the most probable class of each image was found, for ")
    assert "no class 'person'" in warning
    with pytest.raises(UsageError, match="--top-k finds the most probable classes, and --per-folder or --per-label"):
        localize([photos], tmp_path / "two", dataclasses.replace(options, top_k=2), per_folder=True)


def test_a_number_is_no_name_and_a_class_between_commas_is():
    found, lines = classes_of_sets(["12", "airliner", "half track", "person"], BACKBONES["efficientnet-lite0"])
    assert found.tolist() == [-1, 404, 586, -1]
    assert [line.partition(":")[0] for line in lines] == ["12", "person"]


def test_the_passes_of_a_search_of_all_windows_are_counted():
    assert METHODS["eiss"].passes(LocalizeEachOptions(method="eiss", windows="all", max_iterations=1)) == 4236


def test_in_memory_it_is_the_same(weights, photos, alone):
    net = jaxloc.load(weights, top=True)
    found = jaxloc.localize([*sorted(photos.iterdir())], net, method="cam", heat_threshold=0.6)
    for one, expected in zip(found, alone("cam"), strict=True):
        np.testing.assert_allclose(one.box, expected[0], atol=1e-3)
        assert one.category == BACKBONE.class_name(expected[1])


def test_what_cannot_be_asked_is_told(weights, photos, tmp_path):
    with pytest.raises(UsageError, match=r"cam needs a classifier that averages a map, as those of --weights .*lite0"):
        localize([photos], tmp_path, LocalizeEachOptions(method="cam", weights="vgg16"))
    with pytest.raises(UsageError, match="windows must be all, grid:N or random:M"):
        LocalizeEachOptions(method="eiss", windows="grid")
    with pytest.raises(UsageError, match="top-k finds the most probable classes, and label names one"):
        LocalizeEachOptions(method="cam", label="tabby", top_k=2)
    lite = BACKBONES["efficientnet-lite0"]
    assert lite.class_number("Tabby") == lite.class_number("281") == 281
    assert lite.class_name(281) == "tabby, tabby cat"
    with pytest.raises(UsageError, match="no class 'cat'; names like it: tabby, tabby cat; tiger cat"):
        lite.class_number("cat")
