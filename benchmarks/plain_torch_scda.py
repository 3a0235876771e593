"""The script a user would write without jaxloc to describe images by SCDA: torch and torchvision VGG-16, batch 1.

Images keep their own size up to ``--max-side``. Of each, the descriptors of ``pool5`` in the largest component of
the cells above the mean are averaged and maximised, each of unit length, and the vectors are saved with NumPy in the
order of the file names. The weights are jaxloc's own, so that both sides compute the same features.

    python benchmarks/plain_torch_scda.py PHOTOS --weights vgg16.safetensors --vectors torch.npy
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from plain_torch_ddt import load_model  # first, for what it does before it imports torchvision
from skimage.measure import label
from torchvision import transforms


def describe(features: np.ndarray) -> np.ndarray:
    """SCDA of one map ``[h, w, d]``."""
    aggregation = features.sum(-1)
    components = label(aggregation > aggregation.mean(), connectivity=2)
    cells = np.bincount(components.ravel())[1:]
    if not len(cells):
        return np.zeros(2 * features.shape[-1], np.float32)
    selected = features[components == cells.argmax() + 1]
    parts = selected.mean(0), selected.max(0)
    return np.concatenate([part / np.linalg.norm(part) for part in parts])


def run(model: torch.nn.Module, files: list[Path], vectors: Path, max_side: int, channels_last: bool) -> None:
    normalize = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    found = []
    with torch.no_grad():
        for file in files:
            image = Image.open(file).convert("RGB")
            if max_side and min(image.size) > max_side:
                scale = max_side / min(image.size)
                image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
            x = normalize(image).unsqueeze(0)
            if channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            found.append(describe(model(x)[0].permute(1, 2, 0).contiguous().numpy()))
    np.save(vectors, np.stack(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", required=True, help="jaxloc's weights file")
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=2, help="the first one is cold")
    parser.add_argument("--max-side", type=int, default=700, help="shrink to this shorter side; 0 never shrinks")
    parser.add_argument("--channels-last", action="store_true", help="give torch its faster memory layout")
    arguments = parser.parse_args()
    files = sorted(arguments.photos.rglob("*.jpg"))
    passes = []
    for _ in range(arguments.passes):
        start = time.perf_counter()
        if not passes:
            relu5_3 = load_model(arguments.weights, arguments.channels_last)
            model = torch.nn.Sequential(relu5_3, torch.nn.MaxPool2d(2, 2))
        run(model, files, arguments.vectors, arguments.max_side, arguments.channels_last)
        passes.append(time.perf_counter() - start)
    print(json.dumps({"passes": passes}))


if __name__ == "__main__":
    main()
