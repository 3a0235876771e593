"""What a network is, for people: its layers, size and cost, and where weights come from."""

import functools
import math

import jax
import jax.numpy as jnp

from jaxloc.models.backbone import Backbone
from jaxloc.models.extract import extract_features

SIDE = 224
"""Image side in pixels at which the cost is stated."""


def summarize(backbone: Backbone) -> dict[str, str]:
    """Title, parameters, floating-point operations (two for a multiplication and addition), defaults and licence."""
    whole, below = (backbone.all_shapes(head=head) for head in (True, False))
    numbers = {"whole": sum(map(math.prod, whole.values())), "below": sum(map(math.prod, below.values()))}
    head = "" if backbone.head is None else f", {numbers['whole'] - numbers['below']:,} of them the classifier's"
    params = backbone.abstract_params(head=False)
    last = [name for name in backbone.layer_names if not backbone.needs_head([name])][-1]
    extract = functools.partial(extract_features, backbone=backbone, layers=(last,))
    cost = jax.jit(extract).lower(params, jax.ShapeDtypeStruct((SIDE, SIDE, 3), jnp.float32)).cost_analysis()
    localization, retrieval, lower = backbone.defaults[:3]
    return {
        "network": f"{backbone.title} ({backbone.authors})",
        "size": f"{numbers['whole']:,} parameters{head}",
        "operations": f"{(cost or {}).get('flops', math.nan) / 1e9:.2f} GFLOP for {SIDE}×{SIDE} pixels to {last}",
        "defaults": f"{localization} to localise; {retrieval}, and {lower} below it, to retrieve",
        "licence": f"{backbone.licence or 'unknown'} (of the weights known here)",
        "get weights": backbone.cure(),
    }


def layer_rows(backbone: Backbone) -> list[list[object]]:
    """Name, stride and smallest side in pixels, channels and sign of each layer."""
    return [
        [layer.name, layer.stride, layer.channels, layer.minimum_side, "signed" if layer.signed else "≥ 0"]
        for layer in backbone.layers
    ]


LAYER_COLUMNS = ["layer", "stride", "channels", "smallest side", "values"]
