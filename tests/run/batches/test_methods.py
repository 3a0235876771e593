"""Methods that ask a classifier, as jobs run them: what they find is what their pure functions find."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import beam, eiss, localization, models
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.models import BACKBONES, squeezenet
from jaxloc.models.asking import classifier
from jaxloc.options import LocalizeEachOptions
from jaxloc.run import localize
from tests.data.datasets import trees
from tests.models import narrow

BACKBONE = squeezenet.backbone(name="squeezenet-asked", stem=5, squeezed=(1, 2, 2, 1, 2, 2, 1, 2), classes=7)
OWN = {
    "cam": {"heat_threshold": 0.5},
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
    """What each method's functions find in each image by itself."""
    loaded = models.load(weights, top=True)

    @jax.jit
    @standard_promotion()
    def search(params, image):
        asked = classifier(params, backbone=BACKBONE)
        pixels, size = image / np.float32(255), np.array(image.shape[:2], np.int32)
        regions = eiss.search(asked.of_images, pixels, grid=2, best=1, max_iterations=1)
        target = np.eye(7, dtype=np.float32)[3]
        kept = beam.search(
            asked.map_of, jax.vmap(lambda maps: asked.of_map(maps, None)), pixels, target, beam=2, depth=2
        )
        heat = beam.heat_map(kept.boxes, kept.scores, size, valid=kept.valid)
        maps = models.extract_features(params, image, backbone=BACKBONE, layers=("fire9", "conv10"))
        scores = maps["conv10"].features[0, 0]
        cells = maps["fire9"].features @ asked.kernel[:, scores.argmax()] + asked.bias[scores.argmax()]
        return {
            "eiss": (regions.box, regions.classes[0], regions.probabilities[0]),
            "beam": (localization.of_peak(heat, size, threshold=0.4).box, 3, asked.of_images(_square(pixels))[0, 3]),
            "cam": (
                localization.of_peak(cells, size, threshold=0.5).box,
                scores.argmax(),
                jax.nn.softmax(scores).max(),
            ),
        }

    return [jax.device_get(search(loaded.params, np.asarray(Image.open(path)))) for path in sorted(photos.iterdir())]


def _square(pixels):
    return jaxloc.crops.crop_resize(pixels, np.full(4, np.nan, np.float32), (224, 224))[None]


@pytest.mark.parametrize("method", OWN)
def test_a_job_finds_what_the_functions_find(method, weights, photos, alone, tmp_path):
    label = {"label": "3"} if method == "beam" else {}
    options = LocalizeEachOptions(method=method, weights=weights, workers=1, devices=1, **OWN[method], **label)
    found = localize([photos], tmp_path, options)
    for one, expected in zip(found.images, alone, strict=True):
        box, chosen, probability = expected[method]
        np.testing.assert_allclose(one.box, box, atol=1e-3)
        assert one.category == ("photos" if label else f"class {chosen}")
        assert one.probability == pytest.approx(probability, abs=1e-5)
    written = json.loads((tmp_path / "annotations.json").read_text())
    assert [one["probability"] for one in written["annotations"]] == [one.probability for one in found.images]
    assert set(OWN[method]) <= {name.replace(" ", "_") for name in found.settings} | {"max_iterations", "width"}


def test_an_image_of_two_sets_has_an_overlay_in_the_folder_of_each(weights, tmp_path):
    root = trees.voc(tmp_path / "voc", year=2007, size=(96, 80), masks=False)
    options = LocalizeEachOptions(method="cam", weights=weights, workers=1, devices=1, overlays=True, **OWN["cam"])
    found = localize([f"voc07:{root}"], tmp_path / "out", options, per_label=True)
    assert {one.category for one in found.images} <= {f"class {number}" for number in range(7)}
    drawn = [path.relative_to(tmp_path / "out" / "overlays") for path in (tmp_path / "out").rglob("*.png")]
    assert sorted(path.parts[0] for path in drawn if path.name.startswith("000000")) == ["aeroplane", "bicycle"]
    assert len(drawn) == len(found.images)


def test_in_memory_it_is_the_same(weights, photos, alone):
    net = jaxloc.load(weights, top=True)
    found = jaxloc.localize([*sorted(photos.iterdir())], net, method="cam", heat_threshold=0.5)
    for one, expected in zip(found, alone, strict=True):
        np.testing.assert_allclose(one.box, expected["cam"][0], atol=1e-3)
        assert one.category == f"class {expected['cam'][1]}"


def test_what_cannot_be_asked_is_told(weights, photos, tmp_path):
    with pytest.raises(UsageError, match=r"cam needs a classifier that averages a map, as those of --weights .*lite0"):
        localize([photos], tmp_path, LocalizeEachOptions(method="cam", weights="vgg16"))
    with pytest.raises(UsageError, match="windows must be all, grid:N or random:M"):
        LocalizeEachOptions(method="eiss", windows="grid")
    lite = BACKBONES["efficientnet-lite0"]
    assert lite.class_number("Tabby") == lite.class_number("281") == 281
    assert lite.class_name(281) == "tabby, tabby cat"
    with pytest.raises(UsageError, match="no class 'cat'; names like it: tabby, tabby cat; tiger cat"):
        lite.class_number("cat")
