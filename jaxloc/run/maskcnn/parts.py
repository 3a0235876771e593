"""Learn to score the parts of each cell, and predict their masks and boxes."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxloc import maskcnn
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.models import Backbone, FeatureMap
from jaxloc.models.fcn import PartScores, enlarge
from jaxloc.models.training import Tally
from jaxloc.run.frozen import FrozenMaps, chunks
from jaxloc.run.loop import head_loop
from jaxloc.run.maskcnn.examples import Examples
from jaxloc.run.sampling import shuffled_batch
from jaxloc.run.training_checkpoints import Checkpoints

STRIDE = 8
"""Pixels of a cell in which parts are scored."""
_STRIDES = (STRIDE, 16, 32)
_BATCH, _FINER = 8, 4
"""Images of a step, and how much finer boxes are found than cells."""
_RATE, _DECAY, _EVERY = 1e-3, 1e-4, 100


class Predicted(NamedTuple):
    """Parts of images.

    Attributes:
        shares: float32 ``[n, h, w, 1 + k]``, probability of background and parts in each cell; 0 outside the image.
        sizes: int32 ``[n, 2]``, valid rows and columns.
        boxes: float32 ``[n, k, 4]``, ``x0, y0, x1, y1`` of the parts in pixels of the original image.
        found: bool ``[n, k]``, whether the part has a pixel; else its box is the object's or the image's.
        objects: float32 ``[n, 4]``, boxes of the parts together.
    """

    shares: Any
    sizes: Any
    boxes: Any
    found: Any
    objects: Any


def layers_of(backbone: Backbone) -> list[str]:
    """The first layers of strides 8, 16 and 32, pool3 to pool5 of VGG; ``UsageError`` if there are none."""
    found = []
    for stride in _STRIDES:
        layer = next((layer.name for layer in backbone.layers if layer.stride == stride), None)
        if layer is None:
            raise UsageError(f"{backbone.name} has no layer of stride {stride}, which parts are scored from: try vgg16")
        found.append(layer)
    return found


def learn_parts(
    examples: Examples,
    numbers: np.ndarray,
    maps: Sequence[FrozenMaps],
    scales: np.ndarray,
    folder: str | os.PathLike[str],
    *,
    steps: int,
    seed: int,
    settings: Mapping[str, Any],
) -> Any:
    """Parameters of ``PartScores``, learnt from rectangles; a stopped call resumes from its checkpoints in ``folder``.

    Args:
        examples: with the boxes of parts.
        numbers: of the images to learn from.
        maps: of the three layers, the finest first.
        scales: ``[n]``, pixels that the network sees to a pixel of the original image.
        folder: for checkpoints.
        steps: of training.
        seed: of the first parameters and the order.
        settings: further ones that the result depends on.
    """
    head = PartScores(1 + len(examples.parts))
    shape = maps[0].features.shape[1:3]

    def loss(params: Any, fixed: None, features: list[FeatureMap], boxes: jax.Array) -> tuple[jax.Array, Tally]:
        scores = head.apply(params, features)
        targets = jax.vmap(functools.partial(maskcnn.part_targets, shape=shape, stride=STRIDE))(boxes)
        valid = valid_cells(scores.size, shape)
        each = jnp.where(valid, optax.softmax_cross_entropy(scores.features, targets), 0)
        right = valid & (scores.features.argmax(-1) == targets.argmax(-1))
        total = valid.sum()
        return each.sum() / total, Tally(each.sum(), right.sum(), total)

    def draw(number: int) -> tuple[list[FeatureMap], np.ndarray]:
        some = shuffled_batch(numbers, _BATCH, number, seed=seed)
        boxes = (examples.boxes[some] * scales[some, None, None]).astype(np.float32)
        return batch_of(maps, some), boxes

    params = jax.jit(head.init)(jax.random.key(seed), batch_of(maps, numbers[:1]))
    with Checkpoints(folder) as checkpoints:
        loop = head_loop(
            params,
            loss,
            draw,
            steps=steps,
            every=_EVERY,
            checkpoints=checkpoints,
            settings={**settings, "steps": steps, "seed": seed, "parts": examples.parts},
            learning_rate=_RATE,
            cure="choose another --seed and another --out",
            weight_decay=_DECAY,
            purpose="learning the parts",
        )
        return loop.run()


def batch_of(maps: Sequence[FrozenMaps], numbers: np.ndarray) -> list[FeatureMap]:
    """Maps of some images, of each layer."""
    return [FeatureMap(jnp.asarray(one.features[numbers]), jnp.asarray(one.sizes[numbers])) for one in maps]


def predict_all(params: Any, parts: int, maps: Sequence[FrozenMaps], image_sizes: np.ndarray) -> Predicted:
    """Parts of all images whose maps are in files; rows of images without maps are of no use.

    Args:
        params: of ``PartScores``.
        parts: their number.
        maps: of the three layers, the finest first.
        image_sizes: int32 ``[n, 2]``, rows and columns of the original images.
    """
    found = []
    for _, some in chunks(np.arange(len(image_sizes)), _BATCH):
        found.append(jax.device_get(_predict(params, batch_of(maps, some), image_sizes[some], parts=parts)))
    return Predicted(*(np.concatenate(values)[: len(image_sizes)] for values in zip(*found, strict=True)))


@functools.partial(jax.jit, static_argnames="parts")
@standard_promotion()
def _predict(params: Any, features: list[FeatureMap], image_sizes: jax.Array, *, parts: int) -> Predicted:
    def one(scores: jax.Array, size: jax.Array, image_size: jax.Array) -> Predicted:
        shape = (_FINER * scores.shape[0], _FINER * scores.shape[1])
        found = maskcnn.part_boxes(enlarge(scores, size, shape, _FINER), image_size, size=_FINER * size)
        shares = jnp.where(valid_cells(size, scores.shape[:2])[..., None], jax.nn.softmax(scores), 0)
        return Predicted(shares, size, *found)

    scores = PartScores(1 + parts).apply(params, features)
    return jax.vmap(one)(scores.features, scores.size, image_sizes)
