"""The parts of a vision transformer beside its layers: tokens, positions of any grid, attention within memory."""

import functools
import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Interpolation = Literal["plain", "offset", "antialias"]
"""How positions are interpolated, always bicubic: ``"plain"`` (transformers), ``"offset"``, for which the grid wanted
is 0.1 cells larger (the releases of DINO and DINOv2), ``"antialias"`` (timm, and DINOv2 with registers)."""

_LOGITS_AT_ONCE = 1 << 26
"""Attention logits that are in memory at a time; the queries of larger images take turns."""


class Tokens(nn.Module):
    """The class token and the registers, ``[1 + registers, d]``."""

    width: int
    registers: int

    @nn.compact
    def __call__(self) -> jax.Array:
        """The tokens."""
        counts = {"class": 1} | ({"registers": self.registers} if self.registers else {})
        initializer = nn.initializers.normal(0.02)
        return jnp.concatenate([self.param(name, initializer, (n, self.width)) for name, n in counts.items()])


class Scale(nn.Module):
    """A factor for each channel, ``[d]``."""

    width: int

    @nn.compact
    def __call__(self) -> jax.Array:
        """The factors."""
        return self.param("scale", nn.initializers.ones, (self.width,))


class Positions(nn.Module):
    """A learnt vector for each cell of a square grid, interpolated to grids of other sizes."""

    grid: int
    width: int
    interpolation: Interpolation

    @nn.compact
    def __call__(self, size: jax.Array, shape: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
        """Positions of the class token ``[d]``, and of grids ``[n, rows, columns, d]`` of ``size`` each, padded."""
        initializer = nn.initializers.normal(0.02)
        grid = self.param("grid", initializer, (self.grid, self.grid, self.width), jnp.float32)
        of_class = self.param("class", initializer, (self.width,), jnp.float32)
        weigh = jax.vmap(functools.partial(_weights, self.grid, self.interpolation), in_axes=(0, None, 0))
        same = (size == self.grid).all(1)
        rows, columns = (weigh(size[:, axis], shape[axis], same) for axis in (0, 1))
        return of_class, jnp.einsum("nyi,ijd,nxj->nyxd", rows, grid, columns, precision="highest")


def _weights(cells: int, interpolation: Interpolation, length: jax.Array, most: int, same: jax.Array) -> jax.Array:
    """Weight of each of ``cells`` in each of ``length`` places, ``[most, cells]``, as in torch's ``interpolate``."""
    antialias = interpolation == "antialias"
    ratio = cells / (jnp.maximum(length, 1) + jnp.where(same | (interpolation != "offset"), 0, 0.1))
    centres = (jnp.arange(most) + 0.5) * ratio - 0.5
    places = jnp.arange(-2, cells + 2)
    distance = jnp.abs(places - centres[:, None]) / (jnp.maximum(ratio, 1) if antialias else 1)
    a = -0.5 if antialias else -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    weights = jnp.where(distance <= 1, near, jnp.where(distance < 2, far, 0))
    if antialias:
        weights = weights[:, 2:-2]
        return weights / jnp.maximum(weights.sum(1, keepdims=True), 1e-6)  # places beyond ``length`` may see none
    return weights @ jax.nn.one_hot(jnp.clip(places, 0, cells - 1), cells)


def rotation(size: jax.Array, shape: tuple[int, int], width: int) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine ``[n, rows · columns, 1, width]`` of DINOv3's rotary positions, of grids of ``size`` each."""
    periods = 100 ** jnp.arange(0, 1, 4 / width)
    centres = [
        (2 * jnp.arange(length) + 1) / jnp.maximum(size[:, axis, None], 1) - 1 for axis, length in enumerate(shape)
    ]
    y, x = (2 * jnp.pi * one[..., None] / periods for one in centres)
    angles = jnp.stack(jnp.broadcast_arrays(y[:, :, None], x[:, None]), 3).reshape(len(size), math.prod(shape), 1, -1)
    angles = jnp.concatenate([angles, angles], -1)
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x: jax.Array, rotation: tuple[jax.Array, jax.Array], first: int) -> jax.Array:
    """Rotate queries or keys ``[n, tokens, heads, width]``, except the ``first``, which have no position."""
    cosine, sine = rotation
    own, x = x[:, :first], x[:, first:]
    turned = jnp.concatenate(jnp.split(x, 2, -1)[::-1], -1) * jnp.repeat(jnp.array([-1, 1]), x.shape[-1] // 2)
    return jnp.concatenate([own, (x * cosine + turned * sine).astype(x.dtype)], 1)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Attention of queries ``[n, tokens, heads, width]``, a part of them at a time if there are many."""
    n, tokens, heads, width = q.shape
    count = max(1, _LOGITS_AT_ONCE // (n * heads * tokens))
    if count >= tokens:
        return jax.nn.dot_product_attention(q, k, v, mask=mask)
    parts = jnp.pad(q, ((0, 0), (0, -tokens % count), (0, 0), (0, 0))).reshape(n, -1, count, heads, width)
    found = jax.lax.map(lambda part: jax.nn.dot_product_attention(part, k, v, mask=mask), jnp.moveaxis(parts, 1, 0))
    return jnp.moveaxis(found, 0, 1).reshape(n, -1, heads, width)[:, :tokens]


def class_attention(q: jax.Array, k: jax.Array, flags: jax.Array) -> jax.Array:
    """What the class token attends to: float32 ``[n, tokens, heads]``, each head's sum over the tokens is 1."""
    logits = jnp.einsum("nhd,nthd->nth", q[:, 0], k, preferred_element_type=jnp.float32) / math.sqrt(q.shape[-1])
    return jax.nn.softmax(jnp.where(flags[..., None], logits, -jnp.inf), 1)
