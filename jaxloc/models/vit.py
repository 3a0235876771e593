"""Vision transformers as one Flax module that returns activations by layer name, exact for padded batches.

Dosovitskiy et al., "An image is worth 16×16 words", ICLR 2021; DeiT (Touvron et al. 2021), DINO (Caron et al. 2021),
CLIP (Radford et al. 2021), DINOv2 (Oquab et al. 2023; registers: Darcet et al. 2023) and DINOv3 (Siméoni et al. 2025)
are the same network but for what ``vit_families`` says.

A map has a cell for each whole patch; rows and columns of pixels beyond the last whole patch are cropped. Cells outside
an image's valid corner are masked in every attention, and positions are computed for each image's own grid, so features
do not depend on padding. Layers of block N, counted from 0: ``blockN/query``, ``blockN/key`` and ``blockN/value`` (as
the projections give them, before any rotation by position), ``blockN/attention`` (what the class token attends to, a
channel for each head), and ``blockN``, the patch tokens that the block returns; then ``norm``, the last ones
normalised, and ``cls``, the class token normalised, as one cell.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxloc.grids import valid_cells
from jaxloc.models.backbone import Backbone, Defaults, FeatureMap, Head, Layer
from jaxloc.models.tokens import Interpolation, Positions, Scale, Tokens, attend, class_attention, rotate, rotation
from jaxloc.models.vit_families import FAMILIES, NETWORKS, WIDTHS

LOGITS = "logits"


class ViT(nn.Module):
    """The network up to the deepest layer asked for.

    Attributes:
        width: channels of each token.
        patch: side of a patch in pixels.
        depth: number of blocks.
        heads: of each attention.
        grid: cells on a side of the learnt positions.
        classes: channels of ``logits``; 0 for none.
        interpolation: of positions; ``None`` is the family's own.
        layers: names of the activations to return.
        dtype: what products compute in; normalisations and softmax sum in float32.
    """

    family: str
    width: int
    patch: int
    depth: int
    heads: int
    grid: int
    classes: int
    interpolation: Interpolation
    layers: tuple[str, ...] = ("norm",)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array | None = None) -> dict[str, FeatureMap]:
        """Run preprocessed images through the network; as ``layers.Network.__call__``."""
        kind, n = FAMILIES[self.family], len(x)
        shape = x.shape[1] // self.patch, x.shape[2] // self.patch
        size = jnp.broadcast_to(jnp.asarray(x.shape[1:3] if sizes is None else sizes, jnp.int32) // self.patch, (n, 2))
        valid = valid_cells(size, shape)
        found: dict[str, FeatureMap] = {}

        def keep(name: str, values: jax.Array) -> None:
            if name in self.layers:
                cells = values.reshape(n, *shape, -1)
                found[name] = FeatureMap(jnp.where(valid[..., None], cells, 0), size)

        def keep_one(name: str, vector: jax.Array) -> None:
            if name in self.layers:
                found[name] = FeatureMap(vector[:, None, None], jnp.minimum(size, 1))

        def norm(name: str) -> nn.Module:
            return nn.LayerNorm(kind.epsilon, dtype=self.dtype, use_fast_variance=False, name=name)

        def dense(name: str, width: int) -> nn.Module:
            return nn.Dense(width, dtype=self.dtype, name=name)

        def scaled(name: str, values: jax.Array) -> jax.Array:
            return values * Scale(self.width, name=name)().astype(self.dtype) if kind.layer_scale else values

        first = 1 + kind.registers
        sides = (self.patch, self.patch)
        x = nn.Conv(self.width, sides, sides, "VALID", dtype=self.dtype, name="patches")(x.astype(self.dtype))
        tokens = Tokens(self.width, kind.registers, name="tokens")()
        turn = None
        if kind.rotary:
            turn = rotation(size, shape, self.width // self.heads)
        else:
            of_class, positions = Positions(self.grid, self.width, self.interpolation, name="positions")(size, shape)
            x, tokens = x + positions.astype(self.dtype), tokens.at[0].add(of_class)
        tokens = jnp.broadcast_to(tokens.astype(self.dtype), (n, *tokens.shape))
        x = jnp.concatenate([tokens, x.reshape(n, -1, self.width)], 1)
        x = norm("pre_norm")(x) if kind.clip else x
        flags = jnp.concatenate([jnp.ones((n, first), bool), valid.reshape(n, -1)], 1)
        mask = None if sizes is None else flags[:, None, None]
        for block in range(self.depth):
            name = f"block{block}"
            parts = jnp.split(dense(f"{name}_qkv", 3 * self.width)(norm(f"{name}_norm1")(x)), 3, -1)
            for part, values in zip(("query", "key", "value"), parts, strict=True):
                keep(f"{name}/{part}", values[:, first:])
            q, k, v = (part.reshape(n, -1, self.heads, self.width // self.heads) for part in parts)
            if turn is not None:
                q, k = rotate(q, turn, first), rotate(k, turn, first)
            if f"{name}/attention" in self.layers:
                keep(f"{name}/attention", class_attention(q, k, flags)[:, first:])
            if len(found) == len(self.layers):
                break
            y = dense(f"{name}_proj", self.width)(attend(q, k, v, mask).reshape(x.shape))
            x = x + scaled(f"{name}_scale1", y)
            y = dense(f"{name}_fc1", 4 * self.width)(norm(f"{name}_norm2")(x))
            y = y * nn.sigmoid(1.702 * y) if kind.clip else nn.gelu(y, approximate=False)
            x = x + scaled(f"{name}_scale2", dense(f"{name}_fc2", self.width)(y))
            keep(name, x[:, first:])
            if len(found) == len(self.layers):
                break
        else:
            x = norm("norm")(x)
            keep("norm", x[:, first:])
            keep_one("cls", x[:, 0])
            if LOGITS in self.layers:
                keep_one(LOGITS, dense(LOGITS, self.classes)(x[:, 0]))
        return {name: found[name] for name in self.layers}


def backbone(
    name: str,
    family: str,
    *,
    width: int,
    patch: int,
    depth: int,
    heads: int,
    grid: int | None = None,
    classes: int | None = None,
    interpolation: Interpolation | None = None,
    title: str = "",
) -> Backbone:
    """A network of a family; what is ``None`` is the family's own, and otherwise kept in weights files."""
    kind = FAMILIES[family]
    again = functools.partial(backbone, name, family, width=width, patch=patch, depth=depth, heads=heads, title=title)
    given = {"grid": grid, "classes": classes, "interpolation": interpolation}
    grid = grid or kind.side // patch
    classes = kind.classes if classes is None else classes
    module = ViT(family, width, patch, depth, heads, grid, classes, interpolation or kind.interpolation)
    layers = [layer for block in range(depth) for layer in _block_layers(block, width, patch, heads)]
    below = f"block{max(depth - 2, 0)}"
    layers += [Layer("norm", patch, width, patch, below, signed=True, attention=f"block{depth - 1}/attention")]
    layers += [Layer("cls", grid * patch, width, patch, signed=True)]
    layers += [Layer(LOGITS, grid * patch, classes, patch, signed=True)] if classes else []
    parts = ["norm1", "qkv", "proj", "norm2", "fc1", "fc2"] + ["scale1", "scale2"] * kind.layer_scale
    stem = ["patches", "tokens"] + ["positions"] * (not kind.rotary) + ["pre_norm"] * kind.clip
    blocks = [[f"block{block}_{part}" for part in parts] for block in range(depth)]
    return Backbone(
        name=name,
        title=title or name,
        authors=kind.authors,
        layers=tuple(layers),
        defaults=Defaults(kind.layer.format(depth - 1), "norm", below, "border"),
        module=module,
        blocks=(tuple(stem), *map(tuple, blocks[:-1]), (*blocks[-1], "norm")),
        preprocessing=kind.preprocessing,
        head=Head((LOGITS,), grid * patch, int(grid * patch / 0.9), bicubic=True) if classes else None,
        publisher=kind.publisher,
        licence=kind.licence,
        variant=tuple((key, value) for key, value in given.items() if value is not None),
        vary=again,
    )


def _block_layers(block: int, width: int, patch: int, heads: int) -> list[Layer]:
    def layer(part: str, channels: int, *, signed: bool = True) -> Layer:
        below = f"block{block - 1}{part}" if block else ""
        attention = f"block{block}/attention" if signed else ""
        return Layer(f"block{block}{part}", patch, channels, patch, below, signed=signed, attention=attention)

    inner = [layer(part, width) for part in ("/query", "/key", "/value")]
    return [*inner, layer("/attention", heads, signed=False), layer("", width)]


def published() -> list[Backbone]:
    """The networks of ``NETWORKS``."""
    found = []
    for name, (family, size, patch) in NETWORKS.items():
        width, kind = WIDTHS[size], FAMILIES[family]
        title = f"{kind.title.replace(' ViT', '')} ViT-{size[0].upper() if size != 'tiny' else 'Ti'}/{patch}"
        depth = 24 if size == "large" else 12
        found.append(backbone(name, family, width=width, patch=patch, depth=depth, heads=width // 64, title=title))
    return found
