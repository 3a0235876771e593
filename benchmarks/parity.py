"""Networks of torchvision, timm and transformers with random parameters against ours, layer by layer, in one table.

    pip install torch torchvision timm transformers
    python benchmarks/parity.py [NAME …]

Each network is written as its library writes it, read as a user's file would be, and computes one random image of its
native size and one that is not square, padded. Printed is the largest difference at each layer, relative to the layer's
largest value; of a vision transformer the largest over all blocks of patch tokens, queries, keys and values. Vision
transformers have four blocks of 192 channels, or with ``--full`` their published size. Statistics of normalisations are
random, and so are positions, so that an error in their interpolation shows.
"""

import argparse
import functools
import math
import tempfile
from pathlib import Path

import jax
import numpy as np
import torch
from parity_networks import SMALL, Layers, Network, networks
from torch import nn

import weights_convert
from jaxloc.models import BACKBONES, Backbone, extract_features, vit

LARGEST = 1e-4
OBLONG = (231, 302)
"""Rows and columns; of vision transformers 11 × 17 patches."""


def randomize(module: nn.Module) -> None:
    """Parameters of the size that trained ones have; the first values of every kind are far from zero."""
    generator = torch.Generator().manual_seed(0)

    def normal(shape: torch.Size) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    with torch.no_grad():
        for name, values in module.named_parameters():
            if values.ndim == 1:
                centre = 1.0 if name.endswith("weight") or "norm" in name else 0.0
                centre = 0.5 if any(part in name for part in ("gamma", "lambda", "ls1", "ls2")) else centre
                values.copy_(centre * ("bias" not in name) + 0.1 * normal(values.shape))
            elif "token" in name or "pos" in name:
                values.copy_(0.5 * normal(values.shape))
            else:
                values.copy_(normal(values.shape) / math.sqrt(values[0].numel()))
        for name, values in module.named_buffers():
            if name.endswith("running_mean"):
                values.copy_(0.1 * normal(values.shape))
            elif name.endswith("running_var"):
                values.copy_(1 + 0.1 * normal(values.shape))


def by_our_names(theirs: Layers) -> Layers:
    """Layers ``[cells or tokens, d]``, queries, keys and values apart, and the class token beside ``norm``."""
    found: Layers = {}
    for name, values in theirs.items():
        flat = values.reshape(-1, values.shape[-1])
        if name.endswith("/qkv"):
            parts = zip(("query", "key", "value"), np.split(flat, 3, -1), strict=True)
            found |= {f"{name[:-4]}/{part}": one for part, one in parts}
        elif name == "norm":
            found["cls"] = flat[:1]
            found |= {name: flat} if values.ndim > 1 else {}  # transformers' CLIP normalises the class token alone
        else:
            found[name] = flat
    return found


def compare(network: Network, backbone: Backbone, params: Layers, size: tuple[int, int]) -> dict[str, float]:
    """The largest relative difference at each layer, or each kind of a transformer's layers."""
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    pixels = np.asarray(backbone.preprocessing(image)).transpose(2, 0, 1)[None]
    theirs = by_our_names(network.layers(torch.from_numpy(pixels.copy())))
    head = backbone.head
    if size == OBLONG and head is not None and len(head.layers) > 1:
        theirs = {name: one for name, one in theirs.items() if name not in head.layers}  # torchvision pools before
    extract = jax.jit(functools.partial(extract_features, backbone=backbone, layers=tuple(theirs)))
    padded = np.pad(image, ((0, 48), (0, 80), (0, 0)), constant_values=0.7)
    errors: dict[str, float] = {}
    found = jax.device_get(extract(params, padded, np.array(size)))
    for layer in theirs:
        features, valid = found[layer]
        ours = features[: valid[0], : valid[1]].reshape(-1, features.shape[-1])
        expected = theirs[layer][-len(ours) :]  # without the tokens before the patches'
        assert ours.shape == expected.shape, (layer, ours.shape, theirs[layer].shape)
        error = float(np.abs(ours - expected).max() / np.abs(expected).max())
        kind = layer.partition("/")[2] or layer.rstrip("0123456789") if isinstance(backbone.module, vit.ViT) else layer
        errors[kind] = float(np.maximum(errors.get(kind, 0), error))  # keeps NaN
    return errors


def register_small(name: str) -> None:
    """Register a vision transformer at its small size, and no other, which would be as small."""
    for other in vit.NETWORKS:
        BACKBONES.pop(other, None)
    if name in vit.NETWORKS:
        family, _, patch = vit.NETWORKS[name]
        width, depth, heads = SMALL.values()
        BACKBONES[name] = vit.backbone(name, family, width=width, patch=patch, depth=depth, heads=heads)


def main() -> None:
    """Write, convert, compare, one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; all by default")
    parser.add_argument("--full", action="store_true", help="vision transformers of their published size")
    arguments = parser.parse_args()
    known = networks(full=arguments.full)
    print("| network | read as | image | largest | layers |\n|---|---|---|---|---|")
    worst = 0.0
    for name in arguments.names or known:
        registered, make = known[name]
        if not arguments.full:
            register_small(registered)
        network = make()
        randomize(network.module.eval())
        with tempfile.TemporaryDirectory() as folder:
            weights = weights_convert.read(network.write(network.module, Path(folder)))
        backbone = weights.backbone
        assert backbone.name == registered, (backbone.name, registered)
        patches = isinstance(backbone.module, vit.ViT)
        side = backbone.module.grid * backbone.module.patch if patches else backbone.head.side
        for size in ((side, side), (backbone.module.patch * 11, backbone.module.patch * 17) if patches else OBLONG):
            errors = compare(network, backbone, weights.params, size)
            largest = max(errors.values())
            text = ", ".join(f"{kind} {error:.0e}" for kind, error in errors.items())
            print(f"| {name} | {backbone.name} | {size[0]}×{size[1]} | {largest:.0e} | {text} |", flush=True)
            worst = max(worst, largest)
    if not worst <= LARGEST:
        raise SystemExit(f"more than {LARGEST:g}")


if __name__ == "__main__":
    main()
