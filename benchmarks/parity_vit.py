"""Vision transformers: every layer of random networks of timm and transformers beside what is read from their files.

    pip install torch timm transformers
    python benchmarks/parity_vit.py [NAME …]

Each network is written as its library writes it (``torch.save`` or ``save_pretrained``), converted, and run on an image
of the native size and on one that is not square, padded. Networks have four blocks of 192 channels, or with ``--full``
their published size. Printed are, over all blocks, the largest difference of patch tokens,
queries, keys, values and class attention, of the normalised tokens, of the class token and of the class scores, each
relative to the layer's largest value. Positions are random, so that an error in their interpolation shows. The releases
of DINO and DINOv2 are timm's modules here, whose positions are interpolated as the releases' code does it.
"""

import argparse
import functools
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
import timm
import torch
import transformers

import weights_convert
from jaxloc.models import BACKBONES, extract_features, vit

Layers = dict[str, np.ndarray]
Network = tuple[torch.nn.Module, Callable[[torch.nn.Module, Path], Path], Callable[[torch.Tensor], Layers]]
"""A network, how its library writes it, and its layers of an image."""


def randomize(model: torch.nn.Module) -> None:
    """Parameters of the size that trained ones have; the first values of every kind are far from zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim == 1:
                centre = 1.0 if name.endswith("weight") or "norm" in name else 0.0
                centre = 0.5 if any(part in name for part in ("gamma", "lambda", "ls1", "ls2")) else centre
                values.copy_(centre * ("bias" not in name) + 0.1 * torch.randn(values.shape, generator=generator))
            elif "token" in name or "pos" in name:
                values.copy_(0.5 * torch.randn(values.shape, generator=generator))
            else:
                values.copy_(torch.randn(values.shape, generator=generator) / math.sqrt(values[0].numel()))


def hooked(modules: Mapping[str, torch.nn.Module], run: Callable[[], object]) -> Layers:
    """Outputs ``[tokens, d]`` of modules by name."""
    found: Layers = {}

    def keep(name: str, _module: object, _inputs: object, output: object) -> None:
        found[name] = (output[0] if isinstance(output, tuple) else output).detach()[0].numpy()  # type: ignore[union-attr]

    handles = [module.register_forward_hook(functools.partial(keep, name)) for name, module in modules.items()]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return found


def offset_positions(model: torch.nn.Module) -> None:
    """Interpolate positions as DINO's and DINOv2's ``interpolate_pos_encoding``: by scale factors, 0.1 cells larger."""

    def embed(x: torch.Tensor) -> torch.Tensor:
        _, rows, columns, _ = x.shape
        table = model.pos_embed
        grid = math.isqrt(table.shape[1])
        if (rows, columns) != (grid, grid):
            cells = table[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
            factors = ((rows + 0.1) / grid, (columns + 0.1) / grid)
            cells = torch.nn.functional.interpolate(cells, scale_factor=factors, mode="bicubic")
            assert cells.shape[2:] == (rows, columns)
            table = torch.cat([table[:, :1], cells.flatten(2).transpose(1, 2)], 1)
        return torch.cat([model.cls_token, x.flatten(1, 2)], 1) + table

    model._pos_embed = embed


def timm_layers(model: torch.nn.Module, *, offset: bool = False, top: bool = False) -> Callable[[torch.Tensor], Layers]:
    """The layers of a network of timm, of preprocessed pixels ``[1, 3, h, w]``."""
    if offset:
        offset_positions(model)
    modules = {f"block{i}": block for i, block in enumerate(model.blocks)} | {"norm": model.norm}
    modules |= {f"block{i}/qkv": block.attn.qkv for i, block in enumerate(model.blocks)}
    if top:
        modules["logits"] = model.head
    return lambda pixels: hooked(modules, lambda: model(pixels))


def transformers_layers(model: torch.nn.Module, *, top: bool = False) -> Callable[[torch.Tensor], Layers]:
    """The layers of a network of transformers, of preprocessed pixels ``[1, 3, h, w]``."""
    tower = getattr(model, model.base_model_prefix) if top else model
    lists = (module for module in tower.modules() if isinstance(module, torch.nn.ModuleList))
    modules: dict[str, torch.nn.Module] = {}
    for i, block in enumerate(next(blocks for blocks in lists if len(blocks) > 1)):
        attention = block.self_attn if hasattr(block, "self_attn") else block.attention
        modules |= {f"block{i}": block}
        modules |= {f"block{i}/{part}": getattr(attention, f"{part[0]}_proj") for part in ("query", "key", "value")}
    modules["norm"] = next(
        getattr(tower, one) for one in ("layernorm", "norm", "post_layernorm") if hasattr(tower, one)
    )
    if top:
        modules["logits"] = model.classifier
    asked = (
        {} if "Dino" in type(model).__name__ or "DINO" in type(model).__name__ else {"interpolate_pos_encoding": True}
    )
    return lambda pixels: hooked(modules, lambda: model(pixel_values=pixels, **asked))


def save_state(model: torch.nn.Module, folder: Path) -> Path:
    """Write a network of timm as training scripts do."""
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder / "model.pth"


def save_pretrained(model: torch.nn.Module, folder: Path) -> Path:
    """Write a network of transformers."""
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def _networks(full: bool) -> dict[str, tuple[str, Callable[[], Network]]]:
    """The registered network that each is, and how to make it."""
    t, part = transformers, functools.partial
    size = {} if full else {"embed_dim": 192, "depth": 4, "num_heads": 3}
    width, depth = (384, 12) if full else (192, 4)
    dims = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": width // 64}
    dims16 = dims | {"intermediate_size": 4 * width, "patch_size": 16}
    v2 = dims | {"patch_size": 14, "image_size": 518}
    v3 = dims16 | {"num_register_tokens": 4}
    base = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072} if full else {}

    def of_timm(name: str, **options: object) -> Callable[[], Network]:
        offset = bool(options.pop("offset", False))

        def make() -> Network:
            model = timm.create_model(name, dynamic_img_size=True, **size, **options)
            top = bool(model.num_classes) and not name.endswith(("clip_quickgelu_224", "dinov2", "dinov3"))
            return model, save_state, timm_layers(model, offset=offset, top=top)

        return make

    def of_transformers(model: Callable, config: type, top: bool = False, **options: object) -> Callable[[], Network]:
        def make() -> Network:
            made = model(config(**options))
            return made, save_pretrained, transformers_layers(made, top=top)

        return make

    return {
        "timm ViT-Ti/16": ("vit_tiny_patch16", of_timm("vit_tiny_patch16_224")),
        "timm ViT-B/8": ("vit_base_patch8", of_timm("vit_base_patch8_224")),
        "timm ViT-L/16 of 384": ("vit_large_patch16", of_timm("vit_large_patch16_384", num_classes=10)),
        "DINO ViT-S/16": ("dino_vits16", of_timm("vit_small_patch16_224", num_classes=0, offset=True)),
        "DINO ViT-S/8": ("dino_vits8", of_timm("vit_small_patch8_224", num_classes=0, offset=True)),
        "DINOv2 ViT-S/14": ("dinov2_vits14", of_timm("vit_small_patch14_dinov2", offset=True)),
        "timm DINOv2 ViT-S/14, registers": ("dinov2_vits14_reg", of_timm("vit_small_patch14_reg4_dinov2")),
        "timm DINOv3 ViT-S/16": ("dinov3_vits16", of_timm("vit_small_patch16_dinov3")),
        "timm CLIP ViT-B/16": ("clip_vitb16", of_timm("vit_base_patch16_clip_quickgelu_224")),
        "transformers ViT-B/16": (
            "vit_base_patch16",
            of_transformers(t.ViTForImageClassification, t.ViTConfig, top=True, **dims16 | base),
        ),
        "transformers DINO ViT-S/16": (
            "dino_vits16",
            of_transformers(part(t.ViTModel, add_pooling_layer=False), t.ViTConfig, **dims16),
        ),
        "transformers DINOv2 ViT-S/14": ("dinov2_vits14", of_transformers(t.Dinov2Model, t.Dinov2Config, **v2)),
        "transformers DINOv2 ViT-S/14, registers": (
            "dinov2_vits14_reg",
            of_transformers(t.Dinov2WithRegistersModel, t.Dinov2WithRegistersConfig, **v2),
        ),
        "transformers DINOv3 ViT-S/16": ("dinov3_vits16", of_transformers(t.DINOv3ViTModel, t.DINOv3ViTConfig, **v3)),
        "transformers CLIP ViT-B/16": (
            "clip_vitb16",
            of_transformers(t.CLIPVisionModel, t.CLIPVisionConfig, **dims16 | base),
        ),
    }


def compare(theirs: Layers, ours: Mapping[str, np.ndarray], first: int) -> dict[str, float]:
    """The largest relative difference of each kind of layer."""
    worst: dict[str, float] = {}
    for name, values in theirs.items():
        if name.endswith("/qkv"):
            parts = np.split(values, 3, -1)
            pairs = {f"{name[:-4]}/{part}": one for part, one in zip(("query", "key", "value"), parts, strict=True)}
        else:
            pairs = {name: values}
        for layer, one in pairs.items():
            if layer == "norm" and one.ndim == 1:  # transformers' CLIP normalises the class token alone
                pairs = {"cls": one}
                layer = "cls"
            kind = layer.partition("/")[2] or layer.rstrip("0123456789")
            own = np.asarray(ours[layer])
            own = own.reshape(-1, own.shape[-1])
            wanted = one.reshape(-1, one.shape[-1])
            wanted = wanted[first:] if len(wanted) > len(own) else wanted
            error = float(np.abs(own - wanted).max() / np.abs(wanted).max())
            worst[kind] = float(np.maximum(worst.get(kind, 0), error))  # keeps NaN
            if layer == "norm":
                error = float(np.abs(np.asarray(ours["cls"])[0, 0] - one[0]).max() / np.abs(one[0]).max())
                worst["cls"] = float(np.maximum(worst.get("cls", 0), error))
    return worst


def main() -> None:
    """Write, convert, compare, one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; all by default")
    parser.add_argument("--full", action="store_true", help="networks of their published size")
    arguments = parser.parse_args()
    networks = _networks(arguments.full)
    for name in arguments.names or networks:
        registered, make = networks[name]
        if not arguments.full:
            for other in vit.NETWORKS:
                BACKBONES.pop(other, None)  # which would be as small
            family, _, patch = vit.NETWORKS[registered]
            BACKBONES[registered] = vit.backbone(registered, family, width=192, patch=patch, depth=4, heads=3)
        model, write, layers = make()
        randomize(model.eval())
        with tempfile.TemporaryDirectory() as folder:
            weights = weights_convert.read(write(model, Path(folder)))
        backbone = weights.backbone
        assert backbone.name == registered, (backbone.name, registered)
        side, patch = backbone.module.grid * backbone.module.patch, backbone.module.patch
        wanted = [layer for layer in backbone.layer_names if "logits" in weights.params or layer != "logits"]
        run = jax.jit(functools.partial(extract_features, backbone=backbone, layers=wanted))
        for rows, columns in ((side, side), (patch * 11, patch * 17)):
            image = np.random.default_rng(0).random((rows, columns, 3), np.float32)
            prepared = np.asarray(backbone.preprocessing(image))
            theirs = layers(torch.from_numpy(prepared.transpose(2, 0, 1)[None].copy()))
            padded = np.pad(image, ((0, 3 * patch), (0, 5 * patch), (0, 0)), constant_values=0.7)
            maps = jax.device_get(run(weights.params, padded, np.array([rows, columns])))
            ours = {key: values[: size[0], : size[1]] for key, (values, size) in maps.items()}
            errors = compare(theirs, ours, len(weights.params["tokens"].get("registers", ())) + 1)
            text = ", ".join(f"{kind} {error:.0e}" for kind, error in errors.items())
            print(f"{name} ({backbone.name}) {rows}×{columns}: {text}", flush=True)


if __name__ == "__main__":
    main()
