"""Checks of arguments that every public function shares; they look at shapes only, so they cost nothing under jit."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def check_rank(name: str, array: Any, layout: str) -> None:
    """Raise ``ValueError`` with the cure unless ``array`` has the axes of ``layout``, such as ``"[h, w, d]"``.

    Axes ``h`` and ``w``, the rows and columns of a map or an image, have a length of at least 1.
    """
    shape, axes = tuple(array.shape), layout.rpartition(" or ")[2].strip("[]").split(", ")
    rank = len(axes)
    if len(shape) == rank:
        if 0 in [length for axis, length in zip(axes, shape, strict=True) if axis in ("h", "w")]:
            raise ValueError(f"{name} must be {layout} with at least one row and one column, got shape {shape}")
        return
    cure = " for a batch wrap the function in jax.vmap" if len(shape) > rank else " a leading axis may have been lost"
    raise ValueError(f"{name} must be {layout} ({rank} axes), got shape {shape};{cure}")


def as_array(name: str, value: ArrayLike, layout: str, dtype: Any = None) -> jax.Array:
    """``value`` as an array whose axes have been checked."""
    array = jnp.asarray(value, dtype)
    check_rank(name, array, layout)
    return array


def as_size(name: str, value: ArrayLike | tuple[int, ...], dtype: Any = jnp.int32) -> jax.Array:
    """Rows and columns as an array ``[2]``."""
    size = as_array(name, jnp.asarray(value, dtype), "[2]")
    if size.shape != (2,):
        raise ValueError(f"{name} must be [2] (rows, columns), got shape {size.shape}")
    return size


def as_masked(features: ArrayLike, mask: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Features ``[h, w, d]`` of one image and the mask ``[h, w]`` of its selected cells."""
    features, mask = as_array("features", features, "[h, w, d]"), as_array("mask", mask, "[h, w]")
    if mask.shape != features.shape[:2] or mask.dtype != jnp.bool_:
        raise ValueError(f"mask must be bool {features.shape[:2]}, got {mask.dtype} {mask.shape}")
    return features, mask


def as_flags(valid: ArrayLike | None, shape: tuple[int, ...], what: str) -> jax.Array:
    """``valid`` as booleans of this shape, one for each ``what``; ``None`` means that all are True."""
    flags = jnp.ones(shape, bool) if valid is None else jnp.asarray(valid, bool)
    if flags.shape != shape:
        raise ValueError(f"valid must be {shape}, one flag per {what}, got shape {flags.shape}")
    return flags


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise ``ValueError`` naming the choices unless ``value`` is one of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
