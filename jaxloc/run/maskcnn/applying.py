"""Name new images and find their parts with a trained Mask-CNN."""

import dataclasses
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.options import MaskCnnOptions
from jaxloc.report.records import Findings
from jaxloc.report.text import counted, reasons
from jaxloc.run import outputs
from jaxloc.run.engine import memory_errors, of_network
from jaxloc.run.maskcnn import model as files
from jaxloc.run.maskcnn.findings import findings_of
from jaxloc.run.maskcnn.parts import Predicted, predict_all
from jaxloc.run.maskcnn.streams import Network
from jaxloc.run.retrieval.listing import Paths, find_images
from jaxloc.run.writing import disk_errors

NAMED = "maskcnn.json"
"""Beside ``annotations.json`` and ``report.html``: the class of each image, and why images were skipped."""
_CHUNK = 256
"""Images whose maps are on disk at once."""


def apply_maskcnn(
    model: str | os.PathLike[str],
    paths: Paths,
    out: str | os.PathLike[str],
    options: MaskCnnOptions | None = None,
) -> Findings:
    """Find the parts of images and name them.

    Args:
        model: a file that ``train_maskcnn`` wrote.
        paths: folders, images, or text files of paths.
        out: folder for ``annotations.json``, ``maskcnn.json`` and ``report.html``.
        options: of weights and the page; those of training are the model's.
    """
    known = files.load(Path(model))
    options = of_network(dataclasses.replace(options or MaskCnnOptions(), side=known.side), known.architecture)
    sources = [image.source for image in find_images(paths, exclude=[out])]
    folder = outputs.prepare(out)
    outputs.check_unused(folder, NAMED)
    skipped: dict[str, str] = {}
    kept, seen = [], []
    with memory_errors():
        network = Network(options)
        if network.loaded.weights.checksum != known.weights_checksum:
            raise UsageError(f"{model}: made with other weights of {known.architecture}: pass those with --weights")
        for begin in range(0, len(sources), _CHUNK):
            some = sources[begin : begin + _CHUNK]
            with tempfile.TemporaryDirectory() as work:
                maps, sizes, unread = network.maps(some, work)
                skipped |= {some[number].name: reason for number, reason in unread.items()}
                predicted = predict_all(known.head, len(known.parts), maps, sizes)
                vectors = network.vectors(some, maps[-1], sizes, predicted, work)
            usable = [number for number in range(len(some)) if number not in unread]
            kept += [some[number] for number in usable]
            seen.append(tuple(values[usable] for values in (sizes, vectors, *predicted)))
    if not kept:
        raise UsageError(f"none of the {len(sources)} images can be read: {next(iter(skipped.values()))}")
    sizes, vectors, *parts = (np.concatenate(values) for values in zip(*seen, strict=True))
    findings = findings_of(known, kept, sizes, Predicted(*parts), vectors, skipped, options.settings())
    named = {
        "images": {one.name: {"class": one.category, "score": one.score} for one in findings.images},
        "skipped": skipped,
    }
    with disk_errors(folder, left="nothing was named"):
        write_text(folder / NAMED, json.dumps(named, indent=1) + "\n")  # first: it tells an earlier call's folder
    outputs.write(folder, findings, limit=options.report_limit)
    return findings


def applied_text(done: Findings, folder: Path) -> str:
    """How many images were named, where the results are, and why images were skipped."""
    skipped = [(one.name, one.reason) for one in done.skipped]
    return "\n\n".join(
        [
            f"{counted(done.number, 'image')} named, {len(skipped):,} skipped. Look at {folder / 'report.html'}",
            *reasons("Skipped", skipped, len(skipped), str(folder / NAMED)),
        ]
    )
