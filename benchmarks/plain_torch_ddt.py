"""The script a user would write without jaxloc: torch and torchvision VGG-16, batch 1, scikit-learn's PCA.

Images keep their own size, every descriptor is stacked in memory, and the box is drawn on the map enlarged to the
image. ``--channels-last`` uses torch's faster memory layout, ``--bfloat16`` casts the network. It prints seconds by
stage and writes the boxes as JSON. The weights are jaxloc's own, so that both sides compute the same features.

    python benchmarks/plain_torch_ddt.py PHOTOS --boxes torch.json
"""

import argparse
import json
import time
from pathlib import Path

start = time.perf_counter()

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.numpy import load_file
from skimage.measure import label, regionprops
from sklearn.decomposition import PCA


def load_model(weights: str, channels_last: bool) -> torch.nn.Module:
    model = torchvision.models.vgg16(weights=None).features[:-1].eval()
    arrays = load_file(weights)
    convolutions = [layer for layer in model if isinstance(layer, torch.nn.Conv2d)]
    names = [f"conv{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1)]
    for name, convolution in zip(names, convolutions, strict=True):
        convolution.weight.data = torch.from_numpy(arrays[f"{name}/kernel"].transpose(3, 2, 0, 1).copy())
        convolution.bias.data = torch.from_numpy(arrays[f"{name}/bias"].copy())
    return model.to(memory_format=torch.channels_last) if channels_last else model


def run(
    model: torch.nn.Module, files: list[Path], channels_last: bool, dtype: torch.dtype
) -> tuple[dict[str, float], dict[str, list]]:
    normalize = torchvision.transforms.Compose(
        [
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    seconds = dict.fromkeys(("decode", "network", "pca", "boxes"), 0.0)
    maps, sizes = [], []
    with torch.no_grad():
        for file in files:
            t0 = time.perf_counter()
            image = Image.open(file).convert("RGB")
            x = normalize(image).unsqueeze(0).to(dtype)
            if channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            t1 = time.perf_counter()
            maps.append(model(x)[0].permute(1, 2, 0).contiguous().float().numpy())
            sizes.append(image.size)
            seconds["decode"] += t1 - t0
            seconds["network"] += time.perf_counter() - t1
    t0 = time.perf_counter()
    descriptors = np.concatenate([values.reshape(-1, values.shape[-1]) for values in maps])
    pca = PCA(n_components=1).fit(descriptors)
    direction = pca.components_[0]
    if np.corrcoef((descriptors - pca.mean_) @ direction, descriptors.sum(1))[0, 1] < 0:
        direction = -direction
    indicators = [(values - pca.mean_) @ direction for values in maps]
    t1 = time.perf_counter()
    seconds["pca"] = t1 - t0
    boxes: dict[str, list] = {}
    for file, indicator, (width, height) in zip(files, indicators, sizes, strict=True):
        components = label(indicator > 0, connectivity=2)
        if not components.max():
            continue
        largest = max(regionprops(components), key=lambda region: region.area).label
        mask = Image.fromarray((components == largest).astype(np.uint8)).resize(
            (width, height), Image.Resampling.NEAREST
        )
        y, x = np.nonzero(np.asarray(mask))
        boxes[file.name] = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
    seconds["boxes"] = time.perf_counter() - t1
    return seconds, boxes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", required=True, help="jaxloc's weights file")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=2, help="the first one is cold")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    files = sorted(arguments.photos.rglob("*.jpg"))
    imported = time.perf_counter()
    dtype = torch.bfloat16 if arguments.bfloat16 else torch.float32
    model = load_model(arguments.weights, arguments.channels_last).to(dtype)
    loaded = time.perf_counter()
    passes = []
    for _ in range(arguments.passes):
        seconds, boxes = run(model, files, arguments.channels_last, dtype)
        passes.append(seconds)
    arguments.boxes.write_text(json.dumps(boxes))
    print(json.dumps({"import": imported - start, "model": loaded - imported, "passes": passes}))


if __name__ == "__main__":
    main()
