"""A classifier on a network's features, and the step that fine-tunes both on image labels.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017, section 4.3,
fine-tunes VGG-16 on image labels before it describes the images. The paper keeps the fully connected layers and so
images of one size; here a linear head reads the average over the last layer's cells, so images keep their own size and
shape, and weights that hold convolutions only suffice. Exact under padding: cells outside an image enter neither the
average nor the loss, nor any gradient.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxloc import pooling
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.models.backbone import Backbone
from jaxloc.models.extract import Params, extract_features
from jaxloc.models.headed import HEAD
from jaxloc.models.training import Tally, TrainState, descend

Optimizer = Literal["sgd", "adamw"]


def split_params(
    params: Params, classes: int, *, backbone: Backbone, layer: str | None = None, frozen_blocks: int = 0
) -> tuple[Params, Params]:
    """Separate the parameters that are learnt, with a new head of zeros under ``"head"``, from the fixed ones.

    Args:
        params: the network's.
        classes: number of classes.
        backbone: the network that ``params`` belong to.
        layer: the layer that the head reads, by default the backbone's for retrieval. Convolutions above it are fixed;
            the network's own classifier, which would no longer fit the layers below it, is left out.
        frozen_blocks: number of blocks, from the image upwards, that are fixed.
    """
    layer = layer or backbone.defaults.retrieval
    channels = backbone.layer(layer).channels
    if backbone.needs_head([layer]):
        raise UsageError(f"the head reads a convolution's layer, such as {backbone.defaults.retrieval}, not {layer!r}")
    blocks = len(backbone.blocks)
    if not 0 <= frozen_blocks <= blocks:
        raise UsageError(f"the frozen blocks are from 0 (none) to {blocks} (all), not {frozen_blocks}")
    kernel, bias = jnp.zeros((channels, classes), jnp.float32), jnp.zeros(classes, jnp.float32)
    learnt: Params = {HEAD: {"kernel": kernel, "bias": bias}}
    fixed: Params = {}
    used = {name.split("/")[0] for name in backbone.shapes(layer)}
    for number, block in enumerate(backbone.blocks):
        for name in block:
            (learnt if name in used and number >= frozen_blocks else fixed)[name] = params[name]
    return learnt, fixed


@standard_promotion()
def logits(
    params: Params,
    images: ArrayLike,
    sizes: ArrayLike | None = None,
    *,
    backbone: Backbone,
    layer: str | None = None,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Scores of each class, float32 ``[n, classes]``, for a padded batch; arguments as for ``extract_features``.

    The head computes in float32. An image without valid cells gets the head's bias.
    """
    layer = layer or backbone.defaults.retrieval
    features, size = extract_features(params, images, sizes, backbone=backbone, layers=[layer], dtype=dtype)[layer]
    inside = valid_cells(size, (features.shape[1], features.shape[2]))
    pooled = jax.vmap(pooling.average_pool)(features, inside)
    return pooled @ params[HEAD]["kernel"] + params[HEAD]["bias"]


@standard_promotion()
def tally(scores: ArrayLike, targets: ArrayLike, counted: ArrayLike) -> Tally:
    """Cross entropy and hits of a batch of scores.

    Of images with several labels the cross entropies of the classes, each a sigmoid of its own, are summed (Bency et
    al., "Weakly supervised localization using deep feature maps", ECCV 2016, equation 1, take softmax probabilities and
    the mean); a hit is an image whose highest score is that of one of its labels.

    Args:
        scores: ``[n, classes]``, from ``logits``.
        targets: int ``[n]``, or bool ``[n, classes]`` where an image may have several labels.
        counted: bool ``[n]``, False for entries that only fill the batch.
    """
    scores, targets, counted = jnp.asarray(scores, jnp.float32), jnp.asarray(targets), jnp.asarray(counted, bool)
    if scores.ndim != 2 or targets.shape not in (scores.shape[:1], scores.shape) or counted.shape != scores.shape[:1]:
        raise ValueError(
            f"scores must be [n, classes], targets [n] or [n, classes], and counted [n], "
            f"got {scores.shape}, {targets.shape} and {counted.shape}"
        )
    if targets.ndim == 2:
        each = optax.sigmoid_binary_cross_entropy(scores, targets.astype(jnp.float32)).sum(1)
        hit = jnp.take_along_axis(targets, scores.argmax(1)[:, None], 1)[:, 0] > 0
    else:
        each = optax.softmax_cross_entropy(scores, jax.nn.one_hot(targets, scores.shape[1]))
        hit = scores.argmax(1) == targets
    loss = jnp.where(counted, each, 0).sum()
    correct = (counted & hit).sum(dtype=jnp.int32)
    return Tally(loss, correct, counted.sum(dtype=jnp.int32), jnp.isfinite(loss))


def make_optimizer(
    steps: int,
    *,
    name: Optimizer = "sgd",
    learning_rate: float = 1e-3,
    head_factor: float = 10.0,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    """Gradient descent whose rate rises linearly, then falls along a cosine to zero; biases do not decay.

    ``learning_rate`` is the highest rate of the network's layers, ``head_factor`` that of the head relative to it,
    since it starts from zeros, and ``warmup`` the share of the steps over which the rate rises.
    """
    rising = min(int(warmup * steps), steps - 1)

    def make(peak: float) -> optax.GradientTransformation:
        rate = optax.warmup_cosine_decay_schedule(peak / (rising + 1), peak, rising, steps)
        if name == "adamw":
            return optax.adamw(rate, weight_decay=weight_decay, mask=_kernels)
        return optax.chain(optax.add_decayed_weights(weight_decay, _kernels), optax.sgd(rate, momentum))

    def groups(learnt: Params) -> dict[str, str]:
        return {layer: "head" if layer == HEAD else "network" for layer in learnt}

    return optax.partition({"head": make(head_factor * learning_rate), "network": make(learning_rate)}, groups)


@standard_promotion()
def train_step(
    state: TrainState,
    fixed: Params,
    images: ArrayLike,
    sizes: ArrayLike,
    targets: ArrayLike,
    counted: ArrayLike,
    *,
    optimizer: optax.GradientTransformation,
    backbone: Backbone,
    layer: str | None = None,
    dtype: DTypeLike = jnp.float32,
) -> tuple[TrainState, Tally]:
    """One step down the mean loss of a batch; pure, to be jitted with the options fixed.

    ``fixed`` are the parameters that are not learnt; gradients stop below the lowest learnt one. Other arguments are as
    for ``logits`` and ``tally``.

    Returns:
        the state after the step, and the batch's tally before it. If loss or gradients are not finite the
        parameters stay as they were.
    """

    def mean_loss(learnt: Params) -> tuple[jax.Array, Tally]:
        scores = logits(fixed | learnt, images, sizes, backbone=backbone, layer=layer, dtype=dtype)
        result = tally(scores, targets, counted)
        return result.loss / jnp.maximum(result.total, 1), result

    return descend(mean_loss, state, optimizer)


def _kernels(learnt: Params) -> Any:
    return jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", learnt)
