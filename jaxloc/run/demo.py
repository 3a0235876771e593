"""The demo: compose a small set, co-localise it with the embedded weights, and score the result."""

import dataclasses
import json
import math
import os

from jaxloc._files import atomic_path, write_text
from jaxloc.data.demo import Composed, compose
from jaxloc.options import LocalizeOptions
from jaxloc.report.records import Findings
from jaxloc.run.evaluation import ClassScore, evaluate_files
from jaxloc.run.jobs import colocalize
from jaxloc.run.outputs import prepare

CATEGORY = "motorcycle"


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """Findings, their score against the boxes known from composing, and names of the images without the object."""

    findings: Findings
    score: ClassScore
    without: list[str]


def demo(out: str | os.PathLike[str], options: LocalizeOptions | None = None, *, seed: int = 0) -> DemoResult:
    """Compose photographs that share a motorcycle, localise it, and compare with its true boxes."""
    folder = prepare(out)
    images = compose(seed=seed)
    for image in images:
        with atomic_path(folder / "photos" / image.name) as temporary:
            image.image.save(temporary, format="JPEG", quality=92)
    truth = folder / "ground_truth.json"
    write_text(truth, json.dumps(_ground_truth(images), indent=1))
    options = dataclasses.replace(options or LocalizeOptions(), overlays=True)
    findings = colocalize([folder / "photos"], folder, options, name=CATEGORY, overwrite=True)
    score = evaluate_files(folder / "annotations.json", truth).classes[0]
    return DemoResult(findings, score, [image.name for image in images if image.box is None])


def _ground_truth(photos: list[Composed]) -> dict[str, object]:
    images: list[object] = []
    annotations: list[object] = []
    for number, image in enumerate(photos, 1):
        width, height = image.image.size
        images.append({"id": number, "file_name": image.name, "width": width, "height": height, "category_id": 1})
        if image.box is not None:
            x0, y0, x1, y1 = image.box
            numbers = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
            size = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            annotations.append(numbers | size | {"iscrowd": 0})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": CATEGORY}]}


def demo_text(result: DemoResult) -> str:
    """The score, and which images were called noisy."""
    score = result.score
    lines = [f"CorLoc against the known boxes: {score.corloc / 100:.3f} ({score.correct} of {score.images})"]
    if not math.isnan(score.noise_auc):
        lines.append(
            f"Object share, telling the {len(result.without)} images without the object apart: AUC "
            f"{score.noise_auc:.3f}"
        )
    found = list(result.findings.light())
    if any(item.noise_score is not None for item in found):
        noisy = [item.name for item in found if item.noisy]
        right = len(set(noisy) & set(result.without))
        lines.append(f"Called noisy: {len(noisy)} ({right} of them rightly)" + "".join(f"\n  {name}" for name in noisy))
    return "\n".join(lines)
