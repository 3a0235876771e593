"""VGGs to write in other people's formats: one so narrow that it is quick, one with the real widths."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jaxloc.models import find, vgg

Flat = dict[str, np.ndarray]


def narrow_arrays(architecture: str = "vgg16", *, top: bool = True) -> Flat:
    """A VGG of a few channels, under jaxloc's names."""
    rng = np.random.default_rng(0)
    flat: Flat = {}
    channels = 3
    for block, (width, convolutions) in enumerate(zip((2, 3, 4, 5, 6), vgg.BLOCKS[architecture], strict=True), 1):
        for i in range(1, convolutions + 1):
            flat[f"conv{block}_{i}/kernel"] = rng.standard_normal((3, 3, channels, width), np.float32)
            channels = width
    if top:
        for name, shape in {"fc6": (7, 7, 6, 10), "fc7": (1, 1, 10, 11), "fc8": (1, 1, 11, 8)}.items():
            flat[f"{name}/kernel"] = rng.standard_normal(shape, np.float32)
    biases = {
        name.replace("kernel", "bias"): rng.standard_normal(kernel.shape[-1], np.float32)
        for name, kernel in flat.items()
    }
    return flat | biases


@pytest.fixture
def narrow() -> Callable[..., Flat]:
    """Make a VGG of a few channels, under jaxloc's names: ``narrow("vgg16", top=True)``."""
    return narrow_arrays


@pytest.fixture(scope="session")
def wide() -> Mapping[str, np.ndarray]:
    """VGG-16's convolutions with the real widths, random, of a size that keeps activations in range."""
    rng = np.random.default_rng(1)
    flat: Flat = {}
    for name, shape in find("vgg16").all_shapes(head=False).items():
        scale = np.float32((2 / np.prod(shape[:-1])) ** 0.5 if name.endswith("kernel") else 0.1)
        flat[name] = rng.standard_normal(shape, np.float32) * scale
        flat[name].flags.writeable = False
    return flat


POSITIONS = {
    ("vgg16", False): (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ("vgg16", True): (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
    ("vgg19", False): (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    ("vgg19", True): (0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49),
}
"""Where the convolutions are among torchvision's ``features``, without and with batch normalisation."""

DENSE = {
    "torchvision": {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"},
    "timm": {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "fc8": "head.fc"},
}


def as_pytorch(
    flat: Mapping[str, np.ndarray],
    architecture: str = "vgg16",
    style: str = "torchvision",
    prefix: str = "",
    *,
    normalized: bool = False,
) -> Flat:
    convolutions = sorted({name.split("/")[0] for name in flat if name.startswith("conv")})
    positions = POSITIONS[architecture, normalized]
    names = {ours: f"features.{at}" for ours, at in zip(convolutions, positions, strict=True)} | DENSE[style]
    tensors: Flat = {}
    for layer in [*convolutions, *(layer for layer in DENSE[style] if f"{layer}/kernel" in flat)]:
        weight = flat[f"{layer}/kernel"].transpose(3, 2, 0, 1)
        if layer == "fc8" or (layer.startswith("fc") and style == "torchvision"):
            weight = weight.reshape(len(weight), -1)
        tensors[f"{prefix}{names[layer]}.weight"] = np.ascontiguousarray(weight)
        tensors[f"{prefix}{names[layer]}.bias"] = flat[f"{layer}/bias"]
    return tensors


@pytest.fixture(scope="session")
def pytorch() -> Callable[..., Flat]:
    """Our arrays as PyTorch's: outputs first, dense layers flat (timm's first two are convolutions)."""
    return as_pytorch


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, wide: Mapping[str, np.ndarray]) -> Path:
    """A safetensors file of VGG-16's convolutions under torchvision's names."""
    path = tmp_path_factory.mktemp("published") / "model.safetensors"
    safetensors.numpy.save_file(as_pytorch(wide), path)
    return path
