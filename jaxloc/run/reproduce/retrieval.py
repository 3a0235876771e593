"""Tables of retrieval: describe a data set's images, search the gallery with the queries, and measure."""

import math
from pathlib import Path

import numpy as np

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.metrics import bootstrap_interval
from jaxloc.models import Weights
from jaxloc.options import DescribeOptions, ReproduceOptions
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.reproduce.tables import Table
from jaxloc.run.reproduce.vectors import Images, Vectors, describe
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.listing import largest_box
from jaxloc.run.retrieval.scoring import score
from jaxloc.whitenings import WhitenSpec

_NUMBERS = {"scda-table3": papers.SCDA_TABLE_3, "scda-table4": papers.SCDA_TABLE_4}
_GALLERY = {"cub200": ("train",), "dogs": ("train",), "flowers102": ("train", "val"), "pets": ("trainval",)}
_QUERIES = "test"
_TOP = (1, 5)


def measure_retrieval(
    table: Table, prepared: Prepared, out: Path, weights: Weights, options: ReproduceOptions
) -> Measured:
    """Top-1 and top-5 mAP of each row of the paper: test images query the training images."""
    paper = _NUMBERS[table.name][prepared.name]
    job = DescribeOptions(max_side=700, seed=options.seed, **options.reading())
    job = job.resolved(weights.backbone)
    images, labels = _images(prepared)
    has_top = weights.backbone.has_head(weights.params)
    names = list(dict.fromkeys(name for name, _ in paper if has_top or DESCRIPTORS[name].crop is None))
    vectors = describe(images, names, weights, job, out / "vectors", overwrite=options.overwrite)
    rows: list[Row] = []
    for (name, whitening), numbers in paper.items():
        if name in names:
            rows += _rows(name, whitening, numbers, vectors, images.gallery, labels, options)
        else:
            reason = "the weights hold convolutions only: install a full network with `jaxloc weights convert FILE`"
            rows += _missing(name, whitening, numbers, reason)
    return Measured(rows, _notes(prepared, vectors, images))


def _images(prepared: Prepared) -> tuple[Images, np.ndarray]:
    """The images with their roles, and their classes."""
    sources = prepared.together().sources
    images = [prepared.images[source.name] for source in sources]
    wanted = _GALLERY[prepared.name]
    gallery = np.array([not set(wanted).isdisjoint(image.splits) for image in images], bool)
    asked = np.array([_QUERIES in image.splits for image in images], bool)
    for some, which in ((gallery, "+".join(wanted)), (asked, _QUERIES)):
        if not some.any():
            raise UsageError(f"{prepared.place}: no image is in the split {which}: get the whole data set")
    boxes = [largest_box(one.box for one in image.annotations) for image in images]
    return Images(sources, gallery, boxes), np.array([image.category for image in images], object)


def _rows(
    name: str,
    whitening: str,
    numbers: tuple[float, float],
    vectors: Vectors,
    gallery: np.ndarray,
    labels: np.ndarray,
    options: ReproduceOptions,
) -> list[Row]:
    described, values = vectors.read(name)
    searched = gallery[described]
    spec = WhitenSpec.parse(whitening)
    if spec is not None:
        try:
            values = whitening_store.apply(whitening_store.fit(spec, lambda: iter([values[searched]])), values)
        except UsageError as error:
            return _missing(name, whitening, numbers, str(error))
    kinds = labels[described]
    precisions = 100 * score(values[~searched], kinds[~searched], values[searched], kinds[searched]).each
    if not len(precisions):
        return _missing(name, whitening, numbers, "no query has an image of its kind in the gallery")
    rows = []
    for each, k, paper in zip(precisions.T, _TOP, numbers, strict=False):
        interval = bootstrap_interval(each, seed=options.seed, samples=options.samples) if options.samples else None
        label = _label(name, whitening, values.shape[1])
        rows.append(Row(label, f"top-{k} mAP, %", float(each.mean()), paper, len(each), interval))
    return rows


def _missing(name: str, whitening: str, numbers: tuple[float, float], reason: str) -> list[Row]:
    label = _label(name, whitening, None)
    return [
        Row(label, f"top-{k} mAP, %", math.nan, paper, reason=reason) for k, paper in zip(_TOP, numbers, strict=True)
    ]


def _label(name: str, whitening: str, dimension: int | None) -> str:
    """As the papers' tables call it, with the dimension of what is compared."""
    spec = WhitenSpec.parse(whitening)
    if spec is not None:
        return f"{DESCRIPTORS[name].title}, {spec.title}"
    return DESCRIPTORS[name].title if dimension is None else f"{DESCRIPTORS[name].title} ({dimension:,})"


def _notes(prepared: Prepared, vectors: Vectors, images: Images) -> list[str]:
    skipped = vectors.skipped()
    searched = int(images.gallery.sum())
    notes = [
        f"{len(images.gallery) - searched:,} images ({_QUERIES}) query {searched:,} "
        f"({' and '.join(_GALLERY[prepared.name])}); the paper says only that the data set's splits are used."
    ]
    if skipped:
        number, reason = next(iter(skipped.items()))
        notes.append(
            f"{len(skipped)} images could not be used and count nowhere, such as {images.sources[number].name} "
            f"({reason})."
        )
    return notes
