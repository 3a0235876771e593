"""Whole networks of torchvision and timm with random parameters against ours, layer by layer.

    pip install torch torchvision timm
    python benchmarks/parity.py [NETWORK …]

Each network of theirs is saved as a safetensors state dict, read as a user's file would be, and computes one random
image of its native size and one that is not square. Printed is the largest difference at each layer, relative to that
layer's largest value. Batch normalisation has random statistics.
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

import weights_convert
from jaxloc import models

OBLONG = (231, 302)
LARGEST = 1e-4


def alexnet() -> tuple[nn.Module, dict[str, nn.Module]]:
    net = torchvision.models.alexnet()
    places = {"relu1": 1, "pool1": 2, "relu2": 4, "pool2": 5, "relu3": 7, "relu4": 9, "relu5": 11, "pool5": 12}
    dense = {"fc6": net.classifier[2], "fc7": net.classifier[5], "fc8": net.classifier[6]}
    return net, {name: net.features[place] for name, place in places.items()} | dense


def vgg(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    net = torchvision.models.get_model(name)
    layers = [name for name in models.find(name.removesuffix("_bn")).layer_names if not name.startswith("fc")]
    ends = [one for one in net.features if isinstance(one, nn.ReLU | nn.MaxPool2d)]
    dense = {"fc6": net.classifier[1], "fc7": net.classifier[4], "fc8": net.classifier[6]}
    return net, dict(zip(layers, ends, strict=True)) | dense


def squeezenet1_1() -> tuple[nn.Module, dict[str, nn.Module]]:
    net = torchvision.models.squeezenet1_1()
    names = ("relu1", "pool1", "fire2", "fire3", "pool3", "fire4", "fire5", "pool5", "fire6", "fire7", "fire8", "fire9")
    return net, dict(zip(names, net.features[1:], strict=True)) | {"conv10": net.classifier[-1]}


def resnet(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    net = torchvision.models.get_model(name)
    found = {"conv1": net.relu, "maxpool": net.maxpool, "fc": net.fc}
    for stage in range(1, 5):
        blocks = getattr(net, f"layer{stage}")
        found |= {f"layer{stage}.{number}": block for number, block in enumerate(blocks[:-1])}
        found[f"layer{stage}"] = blocks[-1]
    return net, found


def efficientnet(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    net = timm.create_model(f"tf_{name.replace('-', '_')}")
    found = {"stem": net.bn1, "conv_head": net.bn2, "classifier": net.classifier}
    for number, block in enumerate(one for stage in net.blocks for one in stage):
        found[f"block{number}"] = block
        if hasattr(block, "conv_pwl"):
            found[f"block{number}.expand"] = block.bn1
    return net, found


CASES: dict[str, Callable[[], tuple[nn.Module, dict[str, nn.Module]]]] = {
    "alexnet": alexnet,
    **{name: functools.partial(vgg, name) for name in ("vgg16", "vgg19", "vgg16_bn")},
    "squeezenet1_1": squeezenet1_1,
    **{name: functools.partial(resnet, name) for name in models.BACKBONES if name.startswith("resnet")},
    **{name: functools.partial(efficientnet, name) for name in models.BACKBONES if name.startswith("efficientnet")},
}


def randomize(net: nn.Module) -> None:
    """Parameters that keep activations in range, and statistics that are not those of a new network."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, std=0.1)


def theirs(net: nn.Module, layers: dict[str, nn.Module], prepared: np.ndarray) -> dict[str, np.ndarray]:
    """Activations ``[h, w, c]`` by our layer's name, of one preprocessed image ``[h, w, 3]``."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, module: Any, arguments: Any, output: torch.Tensor) -> None:
        values = output.detach().numpy()[0].copy()
        found[name] = values.transpose(1, 2, 0) if values.ndim == 3 else values[None, None]

    hooks = [module.register_forward_hook(functools.partial(keep, name)) for name, module in layers.items()]
    with torch.no_grad():
        net(torch.from_numpy(prepared.transpose(2, 0, 1)[None].copy()))
    for hook in hooks:
        hook.remove()
    return found


def compare(name: str) -> float:
    """Print the differences of one network, and return the largest."""
    net, layers = CASES[name]()
    net.eval()
    randomize(net)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        safetensors.torch.save_file(net.state_dict(), path)
        weights = weights_convert.read(path)
    backbone = weights.backbone
    print(f"{name}: {weights.source}", flush=True)
    worst = 0.0
    for size in ((backbone.head.side,) * 2, OBLONG):
        image = np.random.default_rng(1).random((*size, 3), np.float32)
        expected = theirs(net, layers, np.asarray(backbone.preprocessing(image)))
        slides = size == OBLONG and len(backbone.head.layers) > 1  # dense layers move over it; torchvision pools before
        wanted = tuple(one for one in backbone.layer_names if not (slides and backbone.needs_head([one])))
        extract = jax.jit(functools.partial(models.extract_features, backbone=backbone, layers=wanted))
        found = extract(models.prepare(weights.params, backbone), image)
        errors = {}
        for layer in wanted:
            ours = np.asarray(found[layer].features)
            assert ours.shape == expected[layer].shape, (layer, ours.shape, expected[layer].shape)
            errors[layer] = float(np.abs(ours - expected[layer]).max() / np.abs(expected[layer]).max())
        print(f"  {size[0]}×{size[1]}: " + ", ".join(f"{layer} {error:.0e}" for layer, error in errors.items()))
        worst = max(worst, *errors.values())
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", choices=[*CASES, []], default=[], metavar="NETWORK")
    worst = {name: compare(name) for name in parser.parse_args().networks or CASES}
    print("\n".join(f"{name}: largest {error:.1e}" for name, error in worst.items()))
    if max(worst.values()) > LARGEST:
        raise SystemExit(f"more than {LARGEST:g}")


if __name__ == "__main__":
    main()
