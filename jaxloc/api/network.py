"""A network that is ready to compute: parameters on the devices, compiled programs kept between calls."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxloc.api.batches import ImageBatches
from jaxloc.data.in_memory import Images
from jaxloc.inference import DeviceWeights, Extractor
from jaxloc.models import Method, Weights
from jaxloc.models import load as load_weights


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
) -> Network:
    """Load a pre-trained network onto this host's devices.

    Args:
        weights: a name (``"vgg16"``), a weights file, or what ``jaxloc.models.load`` returns.
        top: load weights with the fully connected layers.
        allow_download: fetch missing weights from the Hugging Face hub; ``None`` means only if
            ``$JAXLOC_ALLOW_DOWNLOAD`` is ``1``.
        devices: number of devices that share each batch; ``None`` means all.
        batch: largest number of images in a device's batch; ``None`` chooses by the device.
        dtype: what the network computes in, ``"float32"`` or ``"bfloat16"``.
        conv: how it convolves; ``"auto"`` is the fastest on the device, see ``jaxloc.models.prepare``.

    Raises:
        WeightsError: the weights are missing or damaged; the message names the cure.
        UsageError: more devices than there are, or an unknown option.
    """
    if not isinstance(weights, Weights):
        weights = load_weights(weights, allow_download=allow_download, top=top)
    return Network(DeviceWeights(weights, devices=devices, batch=batch, dtype=dtype, conv=conv))
