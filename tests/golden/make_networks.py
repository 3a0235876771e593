"""Some activations of torchvision's and timm's networks with parameters from NumPy's generator, on one small image.

    pip install torch torchvision timm
    python tests/golden/make_networks.py

It writes ``networks.npz`` beside itself: names and shapes of each network's state dict, and of each layer its shape and
every few cells and channels. ``benchmarks/parity.py`` compares all of them, at the native size too.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("networks.npz")
IMAGE = np.random.default_rng(5).random((67, 90, 3), np.float32)


def parameters(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """A state dict of random numbers that keep activations in range, equal at each call."""
    found = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            found[name] = np.array(0)
        elif len(shape) > 1:
            found[name] = rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        elif name.endswith(("running_var", "weight")):
            found[name] = rng.uniform(0.5, 1, shape).astype(np.float32)
        else:
            found[name] = rng.standard_normal(shape, np.float32) * np.float32(0.1)
    return found


def sample(features: np.ndarray) -> np.ndarray:
    """Every few cells and channels of ``[h, w, c]``."""
    rows, columns, channels = (max(1, side // number) for side, number in zip(features.shape, (3, 3, 4), strict=True))
    return features[::rows, ::columns, ::channels]


def main() -> None:
    """Write the golden arrays."""
    import torch

    from benchmarks import parity_networks
    from jaxloc import models

    kept: dict[str, np.ndarray] = {}
    for name in ("alexnet", "squeezenet1_1", "resnet18", "resnet50", "efficientnet-lite0"):
        net, layers = parity_networks.CONVOLUTIONAL[name]()
        without = {layer: module for layer, module in layers.items() if not layer.startswith("fc") or name != "alexnet"}
        state = net.state_dict()
        shapes = {key: list(value.shape) for key, value in state.items()}
        net.load_state_dict({key: torch.as_tensor(value) for key, value in parameters(shapes).items()})
        backbone = models.find(name)
        preprocessing = backbone.published[-1].preprocessing or backbone.preprocessing
        pixels = torch.from_numpy(np.asarray(preprocessing(IMAGE)).transpose(2, 0, 1)[None].copy())
        found = parity_networks.maps(net.eval(), without)(pixels)
        if name == "alexnet":
            shapes = {key: shape for key, shape in shapes.items() if not key.startswith("classifier")}
        kept[f"{name} names"] = np.array(json.dumps(shapes))
        for layer, features in found.items():
            kept[f"{name} {layer}"] = sample(features)
            kept[f"{name} {layer} shape"] = np.array([*features.shape, np.abs(features).max()], np.float64)
    np.savez_compressed(PATH, **kept)


if __name__ == "__main__":
    main()
