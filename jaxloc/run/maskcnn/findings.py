"""Named images with the boxes of their parts, as findings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxloc import __version__
from jaxloc.data import Source
from jaxloc.report.overlays import encode_heat
from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.run.maskcnn.model import MaskCnn
from jaxloc.run.maskcnn.parts import Predicted
from jaxloc.run.thumbnails import read_thumbnails

_MOST = 0.9999  # scores stay below 1


def findings_of(
    model: MaskCnn,
    sources: Sequence[Source],
    sizes: np.ndarray,
    predicted: Predicted,
    vectors: np.ndarray,
    skipped: Mapping[str, str],
    settings: Mapping[str, str],
) -> Findings:
    """Each image in the set of its most probable class, with the object's heat and the boxes of the parts found."""
    paths = {number: one.path for number, one in enumerate(sources)}
    thumbnails = read_thumbnails(paths, workers=os.cpu_count() or 1)
    probabilities = model.probabilities(vectors)
    images = []
    for number, source in enumerate(sources):
        rows, columns = predicted.sizes[number]
        best = int(probabilities[number].argmax())
        found = bool(predicted.found[number].any())
        parts = zip(predicted.boxes[number].tolist(), predicted.found[number].tolist(), strict=True)
        images.append(
            Finding(
                name=source.name,
                path=source.path if isinstance(source.path, Path) else str(source.path),
                category=model.classes[best],
                width=int(sizes[number, 1]),
                height=int(sizes[number, 0]),
                box=_box(predicted.objects[number].tolist()) if found else None,
                score=min(float(probabilities[number, best]), _MOST) if found else 0.0,
                found=found,
                heat=encode_heat(predicted.shares[number, :rows, :columns, 1:].sum(-1), 0.5),
                thumbnail=thumbnails.get(number),
                parts=tuple(_box(box) if there else None for box, there in parts),
            )
        )
    return Findings(
        title="Parts and classes",
        method="Mask-CNN",
        settings={**settings, "parts": ", ".join(model.parts), "weights": model.architecture, "jaxloc": __version__},
        images=sorted(images, key=lambda one: (one.category, one.name)),
        skipped=[Skipped(name, "", reason) for name, reason in skipped.items()],
        score_meaning="here the probability of the class, by the image and the crops of its parts",
        part_names=model.parts,
    )


def _box(edges: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1
