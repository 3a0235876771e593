"""Cut the products of a collection out of their images, into a folder of RGBA images."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_masks

from jaxloc._files import atomic_path, write_text
from jaxloc.data import ImageSet, Source, read_image
from jaxloc.data.checkout import cut_out, mask_from_border, read_cut_out
from jaxloc.errors import ImageError, UsageError
from jaxloc.options import LocalizeOptions
from jaxloc.report.exports.names import safe_names, with_suffix
from jaxloc.report.records import Finding, Skipped
from jaxloc.run.jobs import colocalize, localize
from jaxloc.run.threaded import threaded

CUT_OUTS = "cutouts"
"""Folder of the products, a folder in it for each kind."""
_LARGEST = 800
"""Shorter side in pixels at which products are cut out, at most."""
_NOT_FOUND = "no product was found in it: cut it out by hand, as a PNG with transparency, or leave it out"


class CutOuts(NamedTuple):
    """Files of the products cut out, by kind, in order of name, and the images that gave none."""

    files: Mapping[str, list[str]]
    skipped: list[Skipped]


def cut_products(
    source: str | os.PathLike[str],
    sets: Iterable[ImageSet],
    folder: Path,
    options: LocalizeOptions,
    *,
    longest: int,
    per_label: bool = False,
) -> CutOuts:
    """Cut out each product once: by its transparency, a uniform border, or what its kind's images share.

    Of a kind with a single image the job looks at it alone, by SCDA.

    ``folder`` gets ``cutouts/`` and the job that finds products; an earlier call's are used again. Sides are shrunk to
    ``longest`` pixels.
    """
    listing = folder / "cutouts.json"
    if listing.exists():
        known = json.loads(listing.read_bytes())
        for file in (folder / CUT_OUTS / name for some in known["files"].values() for name in some):
            if not file.exists():
                raise UsageError(
                    f"{file}: was deleted, and images that were composed show it: compose from {folder / CUT_OUTS} "
                    "into another --out, or start over with --overwrite"
                )
        return CutOuts(known["files"], [Skipped(*one) for one in known["skipped"]])
    images = [(some.name, image) for some in sets for image in some.sources]
    reasons: dict[tuple[str, str], str] = {}
    waiting: dict[tuple[str, str], Source] = {}

    wanted = {f"{kind}\0{image.name}": f"{kind}/{image.name.removeprefix(f'{kind}/')}" for kind, image in images}
    names = {key: with_suffix(name, ".png") for key, name in safe_names(wanted, flat=False).items()}

    def cut(item: tuple[str, Source], found: Finding | None = None) -> str | None:
        """``None`` if cut out, else why not; empty where the border is not uniform and the object must be found."""
        kind, image = item
        try:
            pixels = read_image(image.path, shorter_side=_LARGEST).pixels
            product = read_cut_out(image.path)
            if product is None:
                mask = mask_from_border(pixels) if found is None else _mask(found, pixels)
                if mask is None:
                    return ""
                product = cut_out(pixels, mask)
        except ImageError as error:
            return str(error)
        product.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        with atomic_path(folder / CUT_OUTS / names[f"{kind}\0{image.name}"]) as temporary:
            product.save(temporary, "PNG")
        return None

    with threaded() as work:
        results = work("cutting out", cut, images)
        for (kind, image), why in zip(images, results, strict=True):
            if why:
                reasons[kind, image.name] = why
            elif why is not None:
                waiting[kind, image.name] = image
    reasons |= dict.fromkeys(waiting, _NOT_FOUND)
    sizes = Counter(kind for kind, _ in images)
    for job, alone in ((colocalize, False), (localize, True)):  # one image shares nothing
        keys = {key for key in waiting if (sizes[key[0]] == 1) == alone}
        if not keys:
            continue
        found = job(
            [source],
            folder / ("found-alone" if alone else "found"),
            options,
            per_folder=not per_label,
            per_label=per_label,
        )
        reasons |= {key: one.reason for one in found.skipped if (key := (one.category, one.name)) in keys}
        for one in found.light():
            if (key := (one.category, one.name)) in keys and one.mask is not None:
                del reasons[key]
                if why := cut((one.category, waiting[key]), one):
                    reasons[key] = why
    skipped = [
        Skipped(image.name, kind, reasons[kind, image.name]) for kind, image in images if (kind, image.name) in reasons
    ]
    files: dict[str, list[str]] = {kind: [] for kind, _ in images}
    for kind, image in images:
        if (kind, image.name) not in reasons:
            files[kind].append(names[f"{kind}\0{image.name}"])
    for kind, some in files.items():
        if not some:
            first = next(one for one in skipped if one.category == kind)
            raise UsageError(f"{kind}: no product could be cut out of its images; {first.name}: {first.reason}")
    write_text(
        listing, json.dumps({"files": files, "skipped": [[one.name, one.category, one.reason] for one in skipped]})
    )
    return CutOuts(files, skipped)


def _mask(found: Finding, pixels: np.ndarray) -> np.ndarray:
    mask = coco_masks.decode({"size": [found.height, found.width], "counts": found.mask})
    image = Image.fromarray(255 * mask).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    return np.asarray(image) > 127
