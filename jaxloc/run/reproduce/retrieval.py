"""Tables of retrieval and of classification: describe images, search the gallery with the queries or fit an SVM."""

import math
from pathlib import Path

import jax
import numpy as np

from jaxloc import ranking
from jaxloc.data.datasets import open_dataset
from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.metrics import bootstrap_interval
from jaxloc.models import Weights
from jaxloc.options import (
    ClassifyOptions,
    DescribeOptions,
    FinetuneOptions,
    IndexOptions,
    NetworkOptions,
    ReproduceOptions,
    network_options,
)
from jaxloc.run.recognition import recognize_images
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.reproduce.vectors import Images, Vectors, describe
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.listing import Labelled, largest_box
from jaxloc.run.retrieval.protocols import evaluate_protocol
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


_DESCRIPTOR = "scda_flip+"


def measure_classification(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Accuracy on the test images."""
    shared = network_options(options)
    training = {name: shared[name] for name in ("weights", "dtype", "workers", "allow_download")}
    job = ClassifyOptions(
        tune="whole",
        training=FinetuneOptions(**training),
        describing=IndexOptions(descriptor=_DESCRIPTOR, weight=1.0, max_side=700, **shared),
        seed=options.seed,
    )
    roles: dict[str, list[Labelled]] = {"train": [], "test": []}
    for source in prepared.together().sources:
        image = prepared.images[source.name]
        role = "test" if QUERIES in image.splits else "train"
        if role == "test" or set(GALLERY[prepared.name]) & set(image.splits):
            roles[role].append(Labelled(source, image.category, image.splits))
    for role, some in roles.items():
        if not some:
            raise UsageError(f"{prepared.place}: no image is one to {role} with: get the whole data set")
    done = recognize_images(roles["train"], roles["test"], out / "classified", job)
    tested, right = done.classified.evaluation, np.zeros(done.test)
    right[: round(tested.accuracy * done.test)] = 100
    draw = options.samples and done.test
    interval = bootstrap_interval(right, seed=options.seed, samples=options.samples) if draw else None
    label = f"{DESCRIPTORS[_DESCRIPTOR].title} ({done.classified.classifier.weights.shape[1]:,})"
    paper = papers.SCDA_TABLE_5[prepared.name]
    row = Row(label, "accuracy, %", 100 * tested.accuracy, paper, done.test, interval, digits=1)
    notes = [
        f"{done.train:,} images are learnt from ({' and '.join(GALLERY[prepared.name])}), {done.test:,} tested on; "
        f"C is {done.classified.regularization:g}.",
        f"Averaged over classes, the accuracy is {100 * tested.mean_class_accuracy:.1f} %.",
    ]
    if done.skipped:
        name, reason = next(iter(done.skipped.items()))
        notes.append(f"{len(done.skipped)} images could not be used and count nowhere, such as {name} ({reason}).")
    return Measured([row], notes)


_NEIGHBORS = 50
"""Of a vector in the graph of diffusion, as in the paper."""


def measure_landmarks(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """MAP of each descriptor of the paper, by cosine and by diffusion."""
    if options.limit is not None:
        raise UsageError("the queries are judged among all images: leave --limit out")
    dataset, rows, notes = open_dataset(prepared.place), list[Row](), dict[str, None]()
    if not dataset.queries:
        raise UsageError(f"{prepared.place}: no judged queries here: `jaxloc datasets {prepared.name}` tells the file")
    for (descriptor, title), by_set in papers.DISCOVERY_TABLE_1.items():
        gallery, network = out / descriptor, network_options(options)
        index([prepared.place], gallery, IndexOptions(descriptor=descriptor, region_weights="equal", **network))
        for (measure, rank), paper in zip(_RANKINGS.items(), by_set[prepared.name], strict=True):
            found = evaluate_protocol(gallery, dataset, NetworkOptions(**network), rank=rank)
            scores = found.setups["all"]
            rows.append(Row(title, measure, scores.mean_average_precision, paper, scores.queries, digits=1))
            notes |= dict.fromkeys([*found.warnings, *(f"{name}: {why}" for name, why in found.skipped.items())])
    return Measured(rows, [*notes])


def _diffuse(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Rows of the gallery for each query, best first, ``[q, n]``."""
    graph = ranking.neighbor_graph(gallery, k=min(_NEIGHBORS, len(gallery) - 1))
    found = ranking.top_k(queries, gallery, k=len(gallery))
    return np.asarray(jax.device_get(ranking.diffuse(found, graph).found.indices))


_RANKINGS = {"mAP, %": None, "mAP after diffusion, %": _diffuse}
