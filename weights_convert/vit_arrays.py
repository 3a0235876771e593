"""Vision transformers' arrays: from the names of timm, transformers, the releases or big_vision to a backbone's.

Names of a block are those of timm, DINO, DINOv2 and DINOv3 (``blocks.0.attn.qkv.weight``), of transformers
(``encoder.layer.0.attention.attention.query.weight`` and later forms) or of OpenCLIP
(``resblocks.0.attn.in_proj_weight``), behind any prefix. Queries, keys and values become one product, and biases that a
family lacks zeros.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models.backbone import Backbone
from jaxloc.models.registry import BACKBONES
from jaxloc.models.vit import FAMILIES, ViT
from jaxloc.models.weights_file import Flat
from jaxloc.report.text import counted, some_of
from weights_convert.mapping import Found

_PATCHES = r"(.*?)(embeddings\.)?(?:patch_embed\.proj|patch_embeddings\.projection|patch_embeddings?|conv1)\.weight"
_BLOCK = r"(?:\w+\.)*?(?:blocks|layers?|resblocks)\.(?:\d+\.)?(\d+)\.(.+)\.(\w+)"
_STEM = {
    "patches": r"(?:embeddings\.)?(?:patch_embed\.proj|patch_embeddings\.projection|patch_embeddings?|conv1)\.(\w+)",
    "class": r"(?:embeddings\.)?(?:cls_token|class_embedding)",
    "registers": r"(?:embeddings\.)?(?:register_tokens|reg_token|storage_tokens)",
    "positions": r"(?:embeddings\.)?(?:pos_embed|position_embeddings|position_embedding\.weight|positional_embedding)",
    "pre_norm": r"(?:pre_layrnorm|norm_pre|ln_pre)\.(\w+)",
    "norm": r"(?:norm|layernorm|post_layernorm|ln_post)\.(\w+)",
    "logits": r"(?:head|classifier)\.(\w+)",
    "": r"(?:embeddings\.)?(?:mask_token|position_ids)|pooler\..*|rope_embed\..*|proj",
}
_PARTS = {
    "norm1": r"norm1|layernorm_before|layer_norm1|ln_1",
    "qkv": r"attn\.qkv|attn\.in_proj",
    **{
        f"{part[0]}": rf"(?:attention|self_attn|attn)\.{part[0]}(?:_proj)?|attention\.attention\.{part}"
        for part in ("query", "key", "value")
    },
    "proj": r"(?:attention|self_attn|attn)\.(?:proj|o_proj|out_proj)|attention\.output\.dense",
    "scale1": r"ls1|layer_scale1",
    "norm2": r"norm2|layernorm_after|layer_norm2|ln_2",
    "fc1": r"mlp\.(?:fc1|up_proj|c_fc)|intermediate\.dense",
    "fc2": r"mlp\.(?:fc2|down_proj|c_proj)|output\.dense",
    "scale2": r"ls2|layer_scale2",
}
_KINDS = {"gamma": "weight", "lambda1": "weight"}
_RESPELLED = {
    r"gamma_([12])$": r"ls\1.gamma",
    r"in_proj_(weight|bias)$": r"in_proj.\1",
    r"attn\.([qv])_bias$": r"attn.\1.bias",
}


def from_state_dict(tensors: Mapping[str, np.ndarray], source: str, where: str) -> Found | None:
    """A vision transformer among a state dict's arrays; ``None`` if there is none."""
    match = next((found for name in tensors if (found := re.fullmatch(_PATCHES, name))), None)
    if match is None or not any(re.fullmatch(re.escape(match[1]) + _STEM["class"], name) for name in tensors):
        return None
    own: dict[tuple[str, str], np.ndarray] = {}
    arrays: Flat = {}
    left_out = 0
    for name, tensor in tensors.items():
        inner = name.removeprefix(match[1])
        place = _place(inner) if name.startswith(match[1]) or re.fullmatch(_STEM["logits"], name) else ("", "")
        if place is None:
            arrays[name] = tensor
        elif place[0]:
            own[place] = tensor
        else:
            left_out += 1
    if left_out:
        source += f", {counted(left_out, 'array')} of other parts left out"
    return _assemble(own, arrays, "transformers" if match[2] else "", source, where)


def _place(name: str) -> tuple[str, str] | None:
    """Our layer, and ``weight`` or ``bias``, of a published name; an empty layer leaves it out, ``None`` is unknown."""
    for spelling, ours in _RESPELLED.items():
        name = re.sub(spelling, ours, name)
    if match := re.fullmatch(_BLOCK, name):
        for part, pattern in _PARTS.items():
            if re.fullmatch(pattern, match[2]):
                return f"block{match[1]}_{part}", _KINDS.get(match[3], match[3])
        return None
    for part, pattern in _STEM.items():
        if found := re.fullmatch(pattern, name):
            return part, found[1] if found.re.groups else ""
    return None


