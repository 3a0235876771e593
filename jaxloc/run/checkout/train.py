"""Learn to find and count products in a labelled set: a small head on a network's frozen feature maps."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import _interrupts, centers
from jaxloc._files import write_text
from jaxloc.inference import Extractor
from jaxloc.metrics import Counting, best_count_threshold, counting, counts_above
from jaxloc.models import FeatureMap, center_head
from jaxloc.models.training import Tally, TrainState
from jaxloc.options import CountOptions, TrainCounterOptions
from jaxloc.report.text import counted, reasons
from jaxloc.run import outputs
from jaxloc.run.checkout import model
from jaxloc.run.checkout.items import LabelledSet
from jaxloc.run.checkout.model import LEAST_SCORE, Counter
from jaxloc.run.engine import memory_errors, open_network
from jaxloc.run.frozen import FrozenMaps, chunks, maps_within
from jaxloc.run.loop import Figures, head_loop
from jaxloc.run.sampling import shuffled_batch
from jaxloc.run.training_checkpoints import Checkpoints
from jaxloc.run.writing import disk_errors, locked

MODEL, LOG, _MAPS = "counter.safetensors", "training.json", "maps"
_HELD_OUT, _HEAD, _ORDER = 0, 1, 2
_FOR_SCALE = 64
"""Images that the scale of features is measured on, at most."""
_FINEST = 8
"""Pixels a cell of the layer that is read, at most, where none is named."""

Listed = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Image, class and score of each detection."""


@dataclasses.dataclass(frozen=True)
class TrainedCounter:
    """A finished training.

    Attributes:
        images: number of images that it learnt from.
        validation: how well those are counted at the threshold.
        history: figures after each period.
        best: number of the period whose state was kept.
        resumed: whether it resumed from a checkpoint.
        skipped: reasons, by name of the image.
    """

    file: Path
    counter: Counter
    images: int
    held_out: int
    validation: Counting
    history: list[Figures]
    best: int
    resumed: bool
    skipped: dict[str, str]


def train(
    source: str | os.PathLike[str], out: str | os.PathLike[str], options: TrainCounterOptions | None = None
) -> TrainedCounter:
    """Learn to find and count the classes of a labelled set; a stopped call resumes to the same bytes.

    Args:
        source: a set with boxes that ``jaxloc.data.annotations.read`` takes, such as what ``compose`` writes. Images of
            a split val are held out, and those of test not used; without splits a share is held out.
        out: folder for ``counter.safetensors``, ``training.json`` and ``checkpoints/``, and while it trains for
            feature maps: 6 MB an image of VGG-16 at 448 pixels.
        options: of the training; ``TrainCounterOptions()`` by default.

    Raises:
        UsageError: nothing can be learnt, the loss is not finite, or ``out`` holds a training with other settings.
    """
    options = options or TrainCounterOptions()
    labelled = LabelledSet(source)
    folder = outputs.prepare(out)
    with locked(folder), memory_errors(), Checkpoints(folder / "checkpoints") as checkpoints:
        engine = engine_of(options, options.layer)
        every, skipped = maps_within(labelled.sources, engine, options.side, folder / _MAPS)
        maps = every[engine.layers[0]]
        usable = np.array([number for number in range(len(labelled.images)) if number not in skipped], int)
        seen, held_out = labelled.divide(usable, options.validation_share, [options.seed, _HELD_OUT])
        scale = _scale(maps, seen[:_FOR_SCALE])
        truth = labelled.items.counts(held_out, len(labelled.classes))

        def draw(step: int) -> tuple[np.ndarray, ...]:
            numbers = shuffled_batch(seen, options.batch, step, seed=options.seed, stream=_ORDER)
            return maps.features[numbers], maps.sizes[numbers], *(values[numbers] for values in labelled.items)

        def judge(params: Any) -> tuple[float, Counting]:
            listed = _detect(params, scale, maps, held_out, options.batch)
            threshold = min(best_count_threshold(*listed, truth), 1.0)
            return threshold, counting(counts_above(*listed, threshold, truth.shape), truth)

        def validate(state: TrainState) -> Figures:
            _, measured = judge(state.trained)
            return {"quality": -measured.distance, "cAcc": measured.accuracy, "ACD": measured.distance}

        key = jax.random.fold_in(jax.random.key(options.seed), _HEAD)
        settings = options.fingerprint() | {
            "layer": engine.layers[0],
            "network": engine.weights.checksum,
            "classes": list(labelled.classes),
            "images": labelled.digest(),
        }
        loop = head_loop(
            center_head.init(key, engine.dimensions[0], len(labelled.classes)),
            _loss,
            draw,
            steps=options.steps,
            every=options.validation_steps,
            checkpoints=checkpoints,
            settings=settings,
            fixed=scale,
            validate=validate,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            purpose="learning to count",
        )
        params = jax.device_get(loop.run())
        threshold, measured = judge(params)
        counter = Counter(
            classes=labelled.classes,
            params=params,
            scale=scale,
            threshold=threshold,
            layer=engine.layers[0],
            side=options.side,
            network=engine.weights.backbone.name,
            checksum=engine.weights.checksum,
            settings=options.settings(),
        )
        with disk_errors(folder, left="it resumes from the last checkpoint"):
            model.save(folder / MODEL, counter)
            log = {"settings": settings, "best": loop.best, "validation": measured._asdict(), "history": loop.history}
            write_text(folder / LOG, json.dumps(log, indent=1) + "\n")
            shutil.rmtree(folder / _MAPS, ignore_errors=True)
    return TrainedCounter(
        file=folder / MODEL,
        counter=counter,
        images=len(seen),
        held_out=len(held_out),
        validation=measured,
        history=loop.history,
        best=loop.best,
        resumed=loop.resumed,
        skipped={labelled.images[number].name: reason for number, reason in sorted(skipped.items())},
    )


