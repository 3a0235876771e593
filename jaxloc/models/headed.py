"""A network whose classifier is new: a linear function of the average of one of its layers, as fine-tuning makes."""

import dataclasses
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxloc import pooling
from jaxloc.grids import valid_cells
from jaxloc.models.backbone import Backbone, FeatureMap, Head, Layer

HEAD = "head"
"""The head's name among the layers and the parameters, beside ``conv1_1`` and the like."""


class Headed(nn.Module):
    """A network and its head; parameters are named as the network's own.

    Attributes:
        averaged: the layer that the head reads.
        classes: channels of ``head``, which are logits.
        layers: names of the activations to return.
        dtype: what the network computes in; the head computes in float32.
    """

    base: nn.Module
    averaged: str
    classes: int
    layers: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array | None = None) -> dict[str, FeatureMap]:
        """Run preprocessed images ``[n, h, w, 3]`` through the network; arguments and result are its own."""
        below = [self.averaged if name == HEAD else name for name in self.layers]
        base = self.base.clone(parent=self, name="network", layers=tuple(dict.fromkeys(below)), dtype=self.dtype)
        nn.share_scope(self, base)
        found = base(x, sizes)
        if HEAD in self.layers:
            features, size = found[self.averaged]
            inside = jax.vmap(lambda one: valid_cells(one, (features.shape[1], features.shape[2])))(size)
            pooled = jax.vmap(pooling.average_pool)(features, inside)
            scores = nn.Dense(self.classes, name=HEAD, precision=jax.lax.Precision.HIGHEST)(pooled)
            found = found | {HEAD: FeatureMap(scores[:, None, None], jnp.ones_like(size))}
        return {name: found[name] for name in self.layers}


def with_head(backbone: Backbone, layer: str, names: Sequence[str], *, independent: bool = False) -> Backbone:
    """The network up to a layer, with a head that reads that layer's average.

    Args:
        backbone: the network.
        layer: that the head reads; layers above it, and the network's own classifier, are left out.
        names: of the classes.
        independent: whether an image may be of several classes, so that probabilities are sigmoids of the scores.
    """
    last = backbone.layer(layer)
    layers = backbone.layers[: backbone.layers.index(last) + 1]
    kept = [one.name for one in layers]
    used = {name.split("/")[0] for name in backbone.shapes(layer)}
    own = backbone.head
    side, resized = (224, 256) if own is None else (own.side, own.resized)
    defaults = backbone.defaults._replace(
        **{
            field: name if (name := getattr(backbone.defaults, field)) in kept else layer
            for field in ("localization", "retrieval", "retrieval_lower")
        }
    )
    scores = Layer(HEAD, last.stride, len(names), last.minimum_side, signed=True)
    return dataclasses.replace(
        backbone,
        layers=(*layers, scores),
        defaults=defaults,
        module=Headed(backbone.module, layer, len(names)),
        blocks=tuple(tuple(name for name in block if name in used) for block in backbone.blocks),
        head=Head((HEAD,), side, resized, averages=layer, names=tuple(names), independent=independent),
        winograd=tuple(name for name in backbone.winograd if name in used),
        published=(),
        embedded=None,
        hub="",
        vary=None,
    )
