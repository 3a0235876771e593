"""The sides of ``network.py``: networks in several libraries, each in a process of its own.

Run by ``network.py``. A process loads its network, writes the features of the first image to a file, prints 0, and
from then on answers each line it reads with the seconds of one run.
"""

import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

SIDES = {
    "jaxloc": "jaxloc",
    "jaxloc direct": "jaxloc",
    "jaxloc by OpenVINO": "openvino",
    "torch channels-last": "torch",
    "torch": "torch",
    "OpenVINO": "openvino",
    "jaxloc bfloat16": "jaxloc",
    "jaxloc by OpenVINO bfloat16": "openvino",
    "torch channels-last bfloat16": "torch",
    "OpenVINO bfloat16": "openvino",
}
"""Each side, and the package it needs."""
BLOCKS = (2, 2, 3, 3, 3)

Run = Callable[[], list[np.ndarray]]
"""Of each image the features ``[h, w, 512]``, or a whole network's scores."""


def images(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """scikit-image's photographs in the sizes asked for, uint8."""
    photographs = (skimage.data.chelsea, skimage.data.astronaut, skimage.data.coffee, skimage.data.rocket)
    return [
        np.asarray(Image.fromarray(photographs[number % 4]()).resize((columns, rows)))
        for number, (rows, columns) in enumerate(sizes)
    ]


def batches(images: list[np.ndarray]) -> list[np.ndarray]:
    """One batch if all have the same size, otherwise one of each: normalised float32, ``[n, 3, h, w]``."""
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    ready = [((np.float32(image) / 255 - mean) / std).transpose(2, 0, 1)[None] for image in images]
    return [np.concatenate(ready)] if len({image.shape for image in images}) == 1 else ready


def padded(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One batch of images, zero-padded if they have several sizes, and the size of each."""
    sizes = np.array([image.shape[:2] for image in images])
    rows, columns = -(-sizes.max(0) // 8) * 8 if (sizes != sizes[0]).any() else sizes[0]
    batch = np.zeros((len(images), rows, columns, 3), np.uint8)
    for slot, image in zip(batch, images, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image
    return batch, sizes


def load_jaxloc(images: list[np.ndarray], conv: str, dtype: str) -> Run:
    """XLA's features of jaxloc; images of several sizes are padded to one batch."""
    import jax

    from jaxloc import models

    weights = models.load("vgg16")
    params = models.prepare(weights.params, weights.backbone, conv=conv, dtype=dtype)
    batch, sizes = padded(images)
    step = functools.partial(models.extract_features, backbone=weights.backbone, dtype=dtype)
    jitted = jax.jit(step, compiler_options=models.compiler_options(weights.backbone))
    mixed = (sizes != sizes[0]).any()

    def run() -> list[np.ndarray]:
        maps = jitted(params, batch, sizes)["relu5_3"] if mixed else jitted(params, batch)["relu5_3"]
        features = np.asarray(maps.features, np.float32)
        return [one[: h // 16, : w // 16] for one, (h, w) in zip(features, sizes, strict=True)]

    return run


def load_jaxloc_openvino(images: list[np.ndarray], dtype: str) -> Run:
    """OpenVINO's features of jaxloc, as jobs ask for them: each image has a valid size, whether it is padded or not."""
    from jaxloc import models
    from jaxloc.data import Batch
    from jaxloc.inference import DeviceWeights, Extractor

    extractor = Extractor(DeviceWeights(models.load("vgg16"), dtype=dtype, engine="openvino"), ["relu5_3"])
    pixels, sizes = padded(images)
    batch = Batch(pixels, sizes.astype(np.int32), sizes.astype(np.int32), np.arange(len(images)))

    def run() -> list[np.ndarray]:
        features = np.asarray(extractor.features(batch)["relu5_3"].features, np.float32)
        return [one[: h // 16, : w // 16] for one, (h, w) in zip(features, sizes, strict=True)]

    return run


def weights_in_order() -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels ``[out, in, 3, 3]`` and biases from the first convolution to the last."""
    from jaxloc import models

    params = models.load("vgg16").params
    names = [f"conv{block}_{i}" for block, count in enumerate(BLOCKS, 1) for i in range(1, count + 1)]
    return [
        (np.asarray(params[name]["kernel"]).transpose(3, 2, 0, 1).copy(), np.array(params[name]["bias"]))
        for name in names
    ]


def load_torch(images: list[np.ndarray], *, channels_last: bool, bfloat16: bool) -> Run:
    """Torch in its default memory layout, or in the one that is faster on processors; cast to bfloat16 if asked."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers: list[torch.nn.Module] = []
    kernels = iter(weights_in_order())
    for block, count in enumerate(BLOCKS):
        layers += [torch.nn.MaxPool2d(2)] * (block > 0)
        for _ in range(count):
            kernel, bias = map(torch.from_numpy, next(kernels))
            convolution = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            convolution.load_state_dict({"weight": kernel, "bias": bias})
            layers += [convolution, torch.nn.ReLU(inplace=True)]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    network = torch.nn.Sequential(*layers).eval().to(dtype, memory_format=layout)
    inputs = [torch.from_numpy(batch).to(dtype).contiguous(memory_format=layout) for batch in batches(images)]

    @torch.inference_mode()
    def run() -> list[np.ndarray]:
        return [one for x in inputs for one in network(x).permute(0, 2, 3, 1).float().numpy()]

    return run


def openvino_settings(precision: str = "f32") -> dict[str, Any]:
    """Latency on the cores of this process."""
    return {
        "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }


def load_openvino(images: list[np.ndarray], precision: str) -> Run:
    """OpenVINO with its latency settings, a model compiled for each size."""
    import openvino
    from openvino import opset13 as ops

    kernels = weights_in_order()

    @functools.cache
    def request(shape: tuple[int, ...]) -> openvino.InferRequest:
        image = x = ops.parameter(shape, np.float32)
        following = iter(kernels)
        for block, count in enumerate(BLOCKS):
            if block:
                x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
            for _ in range(count):
                kernel, bias = next(following)
                x = ops.convolution(x, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
                x = ops.relu(ops.add(x, ops.constant(bias[None, :, None, None])))
        return (
            openvino.Core()
            .compile_model(openvino.Model([x], [image]), "CPU", openvino_settings(precision))
            .create_infer_request()
        )

    inputs = batches(images)

    def run() -> list[np.ndarray]:
        found = [request(x.shape).infer([x])[0].copy() for x in inputs]
        return [one.transpose(1, 2, 0) for features in found for one in features]

    return run


def load_whole(side: str, images: list[np.ndarray], name: str) -> Run:
    """A whole network, to its class scores or class token, with random parameters as in ``parity.py``."""
    import jax
    import torch
    from parity import randomize
    from parity_networks import networks

    import weights_convert
    from jaxloc import models

    peers = dict(reversed(networks(full=True).values()))
    if name not in peers:
        raise SystemExit(f"{name}: no peer to time beside it; name one of {', '.join(sorted(peers))}")
    network = peers[name]()
    module = network.module.eval()
    randomize(module)
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_convert.read(network.write(module, Path(folder)))
    backbone, batch = weights.backbone, np.stack(images)
    if side == "jaxloc":
        layer = "cls" if backbone.head is None else backbone.head.layer
        step = functools.partial(models.extract_features, backbone=backbone, layers=(layer,))
        jitted = jax.jit(step, compiler_options=models.compiler_options(backbone))
        params = models.prepare(weights.params, backbone)
        return lambda: list(np.asarray(jitted(params, batch)[layer].features)[:, 0, 0])
    pixels = np.asarray(backbone.preprocessing(batch.astype(np.float32) / 255)).transpose(0, 3, 1, 2).copy()
    if side == "OpenVINO":
        import openvino

        model = openvino.convert_model(module, example_input=torch.from_numpy(pixels))
        model.reshape(pixels.shape)
        request = openvino.Core().compile_model(model, "CPU", openvino_settings()).create_infer_request()
        return lambda: list(request.infer([pixels])[0].copy())
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last if side == "torch channels-last" else torch.contiguous_format
    module.to(memory_format=layout)
    given = torch.from_numpy(pixels).contiguous(memory_format=layout)
    return torch.inference_mode()(lambda: list(module(given).numpy()))


def load(side: str, images: list[np.ndarray], network: str) -> Run:
    """The side of that name."""
    if network != "vgg16":
        return load_whole(side, images, network)
    library, bfloat16 = side.removesuffix(" bfloat16"), side.endswith(" bfloat16")
    dtype = "bfloat16" if bfloat16 else "float32"
    if library == "OpenVINO":
        return load_openvino(images, "bf16" if bfloat16 else "f32")
    if library == "jaxloc by OpenVINO":
        return load_jaxloc_openvino(images, dtype)
    if library.startswith("torch"):
        return load_torch(images, channels_last=library == "torch channels-last", bfloat16=bfloat16)
    return load_jaxloc(images, "direct" if library == "jaxloc direct" else "auto", dtype)


def main() -> None:
    """Serve one side until the input ends."""
    side, sizes, features, cores, network = sys.argv[1:]
    os.sched_setaffinity(0, map(int, cores.split(",")))
    run = load(side, images(json.loads(sizes)), network)
    np.save(features, run()[0])
    run()
    print(0, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
