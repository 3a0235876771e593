"""The streams of an image and of crops of its parts: vectors weighted by the predicted masks, and their classifier."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc._jit import standard_promotion
from jaxloc.crops import crop_resize
from jaxloc.data import Source, read_image, read_size
from jaxloc.data.cropped import crop_square
from jaxloc.errors import ImageError
from jaxloc.inference import Extractor
from jaxloc.models.training import Tally, cross_entropy
from jaxloc.options import MaskCnnOptions
from jaxloc.pooling import average_max_pool
from jaxloc.run.engine import open_network
from jaxloc.run.frozen import FrozenMaps, chunks, frozen_maps, maps_within
from jaxloc.run.loop import head_loop
from jaxloc.run.maskcnn.parts import Predicted, layers_of
from jaxloc.run.sampling import shuffled_batch
from jaxloc.run.training_checkpoints import Checkpoints

CROP = 224
"""Pixels of a side of the crops."""
_CHUNK, _BATCH = 16, 64
"""Images whose maps are in memory at once, and images of a training step."""
_RATE, _DECAY, _EVERY = 1e-2, 1e-4, 500


class Network:
    """The backbone at the layers that parts are scored from, and at the deepest of them for crops."""

    def __init__(self, options: MaskCnnOptions) -> None:
        self.loaded = open_network(options)
        self.layers = layers_of(self.loaded.weights.backbone)
        self._side = options.side
        self._whole = Extractor(self.loaded, self.layers[::-1])
        self._crops = Extractor(self.loaded, self.layers[-1:])

    def maps(
        self, sources: Sequence[Source], folder: str | os.PathLike[str]
    ) -> tuple[list[FrozenMaps], np.ndarray, dict[int, str]]:
        """The images' maps of each layer, their original rows and columns, and why images were skipped, by number."""
        maps, skipped = maps_within(sources, self._whole, self._side, folder)
        sizes = np.ones((len(sources), 2), np.int32)
        for number, source in enumerate(sources):
            if number not in skipped:
                sizes[number] = read_size(source.path) or read_image(source.path).pixels.shape[:2]
        return [maps[layer] for layer in self.layers], sizes, skipped

    def vectors(
        self,
        sources: Sequence[Source],
        deepest: FrozenMaps,
        sizes: np.ndarray,
        predicted: Predicted,
        folder: str | os.PathLike[str],
    ) -> np.ndarray:
        """Vectors of the image and of the crop of each part, float32 ``[n, 1 + k, 2 d]``."""
        shares, cells = predicted.shares, predicted.sizes
        block = shares.shape[1] // deepest.features.shape[1]
        rows, columns = deepest.features.shape[1:3]
        objects = shares[..., 1:].sum(-1)[:, : rows * block, : columns * block]
        weights = objects.reshape(len(objects), rows, block, columns, block).mean((2, 4))
        streams = [_pooled(deepest, weights)]
        for part in range(predicted.boxes.shape[1]):
            boxes = predicted.boxes[:, part]
            crops = self._crop_maps(sources, boxes, folder)
            inside = boxes * np.tile(cells / sizes, 2)[:, [1, 0, 3, 2]]
            height, width = crops.features.shape[1:3]
            own = _cropped(shares[..., 1 + part], inside.astype(np.float32), cells, shape=(height, width))
            streams.append(_pooled(crops, np.asarray(own)))
        return np.stack(streams, 1)

    def _crop_maps(self, sources: Sequence[Source], boxes: np.ndarray, folder: str | os.PathLike[str]) -> FrozenMaps:
        def read(number: int) -> np.ndarray | str:
            try:
                return crop_square(sources[number].path, tuple(boxes[number].tolist()), CROP)
            except ImageError as error:
                return str(error)

        names = [f"{one.path} {box.tolist()}" for one, box in zip(sources, boxes, strict=True)]
        maps, _ = frozen_maps(names, read, self._crops, CROP, folder)
        return maps[self.layers[-1]]


@jax.jit
@standard_promotion()
def _pool(features: jax.Array, weights: jax.Array, sizes: jax.Array) -> jax.Array:
    return jax.vmap(lambda x, weight, size: average_max_pool(x, weight, size=size))(features, weights, sizes)


def _pooled(maps: FrozenMaps, weights: np.ndarray) -> np.ndarray:
    """Vectors of all images, float32 ``[n, 2 d]``."""
    found = []
    for _, some in chunks(np.arange(len(weights)), _CHUNK):
        found.append(np.asarray(_pool(maps.features[some], weights[some], maps.sizes[some])))
    return np.concatenate(found)[: len(weights)]


@functools.partial(jax.jit, static_argnames="shape")
def _cropped(shares: jax.Array, boxes: jax.Array, sizes: jax.Array, *, shape: tuple[int, int]) -> jax.Array:
    """Each image's shares ``[n, h, w]`` inside its box, in cells, resized to ``shape``."""
    resize = jax.vmap(lambda one, box, size: crop_resize(one[..., None], box, shape, size=size)[..., 0])
    return resize(shares, boxes, sizes)


def learn_classifier(
    vectors: np.ndarray,
    targets: np.ndarray,
    folder: str | os.PathLike[str],
    *,
    classes: int,
    steps: int,
    seed: int,
    settings: dict[str, Any],
) -> dict[str, np.ndarray]:
    """A softmax classifier of vectors ``[n, d]``: ``kernel`` ``[d, classes]`` and ``bias``; it resumes as parts do."""
    fixed = jnp.asarray(vectors)

    def loss(learnt: Any, fixed: jax.Array, some: jax.Array, targets: jax.Array) -> tuple[jax.Array, Tally]:
        return cross_entropy(fixed[some] @ learnt["kernel"] + learnt["bias"], targets)

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        some = shuffled_batch(np.arange(len(vectors)), _BATCH, number, seed=seed)
        return some, targets[some]

    begin = {"kernel": np.zeros((vectors.shape[1], classes), np.float32), "bias": np.zeros(classes, np.float32)}
    with Checkpoints(folder) as checkpoints:
        loop = head_loop(
            begin,
            loss,
            draw,
            steps=steps,
            every=_EVERY,
            checkpoints=checkpoints,
            settings={**settings, "steps": steps, "seed": seed},
            fixed=fixed,
            learning_rate=_RATE,
            cure="choose another --seed and another --out",
            weight_decay=_DECAY,
            purpose="learning a classifier",
        )
        return {name: np.asarray(value) for name, value in loop.run().items()}
