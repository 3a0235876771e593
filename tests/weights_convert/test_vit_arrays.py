"""Vision transformers under others' names."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
from typer.testing import CliRunner

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import TORCHVISION, load, weights_file
from jaxloc.models.preprocessing import CLIP, HALF
from tests.models import test_vit, vits
from weights_convert.__main__ import app
from weights_convert.vit_arrays import from_state_dict


def published(name: str) -> dict[str, np.ndarray]:
    """Arrays of a network of the golden file, under its library's names."""
    shapes = json.loads(str(test_vit.GOLDEN[f"{name}/{dict(test_vit.CASES)[name]}"]))
    return {key: vits.values(key, tuple(shape)) for key, shape in shapes.items()}


def read(tensors) -> dict[str, np.ndarray]:
    return from_state_dict(tensors, "a file", "file").arrays


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("prefix", ["backbone.", "model.vision_model."])
def test_a_prefix_is_dropped_and_what_lies_outside_left_out(prefix):
    tensors = published("DINO's release")
    others = {"decode.weight": np.ones((2, 2)), "text_model.encoder.layers.0.mlp.fc1.weight": np.ones((2, 2))}
    found = from_state_dict({prefix + name: values for name, values in tensors.items()} | others, "a file", "file")
    assert_equal(found.arrays, read(tensors))
    assert found.source == "tiny-dino, a file, 2 arrays of other parts left out"


def respelled(tensors, *pairs):
    renamed = {}
    for name, values in tensors.items():
        for old, new in pairs:
            name = re.sub(old, new, name)
        renamed[name] = values
    return renamed


LONG = {"q": "query", "k": "key", "v": "value"}


def test_transformers_older_names_are_the_same_arrays():
    tensors = published("transformers DINOv2")
    older = respelled(tensors, (r"attention\.o_proj", "attention.output.dense"))
    older = {
        re.sub(r"attention\.([qkv])_proj", lambda found: f"attention.attention.{LONG[found[1]]}", name): values
        for name, values in older.items()
    }
    classifier = {"classifier.weight": np.ones((9, 32), np.float32), "classifier.bias": np.ones(9, np.float32)}
    assert_equal(read({f"dinov2.{name}": values for name, values in older.items()} | classifier), read(tensors))
    older = respelled(
        published("transformers ViT"),
        (r"vit\.layers", "vit.encoder.layer"),
        (r"attention\.o_proj", "attention.output.dense"),
        (r"mlp\.fc1", "intermediate.dense"),
        (r"mlp\.fc2", "output.dense"),
    )
    assert_equal(read(older), read(published("transformers ViT")))


