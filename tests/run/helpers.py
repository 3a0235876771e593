"""What the tests of jobs share: small photographs, what the papers say of them, and a disk that fills up."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from PIL import Image

from jaxloc import models
from jaxloc.data.demo import Composed, compose
from jaxloc.inference import parameters
from jaxloc.models import Weights, preparing
from jaxloc.run import model_file, steps
from jaxloc.run.loop import Loop
from jaxloc.run.retrieval import describing
from tests.compiled import RUNS_OFTEN
from tests.reference import scda_ddt as reference
from tests.run.retrieval import small

Box = tuple[float, float, float, float]
_SEED = 7
"""With these weights, DDT+ finds an object in some of the photographs only."""


class Expected(NamedTuple):
    """What the plain NumPy transcription makes of one image."""

    box: Box | None
    share: float
    score: float


@contextlib.contextmanager
def one_device() -> Iterator[None]:
    """Jobs that ask for no number of devices work on one of the virtual ones, for as long as this lasts.

    They label components on it unless they ask for the host: programs that call the host are compiled anew each time.
    """
    local_mesh = parameters.local_mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "local_mesh", lambda devices=None: local_mesh(devices or 1))
        for module in (steps, describing):
            patch.setattr(module, "component_backend", lambda asked, mesh: "host" if asked == "host" else "device")
        yield


@contextlib.contextmanager
def small_network(folder: Path) -> Iterator[None]:
    """Jobs take the weights in this folder for VGG-16's: those of a small network, which are written there.

    Models of it name it, so they are there under its own name as well.
    """
    for name in ("vgg16", small.BACKBONE.name):
        if not (folder / f"{name}.safetensors").exists():
            small.write_weights(folder / f"{name}.safetensors", seed=_SEED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXLOC_CACHE", str(folder))
        yield


@contextlib.contextmanager
def real_network(cache: Path) -> Iterator[None]:
    """Jobs compute with VGG-16, whose weights are in this cache; XLA's fusion emitters run it in half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXLOC_CACHE", str(cache))
        patch.setattr(preparing, "_without_fusion", lambda: RUNS_OFTEN)
        yield


@contextlib.contextmanager
def killed_after_periods(number: int) -> Iterator[None]:
    """Trainings raise ``InterruptedError`` once they have finished ``number`` periods between them."""
    run_period, made = Loop._run_period, []

    def killed(loop, shown):
        if len(made) == number:
            raise InterruptedError
        made.append(loop)
        run_period(loop, shown)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_run_period", killed)
        yield


def compile_full_batches(patch: pytest.MonkeyPatch, **rules: int) -> None:
    """Programs for full batches are compiled for however few images."""
    patch.setattr(parameters, "CPU", dataclasses.replace(parameters.CPU, least=1, **rules))


def write_photographs(folder: Path, *, with_object: int = 5, without: int = 1) -> dict[str, Box | None]:
    """Compose images of a motorcycle and shrink them to two shapes, so that few programs are compiled.

    Returns:
        the true boxes by name, in pixels.
    """
    folder.mkdir(parents=True)
    boxes: dict[str, Box | None] = {}
    for number, image in enumerate(compose(with_object=with_object, without=without)):
        small = shrunk(image, (128, 96) if number % 2 else (128, 128))
        small.image.save(folder / image.name, quality=95)
        boxes[image.name] = small.box
    return boxes


def shrunk(image: Composed, size: tuple[int, int]) -> Composed:
    """The image resized to columns and rows, and its box with it."""
    scale = np.tile(np.divide(size, image.image.size), 2)
    box = None if image.box is None else tuple(np.multiply(image.box, scale).tolist())
    return image._replace(image=image.image.resize(size), box=box)


def features(
    weights: Weights, paths: Sequence[Path], layers: Sequence[str], *, shorter_side: int | None = None, pad: int = 1
) -> dict[str, list[np.ndarray]]:
    """Features of images one by one, with nothing around them but what makes their sides multiples of ``pad``."""
    extract = jax.jit(models.extract_features, static_argnames=("backbone", "layers"))
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for path in paths:
        with Image.open(path) as image:
            scale = min(1, shorter_side / min(image.size)) if shorter_side else 1
            small = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
        pixels = np.asarray(small)
        rows, columns = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -rows % pad), (0, -columns % pad), (0, 0)))
        maps = extract(
            weights.params, padded, np.array([rows, columns]), backbone=weights.backbone, layers=tuple(layers)
        )
        for layer in layers:
            h, w = maps[layer].size
            found[layer].append(np.asarray(maps[layer].features[:h, :w]))
    return found


def expect_ddt(
    maps: Mapping[str, list[np.ndarray]], layers: Sequence[str], sizes: Sequence[tuple[int, int]]
) -> list[Expected]:
    """DDT of one layer, or DDT+ of two, in float64."""
    indicators = []
    for layer in layers:
        mean, components, values = reference.ddt_fit(maps[layer])
        indicators.append([reference.ddt_indicator(one, mean, components[0]) for one in maps[layer]])
        if sum((top * below).sum() for top, below in zip(indicators[0], indicators[-1], strict=True)) < 0:
            indicators[-1] = [-one for one in indicators[-1]]  # its sign is that of the layer above
        if layer == layers[0]:
            deviation = np.sqrt(values[0])
    expected = []
    for number, size in enumerate(sizes):
        top = indicators[0][number]
        mask = reference.largest(top > 0)
        for below in indicators[1:]:
            mask &= below[number] > 0
        strength = top[mask].mean() / deviation if mask.any() else 0
        box = tuple(reference.box(mask, size).tolist()) if mask.any() else None
        expected.append(Expected(box, float((top > 0).mean()), strength / (1 + strength)))
    return expected


def annotations(folder: Path) -> dict[str, Any]:
    """What a job wrote, as JSON."""
    return json.loads((folder / "annotations.json").read_text())


def boxes_of(folder: Path) -> dict[str, Box | None]:
    """Corners of the box of each image that a job found, by name."""
    coco = annotations(folder)
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    boxes: dict[str, Box | None] = dict.fromkeys(names.values())
    for entry in coco["annotations"]:
        x, y, width, height = entry["bbox"]
        boxes[names[entry["image_id"]]] = (x, y, x + width, y + height)
    return boxes


def noise_scores(folder: Path) -> dict[str, float]:
    """Share of positive cells of each image, by name."""
    return {image["file_name"]: image["noise_score"] for image in annotations(folder)["images"]}


def written(*, model: bool = True) -> set[str]:
    """Names of the files that a small job leaves, but for overlays."""
    names = {"annotations.json", "report.html", "parts/_run.json", "parts/found-00000.parquet"}
    return names | ({"model.safetensors"} if model else set())


def every_file(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones as well, with their content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Make every write beyond ``limit`` bytes of a file fail as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def check_boxes(folder, paths, expected):
    found = boxes_of(folder)
    assert list(found) == [path.name for path in paths]
    for path, one in zip(paths, expected, strict=True):
        assert found[path.name] == one.box, path.name


def plant(folder: Path, paths: list[Path]) -> Path:
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copy(path, folder)
    return folder


def plant_squares(folder: Path, paths: Sequence[Path], side: int) -> Path:
    """Squeeze images into squares, so that one program does for all."""
    folder.mkdir(parents=True)
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").resize((side, side)).save(folder / f"{path.stem}.png")
    return folder


def the_model(folder: Path):
    """DDT of the one set and the deepest layer that a job left behind."""
    loaded = model_file.load(folder / "model.safetensors")
    (fitted,) = loaded.sets.values()
    return fitted.models[loaded.layers[0]]
