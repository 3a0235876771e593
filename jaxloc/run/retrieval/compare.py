"""Compare every descriptor and whitening on one set of images in one pass: the paper's tables."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.options import DescribeOptions
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.feature_cache import FeatureCache, feature_batches
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.codebooks import CodebookFitter, needed_codebooks
from jaxloc.run.retrieval.describing import Described, Describer
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images, largest_box
from jaxloc.run.retrieval.scoring import Scored, score
from jaxloc.run.stream import open_stream
from jaxloc.whitenings import WhitenSpec

WHITENINGS = ("none", "pca-256:0", "svd-256:0", "pca-256", "svd-256", "svd-16", "svd-64:0.5")
"""Those of the paper's table 4, PCA+whitening, which it leaves out as much worse, and two for sets of a few
hundred images, which do not carry 256 whitened dimensions."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        descriptor: its name.
        whitening: as it is written on the command line.
        dimension: of the vectors compared; 0 if they could not be made.
        scored: the measures, or ``None``.
        reason: why there are no measures.
    """

    descriptor: str
    whitening: str
    dimension: int
    scored: Scored | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The table, and the number of images compared.

    Attributes:
        lines: in the order of the descriptors, then of the whitenings.
        queries: number of queries.
        gallery: number of images searched.
        leave_one_out: each image was a query against the rest.
        skipped: reasons by name.
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
    fitted on the
    gallery. Without queries of their own, each image in turn is a query against the rest.

    Args:
        paths: folders, images, or text files of paths: the gallery.
        options: options that vectors depend on.
        descriptors: names; by default all. Those that cannot be computed have a reason.
        whitenings: as ``--whiten`` takes them.
        labels: a COCO file of labels; by default an image's folder.
        queries: images that are queries and not searched.
        query_splits: images under ``paths`` that are queries and not searched, by their ``split`` in ``labels``.
        when_done: called with each finished row.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options = options or DescribeOptions()
    specs = {text: WhitenSpec.parse(text) for text in whitenings}
    for name in descriptors:
        if name not in DESCRIPTORS:
            raise UsageError(f"unknown descriptor {name!r}; choose among {', '.join(DESCRIPTORS)}")
    images = _choose(paths, labels, queries, query_splits)
    check_labels([one.image.label for one in images], "images")
    weights = load_weights(
        options, [options.layer], top=any(DESCRIPTORS[name].crop is not None for name in descriptors)
    )
    reasons = _impossible(weights, images)
    for name in descriptors:
        if name in reasons:
            raise UsageError(f"{name} cannot be made: {reasons[name]}")
    names = [name for name in descriptors or DESCRIPTORS if name not in reasons]
    describer = Describer(options, names, on_devices(weights, options))
    described = _describe([one.image for one in images], describer, names)
    reasons |= described.reasons
    read = [number for number in range(len(images)) if number not in described.skipped]
    asked = np.array([row for row, number in enumerate(read) if images[number].is_query], int)
    searched = np.array([row for row, number in enumerate(read) if not images[number].is_query], int)
    alone = not any(one.is_query for one in images)
    asked = searched if alone else asked
    if not len(asked) or not len(searched):
        raise UsageError(
            f"{len(asked)} readable queries and {len(searched)} readable images to search: give some of both"
        )
    kinds = np.array([images[number].image.label for number in read], object)
    lines = []
    for name in descriptors or DESCRIPTORS:
        for text, spec in specs.items():
            if name in reasons:
                line = Line(name, text, 0, None, reasons[name])
            else:
                line = _line(name, text, spec, described.vectors[name], kinds, searched, asked, alone)
            lines.append(line)
            if when_done is not None:
                when_done(line)
    skipped = {images[number].image.source.name: reason for number, reason in described.skipped.items()}
    return Comparison(lines, len(asked), len(searched), alone, skipped)


class _Chosen(NamedTuple):
    image: Labelled
    is_query: bool


def _choose(
    paths: Paths, labels: str | os.PathLike[str] | None, queries: Paths, query_splits: Sequence[str]
) -> list[_Chosen]:
    images = find_images(paths, labels=labels)
    asked: set[str] = set()
    if queries:
        asked |= {image.key for image in find_images(queries)}
        searched = {image.key for image in images}
        more = find_images([*paths, *queries], labels=labels)
        images = [image for image in more if image.key in asked | searched]
    if query_splits:
        asked |= {image.key for image in find_images(paths, labels=labels, splits=query_splits)}
    return [_Chosen(image, image.key in asked) for image in images]


def _impossible(weights: Weights, images: Sequence[_Chosen]) -> dict[str, str]:
    """Descriptors that cannot be made here, and why."""
    if not weights.backbone.has_head(weights.params):
        reason = "the weights hold convolutions only: convert a full network with `jaxloc weights convert`"
        return {name: reason for name, kind in DESCRIPTORS.items() if kind.crop}
    without = sum(not one.image.boxes for one in images)
    return {"fc8_truth": f"{without} images have no true box"} if without else {}


class _Vectors(NamedTuple):
    vectors: dict[str, np.ndarray]
    skipped: dict[int, str]
    reasons: dict[str, str]


def _describe(images: list[Labelled], describer: Describer, names: Sequence[str]) -> _Vectors:
    """Describe in one pass of the network; descriptors with a codebook follow from features kept on disk."""
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
                top = {describer.layer: features[0][describer.layer]}
                fitter.add(batch.indices, top[describer.layer])
                cache.put(batch, top)
        if needs and stream.sizes:
            try:
                codebooks = fitter.fit()
            except UsageError as error:
                reasons, needs = dict.fromkeys(needs, str(error)), {}
            for indices, original_sizes, maps in feature_batches(stream, describer, "encoding", cache) if needs else ():
                keep(indices, describer.describe_features(maps, None, original_sizes, list(needs), codebooks))
    vectors = {name: np.stack([some[number] for number in sorted(some)]) for name, some in found.items() if some}
    return _Vectors(vectors, dict(stream.skipped), reasons)


def _line(
    name: str,
    text: str,
    spec: WhitenSpec | None,
    vectors: np.ndarray,
    kinds: np.ndarray,
    searched: np.ndarray,
    asked: np.ndarray,
    alone: bool,
) -> Line:
    if spec is not None:
        try:
            fitted = whitening_store.fit(spec, lambda: iter([vectors[searched]]), kinds[searched])
        except UsageError as error:
            return Line(name, text, 0, None, str(error))
        vectors = whitening_store.apply(fitted, vectors)
    same = np.arange(len(searched)) if alone else None
    scored = score(vectors[asked], kinds[asked], vectors[searched], kinds[searched], same=same)
    return Line(name, text, vectors.shape[1], scored)


def to_plain(result: Comparison) -> dict[str, object]:
    """A comparison as plain values for JSON."""

    def line(one: Line) -> dict[str, object]:
        values = {"descriptor": one.descriptor, "whitening": one.whitening, "dimension": one.dimension}
        return values | ({"reason": one.reason} if one.scored is None else one.scored.mean.to_plain())

    return {
        "queries": result.queries,
        "gallery": result.gallery,
        "leave_one_out": result.leave_one_out,
        "lines": [line(one) for one in result.lines],
        "skipped": result.skipped,
    }
