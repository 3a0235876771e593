"""The pure function that every pipeline starts with: activations by layer name of parameters and images."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.models.backbone import Backbone, FeatureMap
from jaxloc.models.preparing import Method, prepare

Params = dict[str, dict[str, jax.Array]]


@standard_promotion()
def extract_features(
    params: Any,
    images: ArrayLike,
    sizes: ArrayLike | None = None,
    *,
    backbone: Backbone,
    layers: Sequence[str] | None = None,
    dtype: DTypeLike = jnp.float32,
    conv: Method = "auto",
) -> dict[str, FeatureMap]:
    """Activations of an image, or of a padded batch of images of mixed sizes; pure, so it jits, vmaps and shards.

    In float32 the features of an image depend neither on the other images of its batch nor on its padding, except
    for the order of summation: within 1e-5 of the largest feature.

    Args:
        params: nested dict ``{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …}``; pass it as an argument of
            the function you jit, never as a closure, or every compiled shape keeps its own copy. On the CPU, pass
            ``models.prepare(params, backbone)`` and jit with ``compiler_options=models.compiler_options(backbone)``:
            VGG is about twice as fast.
        images: RGB ``[h, w, 3]`` or ``[n, h, w, 3]``; uint8 (0–255) or float in [0, 1].
        sizes: int ``[2]`` or ``[n, 2]``, valid rows and columns of each image; ``None`` means all.
        backbone: the network that ``params`` belong to (static); ``load(...).backbone``.
        layers: names of the layers to return (static), by default the backbone's for localisation; nothing deeper is
            computed.
        dtype: what the network computes in (static): float32 or bfloat16.
        conv: how to convolve (static): ``"auto"`` as ``params`` were prepared, and directly if they were not;
            ``"winograd"`` and ``"winograd2x2"`` transform the kernels that are not prepared yet, which gives correct
            features but is slower than preparing unless the batch is large.

    Returns:
        ``{layer: FeatureMap(features, size)}``, with the images' leading axes.

    Raises:
        ValueError: wrong shapes, an unknown layer, an image too small for the layer, missing parameters of the
            classifier, or ``sizes`` for a backbone that is not exact under padding.
    """
    images = jnp.asarray(images)
    if images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(f"images must be RGB, [h, w, 3] or [n, h, w, 3], got shape {images.shape}")
    layers = backbone.check_layers((backbone.defaults.localization,) if layers is None else layers)
    rows, columns, side = *images.shape[-3:-1], backbone.minimum_side(layers)
    if min(rows, columns) < side:
        raise UsageError(f"images of {rows}×{columns} are too small: {layers} need {side} pixels a side")
    if missing := [layer for layer in layers if backbone.needs_head([layer]) and layer not in params]:
        raise UsageError(f"these weights hold no classifier, so there is no {', '.join(missing)}: {backbone.cure()}")
    if sizes is not None:
        sizes = jnp.asarray(sizes)
        if sizes.shape != (*images.shape[:-3], 2):
            raise ValueError(f"sizes must be {(*images.shape[:-3], 2)} (rows, columns), got {sizes.shape}")
        if not backbone.padding_exact:
            raise UsageError(f"padding changes the features of {backbone.title}: pass images of one size, and no sizes")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        images = images.astype(jnp.float32) / 255
    x = backbone.preprocessing(images.astype(jnp.float32))
    if conv != "auto":
        params = prepare(params, backbone, conv=conv, dtype=dtype)
    model = backbone.module.clone(layers=layers, dtype=dtype)
    if images.ndim == 4:
        return model.apply({"params": params}, x, sizes)
    maps = model.apply({"params": params}, x[None], None if sizes is None else sizes[None])
    return jax.tree.map(lambda value: value[0], maps)
