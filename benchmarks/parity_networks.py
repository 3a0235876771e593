"""Networks of torchvision, timm and transformers for ``parity.py``: how each is made and written, and its layers.

Layers have our names and are those of one image: ``[h, w, c]`` of convolutional networks, ``[tokens, d]`` of vision
transformers, whose queries, keys and values may be one layer ``/qkv``. The releases of DINO and DINOv2 are timm's
modules here, whose positions are interpolated as the releases' code does it.
"""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
import transformers
from torch import nn

from jaxloc import models

Layers = dict[str, np.ndarray]
SMALL = {"embed_dim": 192, "depth": 4, "num_heads": 3}
"""Of timm's vision transformers, unless they have their published size."""


class Network(NamedTuple):
    """A network of theirs: the module, how its library writes it, and its layers of preprocessed ``[1, 3, h, w]``."""

    module: nn.Module
    write: Callable[[nn.Module, Path], Path]
    layers: Callable[[torch.Tensor], Layers]


def hooked(modules: Mapping[str, nn.Module], run: Callable[[], object]) -> Layers:
    """Outputs of modules by name, for the first image."""
    found: Layers = {}

    def keep(name: str, _module: object, _inputs: object, output: object) -> None:
        values = output[0] if isinstance(output, tuple) else output
        found[name] = values.detach()[0].numpy().copy()  # type: ignore[attr-defined]

    handles = [module.register_forward_hook(functools.partial(keep, name)) for name, module in modules.items()]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return found


def alexnet() -> tuple[nn.Module, dict[str, nn.Module]]:
    """AlexNet of torchvision, and its layers."""
    net = torchvision.models.alexnet()
    places = {"relu1": 1, "pool1": 2, "relu2": 4, "pool2": 5, "relu3": 7, "relu4": 9, "relu5": 11, "pool5": 12}
    dense = {"fc6": net.classifier[2], "fc7": net.classifier[5], "fc8": net.classifier[6]}
    return net, {name: net.features[place] for name, place in places.items()} | dense


