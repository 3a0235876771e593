"""From RGB in [0, 1] to the values that a network was trained on. Stored in the metadata of weights files."""

import dataclasses
import json

import jax
import jax.numpy as jnp

from jaxloc._jit import standard_promotion
from jaxloc.errors import WeightsError


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """``(image · scale − mean) / std`` on the channels in ``channel_order``; hashable, so static under jit.

    Attributes:
        scale: multiplies images in [0, 1]; 255 for Caffe's family.
        mean: subtracted, one per channel, in ``channel_order``.
        std: divides, one per channel.
        channel_order: ``"rgb"`` or ``"bgr"``, the order the first convolution expects.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "rgb"

    def __post_init__(self) -> None:
        if self.channel_order not in ("rgb", "bgr"):
            raise WeightsError(f"channel_order must be 'rgb' or 'bgr', got {self.channel_order!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise WeightsError(f"mean and std need three numbers, std none of them zero: {self.mean}, {self.std}")

    @standard_promotion()
    def __call__(self, images: jax.Array) -> jax.Array:
        """Apply to images ``[..., 3]``, RGB, float32 in [0, 1]."""
        if self.channel_order == "bgr":
            images = images[..., ::-1]
        return (images * self.scale - jnp.array(self.mean, jnp.float32)) / jnp.array(self.std, jnp.float32)

    def to_json(self) -> str:
        """One line of JSON, for a weights file's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """Read what ``to_json`` wrote."""
        try:
            fields = json.loads(text)
            mean, std = (tuple(map(float, fields[name])) for name in ("mean", "std"))
            return cls(float(fields["scale"]), mean, std, str(fields["channel_order"]))
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"preprocessing metadata is not readable ({error}): convert the weights again"
            ) from error


TORCHVISION = Preprocessing(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""RGB in [0, 1], ImageNet mean and standard deviation: torchvision, timm, lpips."""

CAFFE_BGR = Preprocessing(255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "bgr")
"""BGR in 0–255, mean subtracted: Caffe, and Keras, which kept its weights."""

CAFFE_RGB = Preprocessing(255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
"""RGB in 0–255, mean subtracted: MatConvNet, which flipped the first filters."""

HALF = Preprocessing(1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""RGB from -1 to 1: Google's networks, in timm and transformers too."""

CLIP = Preprocessing(1.0, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""RGB in [0, 1], mean and standard deviation of CLIP's own images."""

FAMILIES = {
    "torchvision": TORCHVISION,
    "caffe-bgr": CAFFE_BGR,
    "caffe-rgb": CAFFE_RGB,
    "half": HALF,
    "clip": CLIP,
}