def test_the_releases_names_of_dinov2_and_dinov3_are_the_same_arrays():
    tensors = published("DINOv2's release")
    chunked = respelled(tensors, (r"blocks\.(\d)", r"blocks.0.\1")) | {"mask_token": np.zeros((1, 16), np.float32)}
    assert_equal(read(chunked), read(tensors))
    theirs = published("transformers DINOv3")
    release = respelled(
        theirs,
        (r"embeddings\.patch_embeddings", "patch_embed.proj"),
        (r"embeddings\.register_tokens", "storage_tokens"),
        (r"embeddings\.", ""),
        (r"^(model\.)?layer\.", "blocks."),
        (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
        (r"up_proj", "fc1"),
        (r"down_proj", "fc2"),
        (r"attention\.o_proj", "attn.proj"),
    )
    for block in (0, 1):
        three = [release.pop(f"blocks.{block}.attention.{part}_proj.weight") for part in "qkv"]
        biases = [release.pop(f"blocks.{block}.attention.{part}_proj.bias") for part in "qv"]
        release[f"blocks.{block}.attn.qkv.weight"] = np.concatenate(three)
        release[f"blocks.{block}.attn.qkv.bias"] = np.concatenate([biases[0], np.full(16, 9.0), biases[1]])
        release[f"blocks.{block}.attn.qkv.bias_mask"] = np.repeat([1.0, 0, 1], 16)
    assert_equal(read(release | {"rope_embed.periods": np.ones(2)}), read(theirs))


def test_openclips_names_are_those_of_transformers():
    theirs = published("transformers CLIP")
    ours = respelled(
        theirs,
        (r"embeddings\.class_embedding", "class_embedding"),
        (r"embeddings\.patch_embedding", "conv1"),
        (r"embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"encoder\.layers", "transformer.resblocks"),
        (r"layer_norm", "ln_"),
        (r"pre_layrnorm", "ln_pre"),
        (r"post_layernorm", "ln_post"),
        (r"self_attn", "attn"),
        (r"mlp\.fc1", "mlp.c_fc"),
        (r"mlp\.fc2", "mlp.c_proj"),
    )
    for block in (0, 1):
        start = f"transformer.resblocks.{block}.attn"
        for kind in ("weight", "bias"):
            three = [ours.pop(f"{start}.{part}_proj.{kind}") for part in "qkv"]
            ours[f"{start}.in_proj_{kind}"] = np.concatenate(three)
    ours = {f"visual.{name}": values for name, values in ours.items()} | {"transformer.resblocks.0.ln_1.bias": 1}
    found = from_state_dict(ours | {"visual.proj": np.ones((16, 8))}, "a file", "file")
    assert_equal(found.arrays, read(theirs))
    assert dict(found.backbone.variant) == {"grid": 3}  # transformers' own interpolation is another
    assert dict(from_state_dict(theirs, "", "").backbone.variant) == {"grid": 3, "interpolation": "plain"}


def test_big_visions_arrays_are_read(tmp_path):
    weights = vits.weights("vit")
    arrays = {f"{layer}/{kind}": np.asarray(v) for layer, some in weights.params.items() for kind, v in some.items()}
    heads = {"kernel": (16, 2, 8), "bias": (2, 8)}
    theirs = {"cls": arrays["tokens/class"][None], "Transformer/posembed_input/pos_embedding": None}
    table = [arrays["positions/class"][None], arrays["positions/grid"].reshape(9, 16)]
    theirs["Transformer/posembed_input/pos_embedding"] = np.concatenate(table)[None]
    names = {"patches": "embedding", "norm": "Transformer/encoder_norm", "logits": "head"}
    for block in (0, 1):
        inner = {
            "norm1": "LayerNorm_0",
            "norm2": "LayerNorm_2",
            "fc1": "MlpBlock_3/Dense_0",
            "fc2": "MlpBlock_3/Dense_1",
        }
        names |= {f"block{block}_{ours}": f"Transformer/encoderblock_{block}/{name}" for ours, name in inner.items()}
        attention = f"Transformer/encoderblock_{block}/MultiHeadDotProductAttention_1"
        for kind, shape in heads.items():
            three = np.split(arrays[f"block{block}_qkv/{kind}"], 3, -1)
            for part, values in zip(("query", "key", "value"), three, strict=True):
                theirs[f"{attention}/{part}/{kind}"] = values.reshape(shape)
        theirs[f"{attention}/out/kernel"] = arrays[f"block{block}_proj/kernel"].reshape(2, 8, 16)
        theirs[f"{attention}/out/bias"] = arrays[f"block{block}_proj/bias"]
    for ours, name in names.items():
        theirs |= {f"{name}/{kind}": arrays[f"{ours}/{kind}"] for kind in weights.params[ours]}
    np.savez(tmp_path / "B_16.npz", **{f"params/{name}": values for name, values in theirs.items()})
    found = weights_convert.read(tmp_path / "B_16.npz")
    assert found.checksum == weights.checksum
    np.savez(tmp_path / "siglip.npz", **{name: values for name, values in theirs.items() if name != "cls"})
    with pytest.raises(WeightsError, match=r"siglip\.npz: holds .* and no class token"):
        weights_convert.read(tmp_path / "siglip.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.1.attn.proj.bias": None}, r"missing: block1_proj/bias"),
        ({"dist_token": np.ones((1, 1, 16))}, r"unexpected: dist_token"),
        (
            {"blocks.0.mlp.fc1.weight": np.ones((48, 16))},
            r"misshapen: block0_fc1/kernel \(16, 48\) \(should be \(16, 64",
        ),
        ({"pos_embed": np.ones((1, 12, 16))}, r"positions of 11 cells, which are no square grid"),
        (
            {"patch_embed.proj.weight": np.ones((16, 3, 7, 7))},
            r"a DINO ViT of 2 blocks, 16 channels and patches of 7 pixels; known of its kind are dino_vits16, ",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    tensors = published("DINO's release") | {name: value for name, value in change.items() if value is not None}
    tensors = {name: np.asarray(one, np.float32) for name, one in tensors.items() if change.get(name, 0) is not None}
    safetensors.numpy.save_file(tensors, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=rf"net\.safetensors: .*{message}"):
        weights_convert.read(tmp_path / "net.safetensors")


def test_the_command_says_what_it_recognised_and_installs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(published("transformers ViT"), path)
    done = CliRunner().invoke(app, [str(path), "--install", "--preprocessing", "torchvision"])
    assert done.exit_code == 0, done.stderr
    assert re.search(r"^architecture +tiny-vit$", done.stdout, re.M)
    assert re.search(r"^variant +classes 7, grid 3, interpolation plain$", done.stdout, re.M)
    assert load("tiny-vit", top=True).backbone.preprocessing == TORCHVISION
    assert weights_file.read_metadata(tmp_path / "cache" / "tiny-vit.safetensors")["variant"]


def test_preprocessing_is_the_familys():
    kinds = {"timm ViT": HALF, "DINO's release": TORCHVISION, "transformers CLIP": CLIP}
    for name, preprocessing in kinds.items():
        assert from_state_dict(published(name), "", "").preprocessing == preprocessing
