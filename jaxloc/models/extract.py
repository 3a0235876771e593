"""The pure function every pipeline starts with: parameters and images in, activations by layer name out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxloc.errors import UsageError
from jaxloc.models import architectures
from jaxloc.models.preparing import Method, prepare
from jaxloc.models.preprocessing import TORCHVISION, Preprocessing
from jaxloc.models.vgg import VGG, FeatureMap

Params = dict[str, dict[str, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Network:
    """What a set of parameters is: hashable, so it can be closed over or passed as a static argument.

    Attributes:
        architecture: ``"vgg16"`` or ``"vgg19"``.
        preprocessing: what the parameters expect of their images.
    """

    architecture: str = "vgg16"
    preprocessing: Preprocessing = TORCHVISION


def extract_features(
    params: Any,
    images: ArrayLike,
    sizes: ArrayLike | None = None,
    *,
    network: Network,
    layers: Sequence[str] = ("relu5_3",),
    dtype: DTypeLike = jnp.float32,
    conv: Method = "auto",
) -> dict[str, FeatureMap]:
    """Activations of an image or of a padded batch of images of mixed sizes; pure, so it jits, vmaps and shards.

    In float32 an image's features do not depend on what it is batched with or how far it is padded, but for the
    order of summation: within 1e-5 of the largest feature.

    Args:
        params: nested dict ``{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …}``; pass it as an argument of
            the function you jit, never as a closure, or every compiled shape keeps its own copy. On the CPU, pass
            ``models.prepare(params)`` and jit with ``compiler_options=models.compiler_options()``: about twice
            as fast.
        images: RGB ``[h, w, 3]`` or ``[n, h, w, 3]``; uint8 (0–255) or float in [0, 1].
        sizes: int ``[2]`` or ``[n, 2]``, valid rows and columns of each image; ``None`` means all.
        network: what ``params`` are (static); ``load(...)`` gives it.
        layers: names of the layers to return (static); nothing deeper is computed.
        dtype: what the network computes in (static): float32 or bfloat16.
        conv: how to convolve (static): ``"auto"`` as ``params`` were prepared, and directly where they were not;
            ``"winograd"`` and ``"winograd2x2"`` transform the kernels that are not prepared yet, which gives the right
            features but costs more than it saves unless the batch is large.

    Returns:
        ``{layer: FeatureMap(features, size)}``, with the images' leading axes.

    Raises:
        ValueError: wrong shapes or an unknown layer, an image too small for the layer, missing ``fc`` parameters.
    """
    images = jnp.asarray(images)
    if images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(f"images must be RGB, [h, w, 3] or [n, h, w, 3], got shape {images.shape}")
    layers = architectures.check_layers(network.architecture, layers)
    _check_side(images.shape[-3:-1], layers)
    _check_fully_connected(params, layers)
    if sizes is not None:
        sizes = jnp.asarray(sizes)
        if sizes.shape != (*images.shape[:-3], 2):
            raise ValueError(f"sizes must be {(*images.shape[:-3], 2)} (rows, columns), got {sizes.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        images = images.astype(jnp.float32) / 255
    x = network.preprocessing(images.astype(jnp.float32))
    if conv != "auto":
        params = prepare(params, conv=conv, dtype=dtype)
    model = VGG(network.architecture, layers, dtype)
    if images.ndim == 4:
        return model.apply({"params": params}, x, sizes)
    maps = model.apply({"params": params}, x[None], None if sizes is None else sizes[None])
    return jax.tree.map(lambda value: value[0], maps)


def _check_side(shape: tuple[int, ...], layers: Sequence[str]) -> None:
    side = max(map(architectures.minimum_side, layers))
    if min(shape) < side:
        raise UsageError(f"images of {shape[0]}×{shape[1]} are too small: {layers} need {side} pixels a side")


def _check_fully_connected(params: Any, layers: Sequence[str]) -> None:
    missing = [layer for layer in layers if layer in architectures.FULLY_CONNECTED and layer not in params]
    if missing:
        raise UsageError(
            f"these weights hold convolutions only, so there is no {', '.join(missing)}: "
            "convert a full network with `jaxloc weights convert` and pass its file"
        )
