"""Jobs on a vision transformer, whose features have both signs."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

import jaxloc
from jaxloc import ddt, models, moments
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeEachOptions, LocalizeOptions
from jaxloc.run import colocalize, localize
from tests.models import vits
from tests.run import helpers
from tests.soaked import soaked

SIZES = ((40, 48), (44, 33), (40, 48))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return vits.write(tmp_path_factory.mktemp("weights") / "tiny.safetensors", "dinov2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, (rows, columns) in enumerate(SIZES):
        pixels = rng.integers(0, 80, (rows, columns, 3), np.uint8)
        pixels[10:30, 8 + 2 * number : 24] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with helpers.one_device():
        yield


def evidence(weights, photos, layer: str, sign: str) -> np.ndarray:
    """Evidence of the rule over the set, image by image without padding."""
    loaded = models.load(weights)
    layers = (layer, f"{layer.partition('/')[0]}/attention")
    extract = jax.jit(functools.partial(models.extract_features, backbone=loaded.backbone, layers=layers))
    maps = []
    for path in sorted(photos.iterdir()):
        found = extract(loaded.params, np.asarray(Image.open(path)))
        maps.append([found[name].features for name in layers])
    model = ddt.fit(functools.reduce(moments.merge, (moments.of(features) for features, _ in maps)), sign=sign)
    seen = [ddt.sign_evidence(model, *pair, sign=sign) for pair in maps]
    numbers, weight = (np.sum(jax.device_get(one), 0) for one in zip(*seen, strict=True))
    return np.abs(numbers / weight)


@pytest.mark.parametrize("sign", soaked([None, "attention"], [None]))
def test_the_sign_follows_the_networks_own_rule_or_the_one_asked_for(weights, photos, tmp_path, sign):
    findings = colocalize([photos], tmp_path, LocalizeOptions(weights=weights, layer="block1/key", sign=sign))
    rule = sign or "border"
    assert findings.settings["sign rule"] == rule
    assert findings.settings["layer"] == "block1/key"
    model = helpers.the_model(tmp_path)
    expected = evidence(weights, photos, "block1/key", rule)
    np.testing.assert_allclose(model.correlation, expected, rtol=1e-3, atol=1e-4)
    doubts = [warning for warning in findings.warnings if "is in doubt" in warning]
    assert bool(doubts) == (expected[0] < 0.3)
    same = jaxloc.colocalize(photos, jaxloc.load(weights, devices=1), layer="block1/key", sign=sign, name=photos.name)
    jax.tree.map(np.testing.assert_array_equal, same.model.sets[photos.name].models["block1/key"], model)


@pytest.mark.parametrize("method", ["lost", "tokencut"])
def test_single_image_methods_for_features_of_both_signs(weights, photos, tmp_path, method):
    options = LocalizeEachOptions(weights=weights, method=method, layer="block1/key")
    findings = localize([photos], tmp_path, options)
    assert findings.settings["connectivity"] == "4"
    assert "sign rule" not in findings.settings
    net = jaxloc.load(weights, devices=1)
    maps = net.features(photos, "block1/key")
    for finding, features, size in zip(findings.images, maps, SIZES, strict=True):
        alone = getattr(jaxloc, method).localize(features, np.array(size))
        assert finding.found == bool(alone.found)
        assert (finding.box or ()) == (tuple(map(float, alone.box)) if finding.found else ())


def test_what_presumes_that_nothing_is_negative_is_refused(weights, photos, tmp_path):
    scda = LocalizeEachOptions(weights=weights)
    with pytest.raises(
        UsageError, match=r"scda adds up activations, which must not be negative, and norm of tiny-dinov2"
    ):
        localize([photos], tmp_path, scda)
    with pytest.raises(UsageError, match=r"--sign aggregation adds up .*: use one of loading, minority, border"):
        colocalize([photos], tmp_path, LocalizeOptions(weights=weights, sign="aggregation"))


def test_a_network_without_a_class_token_has_no_attention_to_look_at(photos, tmp_path, small_vgg16):
    with pytest.raises(UsageError, match=r"--sign attention looks at a class token's attention, which vgg16.* lacks"):
        colocalize([photos], tmp_path, LocalizeOptions(sign="attention"))


def test_descriptors_that_select_by_the_sum_of_activations_are_refused(weights, photos):
    net = jaxloc.load(weights, devices=1)
    with pytest.raises(UsageError, match=r"scda cannot be made: .* norm of tiny-dinov2 has both signs"):
        jaxloc.describe(photos, net)
    vectors = jaxloc.describe(photos, net, descriptor="spoc", layer="cls")
    tokens = np.stack([features[0, 0] for features in net.features(photos, "cls")])
    np.testing.assert_allclose(vectors, tokens / np.linalg.norm(tokens, axis=1, keepdims=True), atol=1e-6)
