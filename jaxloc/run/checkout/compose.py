"""Compose checkout images of product images: a labelled set for any detector, and a page to look at it."""

import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc._files import renamed, write_bytes, write_text
from jaxloc.data import Source, find_sets, read_image
from jaxloc.data.annotations import Annotated, Annotation, Annotations, Rle
from jaxloc.data.checkout import LEVELS, NoRoomError, board, read_product, simulate
from jaxloc.data.checkout import compose as compose_one
from jaxloc.data.checkout.rendering import to_jpeg
from jaxloc.data.datasets import is_spec
from jaxloc.errors import ImageError, UsageError
from jaxloc.options import ComposeOptions, ExportOptions, workers_of
from jaxloc.report.counted_page import Counted, CountedImage, Item, render_counted
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted, reasons
from jaxloc.run import outputs
from jaxloc.run.checkout.cutting import CUT_OUTS, CutOuts, cut_products
from jaxloc.run.checkpoint import check_same, describe_images
from jaxloc.run.export import Exported, export
from jaxloc.run.export_folder import check_replaceable
from jaxloc.run.plan import Images
from jaxloc.run.threaded import threaded
from jaxloc.run.thumbnails import read_thumbnails
from jaxloc.run.writing import disk_errors, locked

_QUALITIES = (60, 96)
"""Of simulated JPEGs; others have 95."""
_KEPT, _MANIFEST = 1000, "composition.json"
THUMBNAIL = 512
"""Side of the page's images, in pixels."""


@dataclasses.dataclass(frozen=True)
class ComposedSet:
    """A composed set: where it is, and the product images that could not be used.

    Attributes:
        items: number of items by level, then of images.
    """

    folder: Path
    exported: Exported
    kinds: int
    exemplars: int
    items: Mapping[str, tuple[int, int]]
    skipped: list[Skipped]


