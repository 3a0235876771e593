"""Tables of retrieval: describe a data set's images, search the gallery with the queries, and measure."""

import math
from pathlib import Path

import numpy as np

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.metrics import bootstrap_interval
from jaxloc.models import Weights
from jaxloc.options import DescribeOptions, ReproduceOptions, network_options
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.reproduce.vectors import Images, Vectors, describe
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.listing import largest_box
from jaxloc.run.retrieval.scoring import score
from jaxloc.whitenings import WhitenSpec

_NUMBERS = {"scda-table2": papers.SCDA_TABLE_2, "scda-table3": papers.SCDA_TABLE_3, "scda-table4": papers.SCDA_TABLE_4}
GALLERY = {"cub200": ("train",), "dogs": ("train",), "flowers102": ("train", "val"), "pets": ("trainval",)}
QUERIES = "test"
_TOP = (1, 5)


def measure_retrieval(prepared: Prepared, out: Path, options: ReproduceOptions, weights: Weights) -> Measured:
    """Top-1 and top-5 mAP of each row of the paper: test images query the training images."""
    paper = _NUMBERS[prepared.table.name][prepared.name]
    job = DescribeOptions(max_side=700, seed=options.seed, **network_options(options))
    job = job.resolved(weights.backbone)
    images, labels = _images(prepared)
    has_top = weights.backbone.has_head(weights.params)
    names = list(dict.fromkeys(name for name, _ in paper if has_top or DESCRIPTORS[name].crop is None))
    vectors = describe(images, names, weights, job, out / "vectors", overwrite=options.overwrite)
    rows = []
    for (name, whitening), numbers in paper.items():
        spec, label = WhitenSpec.parse(whitening), DESCRIPTORS[name].title
        found, reason = np.zeros((0, len(_TOP))), ""
        if name in names:
            described, values = vectors.read(name)
            label += f" ({values.shape[1]:,})" if spec is None else f", {spec.title}"
            try:
                found = _precisions(values, spec, labels[described], images.gallery[described])
            except UsageError as error:
                reason = str(error)
        else:
            reason = "the weights hold convolutions only: install a full network with `jaxloc weights convert FILE`"
        for each, k, number in zip(found.T, _TOP, numbers, strict=False):
            draw = len(each) and options.samples
            interval = bootstrap_interval(each, seed=options.seed, samples=options.samples) if draw else None
            ours = float(each.mean()) if len(each) else math.nan
            rows.append(Row(label, f"top-{k} mAP, %", ours, number, len(each), interval, reason=reason))
    return Measured(rows, _notes(prepared, vectors, images))


def _precisions(values: np.ndarray, spec: WhitenSpec | None, kinds: np.ndarray, searched: np.ndarray) -> np.ndarray:
    """Top-1 and top-5 precision of each query, per cent, ``[q, ...]``; raises ``UsageError`` where there is none."""
    if spec is not None:
        values = whitening_store.apply(whitening_store.fit(spec, lambda: iter([values[searched]])), values)
    found = score(values[~searched], kinds[~searched], values[searched], kinds[searched]).each
    if not len(found):
        raise UsageError("no query has an image of its kind in the gallery")
    return 100 * found


def _images(prepared: Prepared) -> tuple[Images, np.ndarray]:
    """The images with their roles, and their classes."""
    sources = prepared.together().sources
    images = [prepared.images[source.name] for source in sources]
    wanted = GALLERY[prepared.name]
    gallery = np.array([not set(wanted).isdisjoint(image.splits) for image in images], bool)
    asked = np.array([QUERIES in image.splits for image in images], bool)
    for some, which in ((gallery, "+".join(wanted)), (asked, QUERIES)):
        if not some.any():
            raise UsageError(f"{prepared.place}: no image is in the split {which}: get the whole data set")
    boxes = [largest_box(one.box for one in image.annotations) for image in images]
    return Images(sources, gallery, boxes), np.array([image.category for image in images], object)


def _notes(prepared: Prepared, vectors: Vectors, images: Images) -> list[str]:
    skipped = vectors.skipped()
    searched = int(images.gallery.sum())
    notes = [
        f"{len(images.gallery) - searched:,} images ({QUERIES}) query {searched:,} "
        f"({' and '.join(GALLERY[prepared.name])}); the paper says only that the data set's splits are used."
    ]
    if skipped:
        number, reason = next(iter(skipped.items()))
        notes.append(
            f"{len(skipped)} images could not be used and count nowhere, such as {images.sources[number].name} "
            f"({reason})."
        )
    return notes