def from_npz(tensors: Mapping[str, np.ndarray], source: str, where: str) -> Found:
    """A vision transformer of big_vision or google-research/vision_transformer, from ``{"params/cls": …}``."""
    stem = {"embedding": "patches", "Transformer/encoder_norm": "norm", "head": "logits"}
    parts = {
        r"LayerNorm_0": "norm1",
        r"MultiHeadDotProductAttention_\d/(query|key|value)": "",
        r"MultiHeadDotProductAttention_\d/out": "proj",
        r"LayerNorm_[12]": "norm2",
        r"MlpBlock_\d/Dense_0": "fc1",
        r"MlpBlock_\d/Dense_1": "fc2",
    }
    prefix = next((name.removesuffix("cls") for name in tensors if re.fullmatch(r"(.*/)?cls", name)), None)
    if prefix is None:
        raise WeightsError(
            f"{where}: holds {some_of(list(tensors)) or 'nothing'} and no class token (cls): read are big_vision's and "
            "google-research's vision transformers that have one"
        )
    own: dict[tuple[str, str], np.ndarray] = {}
    arrays: Flat = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.removeprefix(prefix).rpartition("/")
        weight = "bias" if kind == "bias" else "weight"
        match = re.fullmatch(r"Transformer/encoderblock_(\d+)/(.+)", layer)
        if kind == "cls":
            own["class", ""] = tensor
        elif kind == "pos_embedding":
            own["positions", ""] = tensor
        elif layer in stem:
            own[stem[layer], weight] = _out_in(tensor)
        elif match and (found := [part for part in parts if re.fullmatch(part, match[2])]):
            part = parts[found[0]] or match[2].rpartition("/")[2][0]
            width = math.prod(tensor.shape[:-1]) if part == "proj" else len(tensor)
            flat = tensor.reshape(width, -1) if weight == "weight" and tensor.ndim > 1 else tensor.ravel()
            own[f"block{match[1]}_{part}", weight] = _out_in(flat)
        else:
            arrays[name] = tensor
    return _assemble(own, arrays, "", source, where)


def _out_in(tensor: np.ndarray) -> np.ndarray:
    """A kernel with PyTorch's order of axes."""
    return np.moveaxis(tensor, (-1, -2), (0, 1)) if tensor.ndim > 1 else tensor


def _assemble(own: Mapping[tuple[str, str], np.ndarray], arrays: Flat, style: str, source: str, where: str) -> Found:
    """Our arrays of published ones by our layer and ``weight`` or ``bias``; ``arrays`` are those of unknown names."""
    blocks = sorted({int(found[1]) for layer, _ in own if (found := re.match(r"block(\d+)_", layer))})
    layers = {layer for layer, _ in own}
    width, _, patch, _ = own["patches", "weight"].shape
    family = _family(layers, own)
    backbone = _find(family, width, patch, len(blocks), where)
    own = dict(own) | {("patches", "bias"): own.get(("patches", "bias"), np.zeros(width, np.float32))}
    variant: dict[str, Any] = {}
    if style == "transformers" and not FAMILIES[family].registers:
        variant["interpolation"] = "plain"
    for block in blocks:
        mask = own.pop((f"block{block}_qkv", "bias_mask"), 1)
        for kind, missing in (("weight", None), ("bias", np.zeros(width, np.float32))):
            three = [own.pop((f"block{block}_{part}", kind), missing) for part in "qkv"]
            if (f"block{block}_qkv", kind) not in own and all(one is not None for one in three):
                own[f"block{block}_qkv", kind] = np.concatenate(three)
        own[f"block{block}_qkv", "bias"] = own[f"block{block}_qkv", "bias"] * mask
    for (layer, kind), array in own.items():
        if layer in ("class", "registers"):
            arrays[f"tokens/{layer}"] = array.reshape(-1, width)
        elif layer == "positions":
            grid = _positions(array.reshape(-1, width), arrays, where)
            variant |= {"grid": grid} if grid * patch != FAMILIES[family].side else {}
        elif layer == "logits":
            if backbone.head is not None:
                arrays[f"logits/{'kernel' if kind == 'weight' else kind}"] = array.T
                variant |= {"classes": len(array)} if len(array) != FAMILIES[family].classes else {}
        elif kind == "weight" and array.ndim > 1:
            arrays[f"{layer}/kernel"] = np.moveaxis(array, (0, 1), (-1, -2))
        else:
            arrays[f"{layer}/{'scale' if kind == 'weight' else kind}"] = array
    return Found(arrays, backbone.varied(variant), backbone.preprocessing, f"{backbone.title}, {source}")


def _family(layers: set[str], own: Mapping[tuple[str, str], np.ndarray]) -> str:
    if "positions" not in layers:
        return "dinov3"
    if "pre_norm" in layers:
        return "clip"
    if "block0_scale1" in layers:
        return "dinov2_reg" if "registers" in layers else "dinov2"
    return "vit" if "logits" in layers else "dino"


def _find(family: str, width: int, patch: int, depth: int, where: str) -> Backbone:
    networks = {one.name: one.module for one in BACKBONES.values() if isinstance(one.module, ViT)}
    for name, module in networks.items():
        if (module.family, module.width, module.patch, module.depth) == (family, width, patch, depth):
            return BACKBONES[name]
    alike = [name for name, module in networks.items() if module.family == family]
    raise WeightsError(
        f"{where}: a {FAMILIES[family].title} of {depth} blocks, {width} channels and patches of {patch} pixels; known "
        f"of its kind are {', '.join(alike)}"
    )


def _positions(table: np.ndarray, arrays: Flat, where: str) -> int:
    """Keep positions of the cells and of the class token (zeros if a file has none); returns the side of the grid."""
    grid = math.isqrt(len(table))
    own, cells = (table[:0], table) if grid**2 == len(table) else (table[:1], table[1:])
    grid = math.isqrt(len(cells))
    if grid**2 != len(cells):
        raise WeightsError(f"{where}: positions of {len(cells)} cells, which are no square grid")
    arrays["positions/class"] = own.sum(0)
    arrays["positions/grid"] = cells.reshape(grid, grid, -1)
    return grid