def engine_of(options: TrainCounterOptions | CountOptions, layer: str | None) -> Extractor:
    """The network at the layer that is read: by default the deepest whose cells are of 8 pixels or finer."""
    loaded = open_network(options, [layer])
    if layer is None:
        layers = loaded.weights.backbone.layers
        finest = min(one.stride for one in layers)
        layer = [one.name for one in layers if one.stride <= max(_FINEST, finest)][-1]
    return Extractor(loaded, [layer])


def _scale(maps: FrozenMaps, numbers: np.ndarray) -> np.ndarray:
    """Root mean square of each channel over the cells of some images, and no less than a hundredth of the greatest."""
    squares, cells = np.zeros(maps.features.shape[-1]), 0
    for number in numbers.tolist():
        squares += np.square(maps.features[number], dtype=np.float64).sum((0, 1))
        cells += int(maps.sizes[number].prod())
    scale = np.sqrt(squares / max(cells, 1))
    return np.maximum(scale, max(0.01 * scale.max(), 1e-6)).astype(np.float32)


def _loss(
    learnt: Any,
    scale: jax.Array,
    features: jax.Array,
    sizes: jax.Array,
    boxes: jax.Array,
    classes: jax.Array,
    valid: jax.Array,
) -> tuple[jax.Array, Tally]:
    """Mean loss for an item, and how many items' cells are given their class."""
    logits, sides = center_head.apply(learnt, features, scale)
    cells = boxes * jnp.tile(sizes[:, None, ::-1], 2).astype(jnp.float32)

    def make(boxes: jax.Array, classes: jax.Array, valid: jax.Array) -> centers.Targets:
        shape = (logits.shape[1], logits.shape[2])
        return centers.targets(boxes, classes, shape=shape, kinds=logits.shape[-1], valid=valid)

    truth = jax.vmap(make)(cells, classes, valid)
    each = jax.vmap(lambda x, s, t, size: centers.loss(x, s, t, size=size))(logits, sides, truth, sizes)
    objects = truth.there.sum((1, 2))
    right = truth.there & (logits.argmax(-1) == truth.heat.argmax(-1))
    return each.mean(), Tally((each * objects).sum(), right.sum(), objects.sum())


def _detect(params: Any, scale: np.ndarray, maps: FrozenMaps, numbers: np.ndarray, batch: int) -> Listed:
    """Everything found in some images; images are numbered by their place in ``numbers``."""
    found: list[Listed] = []
    for number, (some, rows) in enumerate(chunks(numbers, batch)):
        _interrupts.check()
        batch_maps = FeatureMap(jnp.asarray(maps.features[rows]), jnp.asarray(maps.sizes[rows]))
        seen = jax.device_get(model.detect(params, scale, batch_maps))
        images, places = np.nonzero(seen.scores[: len(some)] >= LEAST_SCORE)
        found.append((batch * number + images, seen.classes[images, places], seen.scores[images, places]))
    images, classes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return images, classes, scores


def training_text(done: TrainedCounter) -> str:
    """How the training went, and what to do with the counter."""
    measured, counter = done.validation, done.counter
    lines = [
        *reasons("Not used", done.skipped.items(), len(done.skipped)),
        *(f"Warning: {one}" for one in counter.warnings),
        f"Learnt {counted(len(counter.classes), 'kind')} from {counted(done.images, 'image')}; of "
        f"{done.held_out:,} held out, {100 * measured.accuracy:.1f} % are counted right (cAcc), with "
        f"{measured.distance:.2f} items too many or too few in each (ACD), at scores from {counter.threshold:.2f}.",
        f"Count with it: jaxloc checkout count {done.file} IMAGES --out counted",
    ]
    return "\n".join(lines)
