"""What makes a network faster on a platform: the form of its kernels, and options of the compiler."""

import functools
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxloc.errors import UsageError
from jaxloc.models import winograd
from jaxloc.models.backbone import Backbone

Method = Literal["auto", "direct", "winograd", "winograd2x2"]
"""How to convolve: ``"winograd"`` in tiles of 4×4, ``"winograd2x2"`` as exact as ``"direct"`` and slower."""

_TILINGS = {"winograd": winograd.TILES_OF_4, "winograd2x2": winograd.TILES_OF_2}


def prepare(params: Any, backbone: Backbone, *, conv: Method = "auto", dtype: DTypeLike = jnp.float32) -> Any:
    """Parameters whose kernels have the form that ``conv`` asks for; call it once, outside jit.

    The filters of Winograd's convolution take four times (tiles of 2×2: nearly twice) the memory of the plain ones.

    Args:
        params: nested dict ``{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, …}``.
        backbone: the network that ``params`` belong to; it names the 3×3 convolutions of stride 1.
        conv: ``"direct"`` changes nothing; ``"winograd"`` transforms those kernels that have enough input channels to
            become faster; ``"winograd2x2"`` does so in tiles of 2×2; ``"auto"`` is ``"winograd"`` on the CPU in
            float32 and changes nothing elsewhere. Prepared kernels are returned unchanged.
        dtype: what the network will compute in.

    Returns:
        the same tree; arrays that need no change are the same objects.

    Raises:
        UsageError: an unknown ``conv``, kernels prepared for another one, or Winograd's convolution in a dtype other
            than float32.
    """
    if conv not in get_args(Method):
        raise UsageError(f"conv must be one of {', '.join(get_args(Method))}, not {conv!r}")
    if conv == "auto":
        if jnp.dtype(dtype) != jnp.float32 or jax.default_backend() != "cpu":
            return params
        return _transform(params, backbone, winograd.TILES_OF_4)
    tiling = _TILINGS.get(conv)
    places = None if tiling is None else len(tiling.inputs) ** 2
    kernels = [params[name]["kernel"] for name in backbone.winograd if name in params]
    if any(kernel.ndim == 3 and kernel.shape[0] != places for kernel in kernels):
        raise UsageError(f"these parameters are prepared for another convolution than conv={conv!r}: pass plain ones")
    if tiling is None:
        return params
    _check_dtype(dtype)
    return _transform(params, backbone, tiling)


def check_kernel(kernel: jax.Array, shape: tuple[int, int, int, int], dtype: DTypeLike) -> None:
    """Raise ``UsageError`` unless a kernel is one of this shape, plain or prepared, and fits the dtype."""
    prepared = [(places, *shape[2:]) for places in winograd.PLACES if shape[:2] == (3, 3)]
    if kernel.shape not in (shape, *prepared):
        raise UsageError(f"a kernel of shape {shape} is needed, got {kernel.shape}: is it another network's?")
    if kernel.ndim == 3:
        _check_dtype(dtype)


def _check_dtype(dtype: DTypeLike) -> None:
    if jnp.dtype(dtype) != jnp.float32:
        raise UsageError(
            f"Winograd's convolution computes in float32, not in {jnp.dtype(dtype)}: "
            "prepare the parameters for that dtype, or choose conv='direct'"
        )


def _transform(params: Any, backbone: Backbone, tiling: winograd.Tiling) -> Any:
    def transform(arrays: dict[str, jax.Array]) -> dict[str, jax.Array]:
        kernel = arrays["kernel"]
        if kernel.ndim != 4 or kernel.shape[2] < winograd.LEAST_CHANNELS:
            return arrays
        return arrays | {"kernel": winograd.transform_filters(kernel, tiling)}

    return {name: transform(arrays) if name in backbone.winograd else arrays for name, arrays in params.items()}


def compiler_options(backbone: Backbone) -> dict[str, str] | None:
    """Options for ``jax.jit(…, compiler_options=…)`` that make a network faster on this platform, or ``None``.

    jaxlib 0.10's CPU compiler puts a whole convolutional network into one experimental fusion. Where that is slower
    than its parts, which the backbone says, an option disables it for one function. Releases without the option get
    ``None``.
    """
    return None if backbone.cpu_fusion or jax.default_backend() != "cpu" else _without_fusion()


@functools.cache
def _without_fusion() -> dict[str, str] | None:
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options
