"""Vision transformers: beside the libraries' own modules, padded and not, and their files."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxloc import models
from jaxloc.errors import UsageError
from jaxloc.models import tokens
from tests.models import vits
from weights_convert import vit_arrays

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "vit.npz")
CASES = sorted({tuple(name.rsplit("/", 1)) for name in GOLDEN if name.count("/") == 1})


def program(backbone, layers):
    return jax.jit(functools.partial(models.extract_features, backbone=backbone, layers=layers))


shared = functools.cache(program)


def features(weights, images, sizes=None, layers=("norm",), *, program=shared):
    return jax.device_get(program(weights.backbone, tuple(layers))(weights.params, images, sizes))


def padded() -> np.ndarray:
    """The images of the golden arrays as one batch, with other values beyond them."""
    batch = np.full((2, 16, 20, 3), 0.7, np.float32)
    for one, size in zip(batch, vits.SIZES, strict=True):
        one[: size[0], : size[1]] = vits.image(size)
    return batch


@pytest.mark.parametrize(("name", "family"), CASES)
def test_layers_are_those_of_the_libraries_modules_padded_to_another_size(name, family):
    shapes = json.loads(str(GOLDEN[f"{name}/{family}"]))
    tensors = {key: vits.values(key, tuple(shape)) for key, shape in shapes.items()}
    found = vit_arrays.from_state_dict(tensors, "a file", "file")
    assert found.backbone.name == f"tiny-{family}"
    weights = models.weights_file.make_weights(found.arrays, found.backbone, found.source, "file")
    layers = [f"block1/{part}" for part in ("query", "key", "value")] + ["norm", "cls"]
    layers += ["logits"] if "logits" in weights.params else []
    maps = features(weights, padded(), np.array(vits.SIZES), layers)
    first = 1 + vits.vit.FAMILIES[family].registers
    for number, (rows, columns) in enumerate(vits.SIZES):
        ours = {key: values[number, : size[number, 0], : size[number, 1]] for key, (values, size) in maps.items()}
        theirs = {key.split("/", 2)[2]: GOLDEN[key] for key in GOLDEN if key.startswith(f"{name}/{rows}×{columns}/")}
        if "block1/qkv" in theirs:
            three = np.split(theirs.pop("block1/qkv"), 3, -1)
            theirs |= dict(zip(("block1/query", "block1/key", "block1/value"), three, strict=True))
        if theirs["norm"].ndim == 1:  # transformers' CLIP normalises its class token only
            theirs["cls"] = theirs.pop("norm")[None]
        else:
            theirs["cls"] = theirs["norm"][:1]
        assert theirs.keys() >= {"block1/query", "block1/key", "cls"}
        for key, wanted in theirs.items():
            wanted = np.atleast_2d(wanted)
            wanted = wanted[first:] if len(wanted) > 1 else wanted
            own = ours[key].reshape(-1, wanted.shape[-1])
            np.testing.assert_allclose(own, wanted, atol=1e-5 * np.abs(wanted).max(), err_msg=key)


def test_pixels_beyond_the_last_whole_patch_are_cropped():
    image = np.random.default_rng(0).random((15, 14, 3), np.float32)
    weights = vits.weights("dino")
    whole = features(weights, image)["norm"]
    assert whole.features.shape == (3, 3, 16)
    np.testing.assert_array_equal(whole.features, features(weights, image[:12, :12])["norm"].features)


def test_the_class_tokens_attention_sums_to_one_over_its_own_image_and_the_tokens_without_a_place():
    weights = vits.weights("dinov3")
    layers = ["block0/attention", "block1/attention"]
    maps = features(weights, padded(), np.array(vits.SIZES), layers)
    for values, size in maps.values():
        assert values.shape == (2, 4, 5, 2)
        np.testing.assert_array_equal(size, [[3, 3], [2, 5]])
        sums = values.sum((1, 2))
        assert ((sums > 0.1) & (sums < 1)).all()
        assert not values[1, 2:].any()


def test_many_queries_take_turns_with_the_same_result(monkeypatch):
    image = vits.image((12, 12))
    together = features(vits.weights("dino"), image)["norm"].features
    monkeypatch.setattr(tokens, "_LOGITS_AT_ONCE", 2 * 10 * 4)
    apart = features(vits.weights("dino"), image, program=program)["norm"].features
    np.testing.assert_allclose(apart, together, atol=1e-5)


def test_nothing_above_a_layer_is_needed():
    backbone = models.find("dinov2_vits14")
    assert {name.split("/")[0] for name in backbone.shapes("block1/key") if name.startswith("block1")} == {
        "block1_norm1",
        "block1_qkv",
    }
    assert not any(name.startswith(("block2", "norm")) for name in backbone.shapes("block1"))
    every = {name.split("/")[0] for name in backbone.all_shapes(head=False)}
    assert every == {name for block in backbone.blocks for name in block}


def test_layers_say_what_lies_below_them_and_where_the_class_token_looks():
    vit = models.find("vit_base_patch16")
    assert vit.layer("block11/key") == models.Layer(
        "block11/key", 16, 768, 16, "block10/key", True, "block11/attention"
    )
    assert vit.with_below("block11") == ("block11", "block10")
    assert vit.layer("logits").channels == 1000
    assert vit.head.side == 224
    assert models.find("dino_vits8").defaults.localization == "block11/key"
    assert models.find("dinov2_vitl14").defaults.localization == "norm"
    with pytest.raises(UsageError, match="unknown layer 'block12'; dinov2_vits14 has block0/query, "):
        models.find("dinov2_vits14").layer("block12")


def test_a_variant_is_kept_in_the_weights_file(tmp_path):
    weights = vits.weights("vit", classes=7)
    models.save(tmp_path / "vit.safetensors", weights)
    again = models.load(tmp_path / "vit.safetensors")
    assert again.backbone == weights.backbone
    assert again.backbone.layer("logits").channels == 7
    assert again.backbone.module.grid == 3
    assert hash(again.backbone) == hash(weights.backbone)
    with pytest.raises(UsageError, match="vgg16 has no grid to choose"):
        models.find("vgg16").varied({"grid": 3})


def test_bfloat16_is_near():
    image = vits.image((12, 12))
    weights = vits.weights("dino")
    run = jax.jit(
        functools.partial(models.extract_features, backbone=weights.backbone, layers=("norm",), dtype="bfloat16")
    )
    exact, fast = features(weights, image)["norm"].features, run(weights.params, image)["norm"].features
    assert fast.dtype == "bfloat16"
    assert np.abs(np.asarray(fast, np.float32) - exact).max() < 0.05 * np.abs(exact).max()