def vgg(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    """VGG of torchvision, and its layers."""
    net = torchvision.models.get_model(name)
    layers = [name for name in models.find(name.removesuffix("_bn")).layer_names if not name.startswith("fc")]
    ends = [one for one in net.features if isinstance(one, nn.ReLU | nn.MaxPool2d)]
    dense = {"fc6": net.classifier[1], "fc7": net.classifier[4], "fc8": net.classifier[6]}
    return net, dict(zip(layers, ends, strict=True)) | dense


def squeezenet1_1() -> tuple[nn.Module, dict[str, nn.Module]]:
    """SqueezeNet of torchvision, and its layers."""
    net = torchvision.models.squeezenet1_1()
    names = ("relu1", "pool1", "fire2", "fire3", "pool3", "fire4", "fire5", "pool5", "fire6", "fire7", "fire8", "fire9")
    return net, dict(zip(names, net.features[1:], strict=True)) | {"conv10": net.classifier[-1]}


def resnet(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    """ResNet of torchvision, and its layers."""
    net = torchvision.models.get_model(name)
    found = {"conv1": net.relu, "maxpool": net.maxpool, "fc": net.fc}
    for stage in range(1, 5):
        blocks = getattr(net, f"layer{stage}")
        found |= {f"layer{stage}.{number}": block for number, block in enumerate(blocks[:-1])}
        found[f"layer{stage}"] = blocks[-1]
    return net, found


def efficientnet(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    """EfficientNet-Lite of timm, and its layers."""
    net = timm.create_model(f"tf_{name.replace('-', '_')}")
    found = {"stem": net.bn1, "conv_head": net.bn2, "classifier": net.classifier}
    for number, block in enumerate(one for stage in net.blocks for one in stage):
        found[f"block{number}"] = block
        if hasattr(block, "conv_pwl"):
            found[f"block{number}.expand"] = block.bn1
    return net, found


CONVOLUTIONAL: dict[str, Callable[[], tuple[nn.Module, dict[str, nn.Module]]]] = {
    "alexnet": alexnet,
    **{name: functools.partial(vgg, name) for name in ("vgg16", "vgg19", "vgg16_bn")},
    "squeezenet1_1": squeezenet1_1,
    **{name: functools.partial(resnet, name) for name in models.BACKBONES if name.startswith("resnet")},
    **{name: functools.partial(efficientnet, name) for name in models.BACKBONES if name.startswith("efficientnet")},
}
"""Convolutional networks and their layers' modules, by name."""


def maps(net: nn.Module, layers: Mapping[str, nn.Module]) -> Callable[[torch.Tensor], Layers]:
    """The layers of a convolutional network."""

    def run(pixels: torch.Tensor) -> Layers:
        found = hooked(layers, lambda: net(pixels))
        return {name: one.transpose(1, 2, 0) if one.ndim == 3 else one[None, None] for name, one in found.items()}

    return run


def offset_positions(model: nn.Module) -> None:
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
        return torch.cat([model.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1) + table

    model._pos_embed = embed


def timm_layers(model: nn.Module, *, offset: bool = False, top: bool = False) -> Callable[[torch.Tensor], Layers]:
    """The layers of a vision transformer of timm."""
    if offset:
        offset_positions(model)
    modules = {f"block{i}": block for i, block in enumerate(model.blocks)} | {"norm": model.norm}
    modules |= {f"block{i}/qkv": block.attn.qkv for i, block in enumerate(model.blocks)}
    if top:
        modules["logits"] = model.head
    return lambda pixels: hooked(modules, lambda: model(pixels))


def transformers_layers(model: nn.Module, *, top: bool = False) -> Callable[[torch.Tensor], Layers]:
    """The layers of a vision transformer of transformers."""
    tower = getattr(model, model.base_model_prefix) if top else model
    lists = (module for module in tower.modules() if isinstance(module, nn.ModuleList))
    modules: dict[str, nn.Module] = {}
    for i, block in enumerate(next(blocks for blocks in lists if len(blocks) > 1)):
        attention = block.self_attn if hasattr(block, "self_attn") else block.attention
        modules |= {f"block{i}": block}
        modules |= {f"block{i}/{part}": getattr(attention, f"{part[0]}_proj") for part in ("query", "key", "value")}
    modules["norm"] = next(
        getattr(tower, one) for one in ("layernorm", "norm", "post_layernorm") if hasattr(tower, one)
    )
    if top:
        modules["logits"] = model.classifier
    asked = {} if "dino" in type(model).__name__.lower() else {"interpolate_pos_encoding": True}
    return lambda pixels: hooked(modules, lambda: model(pixel_values=pixels, **asked))


def save_tensors(model: nn.Module, folder: Path) -> Path:
    """Write a state dict as safetensors."""
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def save_checkpoint(model: nn.Module, folder: Path) -> Path:
    """Write a state dict as training scripts do."""
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder / "model.pth"


def save_pretrained(model: nn.Module, folder: Path) -> Path:
    """Write a network of transformers."""
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def networks(*, full: bool) -> dict[str, tuple[str, Callable[[], Network]]]:
    """The registered network that each is, and how to make it; with ``full`` transformers have their published size."""
    t, part = transformers, functools.partial
    width, depth = (384, 12) if full else (SMALL["embed_dim"], SMALL["depth"])
    dims = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": width // 64}
    dims16 = dims | {"intermediate_size": 4 * width, "patch_size": 16}
    v2 = dims | {"patch_size": 14, "image_size": 518}
    v3 = dims16 | {"num_register_tokens": 4}
    base = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072} if full else {}

    def convolutional(name: str) -> Network:
        net, layers = CONVOLUTIONAL[name]()
        return Network(net, save_tensors, maps(net.eval(), layers))

    def of_timm(name: str, *, offset: bool = False, **options: object) -> Callable[[], Network]:
        def make() -> Network:
            model = timm.create_model(name, dynamic_img_size=True, **({} if full else SMALL), **options)
            top = bool(model.num_classes) and not name.endswith(("clip_quickgelu_224", "dinov2", "dinov3"))
            return Network(model, save_checkpoint, timm_layers(model, offset=offset, top=top))

        return make

    def of_transformers(model: Callable, config: type, top: bool = False, **options: object) -> Callable[[], Network]:
        def make() -> Network:
            made = model(config(**options))
            return Network(made, save_pretrained, transformers_layers(made, top=top))

        return make

    vit = of_transformers(t.ViTForImageClassification, t.ViTConfig, top=True, **dims16 | base)
    dino = of_transformers(part(t.ViTModel, add_pooling_layer=False), t.ViTConfig, **dims16)
    registers = of_transformers(t.Dinov2WithRegistersModel, t.Dinov2WithRegistersConfig, **v2)
    theirs = {name: f"{'timm' if name.startswith('eff') else 'torchvision'} {name}" for name in CONVOLUTIONAL}
    return {
        **{theirs[name]: (name.removesuffix("_bn"), part(convolutional, name)) for name in CONVOLUTIONAL},
        "timm ViT-Ti/16": ("vit_tiny_patch16", of_timm("vit_tiny_patch16_224")),
        "timm ViT-B/8": ("vit_base_patch8", of_timm("vit_base_patch8_224")),
        "timm ViT-L/16 of 384": ("vit_large_patch16", of_timm("vit_large_patch16_384", num_classes=10)),
        "DINO ViT-S/16": ("dino_vits16", of_timm("vit_small_patch16_224", num_classes=0, offset=True)),
        "DINO ViT-S/8": ("dino_vits8", of_timm("vit_small_patch8_224", num_classes=0, offset=True)),
        "DINOv2 ViT-S/14": ("dinov2_vits14", of_timm("vit_small_patch14_dinov2", offset=True)),
        "timm DINOv2 ViT-S/14, registers": ("dinov2_vits14_reg", of_timm("vit_small_patch14_reg4_dinov2")),
        "timm DINOv3 ViT-S/16": ("dinov3_vits16", of_timm("vit_small_patch16_dinov3")),
        "timm CLIP ViT-B/16": ("clip_vitb16", of_timm("vit_base_patch16_clip_quickgelu_224")),
        "transformers ViT-B/16": ("vit_base_patch16", vit),
        "transformers DINO ViT-S/16": ("dino_vits16", dino),
        "transformers DINOv2 ViT-S/14": ("dinov2_vits14", of_transformers(t.Dinov2Model, t.Dinov2Config, **v2)),
        "transformers DINOv2 ViT-S/14, registers": ("dinov2_vits14_reg", registers),
        "transformers DINOv3 ViT-S/16": ("dinov3_vits16", of_transformers(t.DINOv3ViTModel, t.DINOv3ViTConfig, **v3)),
        "transformers CLIP ViT-B/16": (
            "clip_vitb16",
            of_transformers(t.CLIPVisionModel, t.CLIPVisionConfig, **dims16 | base),
        ),
    }