def compose(
    products: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: ComposeOptions | None = None,
    *,
    split: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> ComposedSet:
    """Compose checkout images of products, with boxes and masks of what is visible.

    Image ``n`` follows from the options and ``n`` alone. A killed call resumes when repeated and ends with the same
    images; one with more images adds to them.

    Args:
        products: a folder with a sub-folder of images for each kind of product, an archive, or a labelled data set.
        out: folder for ``dataset/``, ``report.html`` and ``work/``, which holds the products cut out.
        options: ``ComposeOptions()`` by default.
        split: shares of the set's splits by name, such as ``{"train": 0.8, "val": 0.2}``.
        overwrite: start over if ``out`` holds another composition.

    Raises:
        UsageError: there are too few kinds for a level, a kind has no image to cut out, the items find no room, or
            ``out`` holds a composition with other settings.
    """
    options = options or ComposeOptions()
    outputs.check_apart(products, out, "where it would become a product")
    folder = outputs.prepare(out)
    check_replaceable(folder / "dataset", overwrite=True)
    named = is_spec(os.fspath(products))
    work = folder / "work"
    if not named and Path(products).resolve().is_relative_to(work.resolve()):
        raise UsageError(f"{products}: lies inside {work}, which this composition replaces: choose another --out")
    sets = find_sets([products], per_folder=not named, per_label=named)
    most = max(LEVELS[level].kinds[0] for level in options.levels)
    if len(sets) < most:
        level = next(level for level in options.levels if LEVELS[level].kinds[0] == most)
        raise UsageError(
            f"{products}: {level} needs {most} kinds of product, and there are {len(sets)}: add folders, one for each "
            "kind, or choose another --level"
        )
    with locked(folder), disk_errors(folder, left="what was composed stays"):
        if not overwrite and not (work / _MANIFEST).exists():
            outputs.check_unused(folder)
        _check_work(work, sets, options, overwrite=overwrite)
        longest = round(2.4 * options.side * options.product_side)
        cut = cut_products(products, sets, work, options.cutting, longest=longest, per_label=named)
        images = _compose_all(work, cut, options)
        _write_page(folder, images, options, cut)
        annotations = Annotations({image.name: image for image in images}, categories=tuple(cut.files))
        chosen_export = ExportOptions(split=split or {}, origin=os.fspath(products), overwrite=True)
        exported = export(annotations, folder / "dataset", options.format, chosen_export)
    by_level: dict[str, tuple[int, int]] = {}
    for level in options.levels:
        some = [len(image.annotations) for image in images if image.level == level]
        by_level |= {level: (sum(some), len(some))} if some else {}
    return ComposedSet(folder, exported, len(cut.files), sum(map(len, cut.files.values())), by_level, cut.skipped)


def _check_work(work: Path, sets: Any, options: ComposeOptions, *, overwrite: bool) -> None:
    """Begin a composition, or resume one of the same settings and products."""
    manifest = work / _MANIFEST
    if work.exists() and not manifest.exists():
        raise UsageError(f"{work}: holds something else than a composition: move it away, or choose another --out")
    network = options.cutting.settings() | {"method": options.cutting.method, "weights": str(options.cutting.weights)}
    settings = options.settings() | {f"cutting: {name}": value for name, value in network.items()}
    identity = describe_images(Images(sets))
    if manifest.exists() and not overwrite:
        check_same(json.loads(manifest.read_bytes(), object_hook=renamed), settings, identity, work.parent)
        if (work / "pictures").exists():  # of an earlier version
            (work / "pictures").rename(work / "images")
        return
    shutil.rmtree(work, ignore_errors=True)
    write_text(manifest, json.dumps({"settings": settings, "images": identity}, indent=1) + "\n")


def _compose_all(work: Path, cut: CutOuts, options: ComposeOptions) -> list[Annotated]:
    """Compose the images that are not there yet; the annotations of all."""
    load = functools.lru_cache(_KEPT)(lambda file: read_product(work / CUT_OUTS / file))
    backgrounds = [image for path in options.backgrounds for image in find_sets([path])[0].sources]

    def make(number: int) -> Annotated:
        level = options.levels[number % len(options.levels)]
        name = f"{level}-{number + 1:06d}.jpg"
        path, notes = work / "images" / name, work / "images" / f"{name}.json"
        if not notes.exists():
            rng = np.random.default_rng([options.seed, number])
            canvas = _background(rng, backgrounds, options.side)
            simulated = options.render == "simulated"
            try:
                made = compose_one(
                    rng,
                    cut.files,
                    load,
                    LEVELS[level],
                    canvas,
                    product_side=options.product_side,
                    shadows=simulated,
                )
            except NoRoomError:
                raise UsageError(
                    f"the canvas is too small for {level}: its items find no room without hiding each other: lower "
                    f"--product-side (now {options.product_side:g} of the side)"
                ) from None
            pixels = simulate(rng, made.pixels) if simulated else made.pixels
            write_bytes(path, to_jpeg(pixels, int(rng.integers(*_QUALITIES)) if simulated else 95))
            write_text(notes, json.dumps([_plain(one) for one in made.objects]) + "\n")
        objects = tuple(_object(one, options.side) for one in json.loads(notes.read_bytes()))
        return Annotated(name, None, objects, width=options.side, height=options.side, path=path, level=level)

    with threaded() as threads:
        return list(threads("composing", make, range(options.images)))


def _background(rng: np.random.Generator, given: list[Source], side: int) -> np.ndarray:
    """A board, or the middle of a given image, turned by quarters."""
    if not given:
        return board(rng, side)
    source = given[int(rng.integers(len(given)))]
    try:
        image = Image.fromarray(read_image(source.path).pixels)
    except ImageError as error:
        raise UsageError(f"{source.path}: no background: {error}: leave it out of --background") from error
    least = min(image.size)
    left, top = (image.width - least) // 2, (image.height - least) // 2
    square = image.resize((side, side), Image.Resampling.LANCZOS, (left, top, left + least, top + least))
    return np.rot90(np.asarray(square), int(rng.integers(4))).copy()


def _plain(one: Annotation) -> dict[str, Any]:
    assert isinstance(one.mask, Rle)
    return {"category": one.category, "box": one.box, "counts": one.mask.counts.decode()}


def _object(one: Mapping[str, Any], side: int) -> Annotation:
    x0, y0, x1, y1 = one["box"]
    return Annotation(one["category"], (x0, y0, x1, y1), mask=Rle(side, side, one["counts"].encode()))


def _write_page(folder: Path, images: list[Annotated], options: ComposeOptions, cut: CutOuts) -> None:
    """A page of the first images, the least cluttered first."""
    order = list(LEVELS)
    shown = sorted(range(min(len(images), options.report_limit)), key=lambda n: order.index(str(images[n].level)))
    chosen = {number: path for number in shown if (path := images[number].path) is not None}
    workers = workers_of(options.cutting)
    thumbnails = read_thumbnails(chosen, workers=workers, shorter_side=THUMBNAIL, side=THUMBNAIL)
    all_images = [as_counted(image) for image in images]
    page = Counted("Composed checkout images", options.settings(), all_images, shown, thumbnails, cut.skipped)
    write_text(folder / "report.html", render_counted(page))


def as_counted(image: Annotated, *, scored: bool = False) -> CountedImage:
    """An image of known size as the page of counts shows it, with scores if they are predicted."""
    items = tuple(Item(one.category, one.box, one.score if scored else None) for one in image.annotations)
    return CountedImage(image.name, image.width or 0, image.height or 0, items, image.level)


def composed_text(done: ComposedSet, seconds: float) -> str:
    """What was composed, and where to look."""
    made, folder = done.exported, done.folder
    levels = [f"{level} {number:,} of {items / number:.1f} items" for level, (items, number) in done.items.items()]
    skipped = [(one.name, one.reason) for one in done.skipped]
    lines = [
        *reasons("Not used", skipped, len(skipped), str(folder / "work" / "cutouts.json")),
        f"{counted(made.images, 'image')} with {counted(made.objects, 'item')} of {counted(done.kinds, 'kind')}, from "
        f"{counted(done.exemplars, 'product')} cut out, in {seconds:.1f} s: {', '.join(levels)}.",
        f"The set is {made.folder} ({made.format}). Look at {folder / 'report.html'}, and at the products in "
        f"{folder / 'work' / CUT_OUTS}; delete bad ones and compose from that folder into another --out.",
    ]
    return "\n".join(lines)
