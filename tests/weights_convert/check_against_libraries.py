"""Compare whole random networks of the libraries themselves with what is read from the files they write.

Not a test: it needs keras, torch, torchvision and timm, 6 GB of memory and some minutes. Run it when a reader changes:

    pip install keras torch torchvision timm h5py
    KERAS_BACKEND=jax python tests/weights_convert/check_against_libraries.py

Each line is the largest difference of the last layer on a random image, relative to that layer's largest value; the
libraries prepare the image with their own preprocessing.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import safetensors.torch
import timm
import torch
import torchvision

import weights_convert
from jaxloc.models import extract_features

IMAGE = np.random.default_rng(0).random((224, 224, 3), np.float32)

Case = tuple[str, Callable[[Path], object], np.ndarray]


def keras_cases() -> Iterator[Case]:
    """File names, how to write them, and Keras's output."""
    for name, application in (("vgg16", keras.applications.vgg16), ("vgg19", keras.applications.vgg19)):
        build = getattr(application, name.upper())
        prepared = application.preprocess_input(IMAGE[None] * 255)
        for top in (True, False):
            model = build(weights=None, include_top=top, **({"classifier_activation": None} if top else {}))
            output = model.predict(prepared, verbose=0)[0]
            for suffix in (".weights.h5", ".h5", ".keras") if top else (".weights.h5", ".h5"):
                write = model.save_weights if suffix == ".weights.h5" else model.save
                yield f"keras-{name}-{'top' if top else 'notop'}{suffix}", write, output


def torch_cases() -> Iterator[Case]:
    """File names, how to write them, and PyTorch's output."""
    transforms = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    pixels = torch.tensor(IMAGE).permute(2, 0, 1)
    prepared = torchvision.transforms.functional.normalize(pixels, transforms.mean, transforms.std)[None]
    for name in ("vgg16", "vgg19", "vgg16_bn", "vgg19_bn"):
        for library, build in (("torchvision", torchvision.models.get_model), ("timm", timm.create_model)):
            torch.manual_seed(0)
            model = build(name)
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.normal_(module.running_mean, std=0.1)
                    torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            with torch.no_grad():
                output = model.eval()(prepared)[0].numpy()

            state = model.state_dict()
            writers = {
                "-plain.pth": functools.partial(torch.save, state, _use_new_zipfile_serialization=False),
                ".pth": functools.partial(torch.save, state),
            }
            if library == "timm":
                writers = {".safetensors": functools.partial(safetensors.torch.save_file, state)}
            for suffix, write in writers.items():
                yield f"{library}-{name}{suffix}", write, output


def main() -> None:
    """Write, read, compare, one file after the other."""
    for cases in (keras_cases, torch_cases):
        for name, write, theirs in cases():
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder) / name)
                weights = weights_convert.read(Path(folder) / name)
            layer = "fc8" if theirs.ndim == 1 else "pool5"
            ours = extract_features(weights.params, IMAGE, backbone=weights.backbone, layers=[layer])[layer].features
            difference = np.abs(np.squeeze(ours) - theirs).max() / np.abs(theirs).max()
            print(f"{name:36}{layer:7}{difference:.1e}")


if __name__ == "__main__":
    main()
