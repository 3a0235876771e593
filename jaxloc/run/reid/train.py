"""The job that learns a projection from images of identities and writes it for ``jaxloc index --projection``."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.inference import Extractor
from jaxloc.models import projection
from jaxloc.options import workers_of
from jaxloc.options.reid import ReidOptions
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons
from jaxloc.run import outputs
from jaxloc.run.engine import load_weights, memory_errors, on_devices
from jaxloc.run.frozen import FrozenMaps, frozen_maps, read_shrunk
from jaxloc.run.loop import Figures
from jaxloc.run.plan import read_sizes
from jaxloc.run.reid.fitting import fit
from jaxloc.run.reid.listing import IdentityImage, find_identities
from jaxloc.run.reid.sheet import write_sheet
from jaxloc.run.retrieval.listing import Paths
from jaxloc.run.training_checkpoints import Checkpoints
from jaxloc.run.writing import disk_errors, locked

PROJECTION, ATTENTION = "projection.safetensors", "attention.jpg"


@dataclasses.dataclass(frozen=True)
class Learnt:
    """A finished training.

    Attributes:
        images: number of images, those held out among them.
        identities: number of identities, likewise.
        kinds: number of kinds; 0 if unknown.
        history: figures after each validation, see ``Loop``.
        best: the one whose state was kept.
        steps: after which each of these validations was made.
        resumed: whether it resumed from a checkpoint.
        skipped: reasons, by name of the image.
        attention: a sheet of images with where they are looked at; ``None`` for methods without attention.
    """

    projection: Path
    method: str
    images: int
    identities: int
    kinds: int
    history: list[Figures]
    best: int
    steps: list[int]
    resumed: bool
    skipped: dict[str, str]
    attention: Path | None


def train(
    paths: Paths,
    out: str | os.PathLike[str],
    options: ReidOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
) -> Learnt:
    """Learn a projection that tells identities apart and write it; resume an interrupted training.

    Args:
        paths: as for ``find_identities``.
        out: folder for ``projection.safetensors``, ``training.json``, ``maps/`` and ``checkpoints/``.
        options: of the training; ``ReidOptions()`` by default.
        labels: a COCO file with each image's category.
        splits: only images that are in one of these splits of the COCO file.
    """
    options = options or ReidOptions()
    for path in paths:
        outputs.check_apart(path, out, "where its sheet would be taken for an image")
    folder = outputs.prepare(out)
    images = find_identities(paths, labels=labels, splits=splits, exclude=outputs.places(out))
    weights = load_weights(options, [options.layer])
    layer = options.layer or weights.backbone.defaults.retrieval
    options = dataclasses.replace(options, layer=layer)
    with locked(folder):
        with memory_errors():
            engine = Extractor(on_devices(weights, options), [layer])
            maps, skipped = maps_of(images, engine, options, folder / "maps")
        identities, names = numbered([one.identity for one in images])
        kinds = kinds_of(images)
        listed = [[one.source.name, one.identity, one.kind, one.source.file.stat().st_size] for one in images]
        settings = {
            **options.fingerprint(),
            "network": weights.checksum,
            "images": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        }
        with Checkpoints(folder / "checkpoints") as checkpoints:
            learnt, loop = fit(maps, identities, kinds, options, checkpoints=checkpoints, settings=settings)
        made = projection.Made(weights.backbone.name, weights.checksum, layer, options.max_side)
        with disk_errors(folder, left="it resumes from the last checkpoint"):
            projection.save(folder / PROJECTION, learnt, options.method, made)
            write_text(folder / "training.json", json.dumps({"settings": settings, "history": loop.history}, indent=1))
            drawn = write_sheet(folder / ATTENTION, learnt, maps, identities, reader(images, engine, options))
    return Learnt(
        folder / PROJECTION,
        options.method,
        len(images) - len(skipped),
        len(names),
        len(np.unique(kinds[kinds >= 0])),
        loop.history,
        loop.best,
        [min(number * options.validation_steps, options.steps) for number in range(1, len(loop.history) + 1)],
        loop.resumed,
        {images[number].source.name: why for number, why in sorted(skipped.items())},
        folder / ATTENTION if drawn else None,
    )


def maps_of(
    images: Sequence[IdentityImage], engine: Extractor, options: ReidOptions, folder: Path
) -> tuple[FrozenMaps, dict[int, str]]:
    """Feature maps of images in files, and why images were skipped, by number."""
    sources, workers = [one.source for one in images], workers_of(options)
    sizes = read_sizes(sources, max_side=options.max_side, workers=workers, shown=True)
    if not sizes.any():
        raise UsageError(f"none of the {len(images)} images can be read")
    rows, columns = (max(side, engine.minimum_side) for side in sizes.max(0).tolist())
    names = [f"{source.name} {source.file.stat().st_size} {options.max_side}" for source in sources]
    maps, skipped = frozen_maps(names, reader(images, engine, options), engine, (rows, columns), folder)
    return maps[engine.layers[0]], skipped


def reader(
    images: Sequence[IdentityImage], engine: Extractor, options: ReidOptions
) -> Callable[[int], np.ndarray | str]:
    """Read an image by its number, shrunk, or why it is skipped."""
    return lambda number: read_shrunk(images[number].source, options.max_side or None, engine.minimum_side)


def numbered(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The number of each name among all names in order, and those."""
    every, numbers = np.unique(np.array(names), return_inverse=True)
    return numbers, every.tolist()


def kinds_of(images: Sequence[IdentityImage]) -> np.ndarray:
    """The number of each image's kind, int ``[n]``; -1 where it is unknown."""
    names = sorted({one.kind for one in images if one.kind is not None})
    return np.array([-1 if one.kind is None else names.index(one.kind) for one in images])


def learnt_text(done: Learnt) -> str:
    """How a training went, and what to do with it."""
    rows = []
    for steps, figures in zip(done.steps, done.history, strict=True):
        row: list[object] = [
            steps,
            f"{figures['loss']:.4f}",
            f"{100 * figures['accuracy']:.1f}",
            "–",
            "–",
        ]
        if "quality" in figures:
            row[3:] = f"{100 * figures['quality']:.1f}", f"{100 * figures['validation_top1']:.1f}"
        rows.append(row)
    table = text_table(["step", "loss", "accuracy", "held-out mAP", "held-out R@1"], rows)
    kinds = f" of {counted(done.kinds, 'kind')}" if done.kinds else ""
    resumed = " (resumed from a checkpoint)" if done.resumed else ""
    look = "" if done.attention is None else f"\n\nLook at {done.attention}"
    left_out = "".join(f"\n\n{text}" for text in reasons("Skipped", done.skipped.items(), len(done.skipped)))
    return (
        f"{table}\nLearnt {done.method} on {counted(done.images, 'image')} of "
        f"{counted(done.identities, 'identity')}{kinds}; kept the state after step {done.steps[done.best]}{resumed}: "
        f"{done.projection}\nUse it: jaxloc index PHOTOS --out GALLERY --projection {done.projection}{left_out}{look}"
    )
