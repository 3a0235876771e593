"""Compare every descriptor and whitening on one set of images in one pass: the paper's tables."""

import dataclasses
import itertools
import os
import tempfile
from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxloc.descriptors import COMPARED
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.options import DescribeOptions
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.feature_cache import FeatureCache, feature_batches
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.codebooks import CodebookFitter, needed_codebooks
from jaxloc.run.retrieval.describing import Described, Describer, unfit_for
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images, largest_box
from jaxloc.run.retrieval.scoring import Scored, score
from jaxloc.run.stream import open_stream
from jaxloc.whitenings import WhitenSpec

WHITENINGS = ("none", "pca-256:0", "svd-256:0", "pca-256", "svd-256", "svd-16", "svd-64:0.5")
"""Those of the paper's table 4, PCA+whitening, which it leaves out as much worse, and two for sets of a few
hundred images, which do not carry 256 whitened dimensions."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the table: the dimension of the vectors compared and the measures, or 0, ``None`` and the reason."""

    descriptor: str
    whitening: str
    dimension: int
    scored: Scored | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The table, the numbers of queries and images searched, and why images were skipped, by name.

    With ``leave_one_out`` each image was a query against the rest.
    """

    lines: list[Line]
    queries: int
    gallery: int
    leave_one_out: bool
    skipped: dict[str, str]


def compare(
    paths: Paths,
    options: DescribeOptions | None = None,
    *,
    descriptors: Sequence[str] = (),
    whitenings: Sequence[str] = WHITENINGS,
    labels: str | os.PathLike[str] | None = None,
    queries: Sequence[str | os.PathLike[str]] = (),
    query_splits: Sequence[str] = (),
    when_done: Callable[[Line], None] | None = None,
) -> Comparison:
    """Compare descriptors and whitenings on one set of labelled images.

    Each image passes through the network once (and so does its mirror image, if SCDA_flip+ is compared). Whitenings are
    fitted on the gallery. Without queries of their own, each image in turn is a query against the rest.

    Args:
        paths: folders, images, or text files of paths: the gallery.
        options: options that vectors depend on.
        descriptors: names; by default all. Those that cannot be computed have a reason.
        whitenings: as ``--whiten`` takes them.
        labels: a COCO file of labels; by default an image's folder.
        queries: images that are queries and not searched.
        query_splits: images under ``paths`` that are queries and not searched, by their ``split`` in ``labels``.
        when_done: called with each finished row.
    """
    options = options or DescribeOptions()
    specs = {text: WhitenSpec.parse(text) for text in whitenings}
    for name in descriptors:
        if name not in COMPARED:
            raise UsageError(f"unknown descriptor {name!r}; choose among {', '.join(COMPARED)}")
    images, asked = _choose(paths, labels, queries, query_splits)
    check_labels([image.label for image in images], "images")
    top = any(COMPARED[name].crop is not None for name in descriptors)
    weights = load_weights(options, [options.layer], top=top)
    reasons = _impossible(weights, images, options)
    for name in descriptors:
        if name in reasons:
            raise UsageError(f"{name} cannot be made: {reasons[name]}")
    names = [name for name in descriptors or COMPARED if name not in reasons]
    describer = Describer(options, names, on_devices(weights, options))
    described, skipped, more = _describe(images, describer, names)
    reasons |= more
    read = [number for number in range(len(images)) if number not in skipped]
    kinds = np.array([images[number].label for number in read], object)
    alone = not any(asked)
    searched = ~np.array([asked[number] for number in read], bool)
    asking = searched if alone else ~searched
    if not asking.any() or not searched.any():
        raise UsageError(
            f"{asking.sum()} readable queries and {searched.sum()} readable images to search: give some of both"
        )

    def measure(name: str, text: str) -> Line:
        if name in reasons:
            return Line(name, text, 0, None, reasons[name])
        vectors, spec = described[name], specs[text]
        if spec is not None:
            try:
                fitted = whitening_store.fit(spec, lambda: iter([vectors[searched]]), kinds[searched])
            except UsageError as error:
                return Line(name, text, 0, None, str(error))
            vectors = whitening_store.apply(fitted, vectors)
        same = np.arange(searched.sum()) if alone else None
        scored = score(vectors[asking], kinds[asking], vectors[searched], kinds[searched], same=same)
        return Line(name, text, vectors.shape[1], scored)

    lines = []
    for name, text in itertools.product(descriptors or COMPARED, specs):
        lines.append(measure(name, text))
        if when_done is not None:
            when_done(lines[-1])
    why = {images[number].source.name: reason for number, reason in skipped.items()}
    return Comparison(lines, int(asking.sum()), int(searched.sum()), alone, why)


def _choose(
    paths: Paths, labels: str | os.PathLike[str] | None, queries: Paths, query_splits: Sequence[str]
) -> tuple[list[Labelled], list[bool]]:
    """The images, and which of them are queries."""
    images = find_images(paths, labels=labels)
    asked: set[str] = set()
    if queries:
        asked |= {image.key for image in find_images(queries)}
        searched = {image.key for image in images}
        more = find_images([*paths, *queries], labels=labels)
        images = [image for image in more if image.key in asked | searched]
    if query_splits:
        asked |= {image.key for image in find_images(paths, labels=labels, splits=query_splits)}
    return images, [image.key in asked for image in images]


def _impossible(weights: Weights, images: Sequence[Labelled], options: DescribeOptions) -> dict[str, str]:
    """Descriptors that cannot be made here, and why."""
    unfit = unfit_for(weights.backbone, options.resolved(weights.backbone).layer or "", COMPARED)
    if not weights.backbone.has_head(weights.params):
        reason = "the weights hold convolutions only: convert a full network with `jaxloc weights convert`"
        return unfit | {name: reason for name, kind in COMPARED.items() if kind.crop}
    without = sum(not image.boxes for image in images)
    return unfit | ({"fc8_truth": f"{without} images have no true box"} if without else {})


def _describe(
    images: list[Labelled], describer: Describer, names: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[int, str], dict[str, str]]:
    """Vectors by descriptor, why images were skipped, and why descriptors could not be made.

    It is one pass of the network; descriptors with a codebook follow from features kept on disk.
    """
    options = describer.options
    needs = needed_codebooks(names, options)
    direct = [name for name in names if name not in needs]
    stream = open_stream([image.source for image in images], describer, options)
    boxes = [largest_box(image.boxes) for image in images]
    fitter = CodebookFitter(set(needs.values()), describer, stream.sources)
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in names}
    reasons: dict[str, str] = {}

    def keep(indices: np.ndarray, described: Described) -> None:
        for name, vectors in jax.device_get(described.vectors).items():
            found[name].update((number, vectors[place]) for place, number in enumerate(indices.tolist()) if number >= 0)

    with tempfile.TemporaryDirectory() as folder, FeatureCache(folder, options.feature_cache) as cache:
        for batch in stream.batches("describing"):
            features = describer.both_features(batch)
            keep(batch.indices, describer.describe(batch, direct, features=features, true_boxes=boxes))
            if needs:
                top = features[0][describer.layer]
                fitter.add(batch.indices, top)
                cache.put(batch, {describer.layer: top})
        if needs and stream.sizes:
            try:
                codebooks = fitter.fit()
            except UsageError as error:
                reasons, needs = dict.fromkeys(needs, str(error)), {}
            for indices, original_sizes, maps in feature_batches(stream, describer, "encoding", cache) if needs else ():
                keep(indices, describer.describe_features(maps, None, original_sizes, list(needs), codebooks))
    vectors = {name: np.stack([some[number] for number in sorted(some)]) for name, some in found.items() if some}
    return vectors, dict(stream.skipped), reasons


def to_plain(result: Comparison) -> dict[str, object]:
    """A comparison as plain values for JSON."""
    lines = [
        {"descriptor": line.descriptor, "whitening": line.whitening, "dimension": line.dimension}
        | ({"reason": line.reason} if line.scored is None else dataclasses.asdict(line.scored.mean))
        for line in result.lines
    ]
    return {
        "queries": result.queries,
        "gallery": result.gallery,
        "leave_one_out": result.leave_one_out,
        "lines": lines,
        "skipped": result.skipped,
    }
