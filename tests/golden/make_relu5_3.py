"""Compute VGG-16's relu5_3 of a real photograph with torch and torchvision, and keep every 32nd channel.

    pip install torch torchvision
    python tests/golden/make_relu5_3.py

It writes ``relu5_3.npz`` beside itself and prints how far jaxloc is from torch on all channels.
"""

from pathlib import Path

import numpy as np
import skimage.data
import torch
import torchvision

from jaxloc import models


def torch_features(weights: models.Weights, image: np.ndarray) -> np.ndarray:
    """relu5_3 ``[h, w, 512]`` of an RGB uint8 image."""
    model = torchvision.models.vgg16(weights=None).features[:30].eval()
    convolutions = [layer for layer in model if isinstance(layer, torch.nn.Conv2d)]
    layers = [weights.params[f"conv{b}_{i}"] for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
    for layer, convolution in zip(layers, convolutions, strict=True):
        convolution.weight.data = torch.from_numpy(np.array(layer["kernel"]).transpose(3, 2, 0, 1).copy())
        convolution.bias.data = torch.from_numpy(np.array(layer["bias"]))
    normalize = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        x = normalize(torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255)[None]
        return model(x)[0].permute(1, 2, 0).numpy()


def main() -> None:
    """Write the golden array and print the difference."""
    weights = models.load("vgg16")
    image = skimage.data.chelsea()
    expected = torch_features(weights, image)
    found = np.asarray(models.extract_features(weights.params, image, backbone=weights.backbone)["relu5_3"].features)
    error = np.abs(found - expected).max() / expected.max()
    print(f"relu5_3 {expected.shape}: largest difference {error:.1e} of the largest feature")
    np.savez_compressed(
        Path(__file__).with_name("relu5_3.npz"), features=expected[..., ::32], checksum=weights.checksum
    )


if __name__ == "__main__":
    main()
