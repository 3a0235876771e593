"""A network that is ready to compute: parameters on the devices, compiled programs kept between calls."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxloc.api.batches import ImageBatches
from jaxloc.data.ahead import read_ahead
from jaxloc.data.in_memory import Images, InMemoryImages
from jaxloc.inference import DeviceWeights, Engine, Extractor
from jaxloc.models import Head, Method, Weights
from jaxloc.models import load as load_weights
from jaxloc.options import NetworkOptions, workers_of


class Network:
    """A pre-trained network on this host's devices; ``jaxloc.load`` makes one.

    Attributes:
        loaded: its weights on the devices.
        weights: what the weights are: backbone, source and checksum, without the arrays.
    """

    def __init__(self, loaded: DeviceWeights) -> None:
        self.loaded, self.weights = loaded, loaded.weights

    def features(
        self,
        images: Images,
        layer: str | Sequence[str] | None = None,
        *,
        max_side: int = 800,
        progress: bool | None = None,
    ) -> list[Any]:
        """Features of each image.

        Args:
            images: one or several, of any sizes; one image counts as a list of one. See ``jaxloc.colocalize``.
            layer: one layer, or several; ``None`` means the network's default for localisation.
            max_side: an image whose shorter side exceeds this many pixels is shrunk to it; 0 never shrinks.
            progress: show a progress bar; ``None`` shows one when the work takes long.

        Returns:
            an array ``[h, w, d]`` for each image, or a dict of arrays by layer if several layers are given.

        Raises:
            UsageError: an unknown layer, or an image that cannot be used.
        """
        layer = layer or self.weights.backbone.defaults.localization
        extractor = Extractor(self.loaded, [layer] if isinstance(layer, str) else layer)
        batches = ImageBatches(images, extractor, max_side=max_side)
        found: list[Any] = [None] * len(batches.images)
        for _, batch, computed in batches.features("features", progress=progress):
            maps = jax.device_get(computed)
            for place, number in enumerate(batch.indices.tolist()):
                if number >= 0:
                    found[number] = {name: _valid(*(part[place] for part in one)) for name, one in maps.items()}
        return [one[layer] for one in found] if isinstance(layer, str) else found

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities of ``classify``.

        Raises:
            UsageError: the network has no classifier, or one of other classes than ImageNet's.
        """
        return self.weights.backbone.class_names

    def classify(self, images: Images, *, progress: bool | None = None) -> np.ndarray:
        """Probabilities of the classes of the network's own classifier.

        The middle of each image, a square of 0.86 to 0.9 of its shorter side, is resized to the side that the
        classifier was trained on. Share, side and interpolation are those of the network's own evaluation.

        Args:
            images: one or several, of any sizes; see ``jaxloc.colocalize``.
            progress: show a progress bar; ``None`` shows one when the work takes long.

        Returns:
            float32 ``[n, classes]``; the classes are those of ``class_names``.

        Raises:
            UsageError: the network or its weights have no classifier (the message names the cure), or an image cannot
                be used.
        """
        head = self.weights.backbone.classifier
        images, workers = InMemoryImages(images), workers_of(NetworkOptions())
        crops = list(
            read_ahead(functools.partial(_middle, images, head), range(len(images)), workers=workers, ahead=64)
        )
        scores = self.features(crops, head.layer, max_side=0, progress=progress)
        return np.asarray(head.probabilities(jnp.stack(scores)[:, 0, 0].astype(np.float32)))


def _middle(images: InMemoryImages, head: Head, number: int) -> np.ndarray:
    """The part of an image that the classifier sees: uint8 ``[side, side, 3]``."""
    image = Image.fromarray(images.read(number).pixels)
    side = min(image.size) * head.side / head.resized
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    how = Image.Resampling.BICUBIC if head.bicubic else Image.Resampling.BILINEAR
    return np.asarray(image.resize((head.side, head.side), how, box))


def _valid(features: np.ndarray, size: np.ndarray) -> np.ndarray:
    return features[: size[0], : size[1]].copy()


def load(
    weights: str | os.PathLike[str] | Weights = "vgg16",
    *,
    top: bool = False,
    allow_download: bool | None = None,
    devices: int | None = None,
    batch: int | None = None,
    dtype: str = "float32",
    conv: Method = "auto",
    engine: Engine = "auto",
) -> Network:
    """Load a pre-trained network onto this host's devices.

    Args:
        weights: a name (``"vgg16"``, ``"alexnet"``; the command ``jaxloc weights list`` lists them), a weights file, or
            what ``jaxloc.models.load`` returns.
        top: load weights with the classifier.
        allow_download: fetch missing weights from the Hugging Face hub; ``None`` means only if
            ``$JAXLOC_ALLOW_DOWNLOAD`` is ``1``.
        devices: number of devices that share each batch; ``None`` means all.
        batch: largest number of images in a device's batch; ``None`` chooses by the device.
        dtype: what the network computes in, ``"float32"`` or ``"bfloat16"``.
        conv: how it convolves; ``"auto"`` is the fastest on the device, see ``jaxloc.models.prepare``.
        engine: what computes feature maps, ``"xla"`` or, on a CPU, ``"openvino"`` (``pip install 'jaxloc[openvino]'``);
            ``"auto"`` is OpenVINO for bfloat16 where the processor has instructions for it, otherwise XLA.

    Raises:
        WeightsError: the weights are missing or damaged; the message names the cure.
        UsageError: more devices than there are, an unknown option, or an engine that cannot be used here.
    """
    if not isinstance(weights, Weights):
        weights = load_weights(weights, allow_download=allow_download, top=top)
    return Network(DeviceWeights(weights, devices=devices, batch=batch, dtype=dtype, conv=conv, engine=engine))
