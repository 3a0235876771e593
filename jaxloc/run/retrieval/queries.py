"""Query images, described as the gallery's images were."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxloc.descriptors import DESCRIPTORS
from jaxloc.errors import UsageError
from jaxloc.options import NetworkOptions, network_options
from jaxloc.report.search_records import Query
from jaxloc.run.engine import of_network
from jaxloc.run.retrieval import codebooks as codebook_files
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.stream import open_stream


class Asked(NamedTuple):
    """A readable query: its path, its vector before any whitening, float32 ``[d]``, and its record without results.

    ``regions`` are its regions' vectors, float32 ``[r, d]``, if the descriptor has some.
    """

    key: str
    vector: np.ndarray
    query: Query
    regions: np.ndarray | None = None


def describe_queries(
    gallery: Gallery, images: Sequence[Labelled], options: NetworkOptions, *, thumbnails: bool = False
) -> tuple[list[Asked], dict[str, str]]:
    """Describe images with a gallery's descriptor, options and codebooks, and keep ``thumbnails`` of them if asked.

    ``options`` are of weights and reading; those that vectors depend on are the gallery's, and so is the network if
    they leave it at the default.

    Returns:
        the readable ones in order, and why others were skipped, by name.
    """
    made = gallery.description
    name = made.descriptor
    describing = made.options(**network_options(of_network(options, made.architecture)))
    describer = Describer(describing, [name])
    given = describer.weights
    if made.weights_checksum != given.checksum:
        raise UsageError(
            f"{gallery.folder}: made with other weights ({made.architecture}, {made.weights_checksum[:12]}…; given "
            f"{given.backbone.name}, {given.checksum[:12]}…): pass those with --weights, or index again"
        )
    need = DESCRIPTORS[name].needed_codebook(describing)
    codebooks = codebook_files.of_gallery(gallery, need)
    sources = [image.source for image in images]
    limit = len(sources) if thumbnails else 0
    stream = open_stream(sources, describer, describing, name="queries", thumbnails=limit)
    asked: dict[int, Asked] = {}
    for batch in stream.batches("describing"):
        described = jax.device_get(describer.describe(batch, [name], codebooks))
        for place, number in enumerate(batch.indices.tolist()):
            if number < 0:
                continue
            rows, columns = described.sizes[place]
            height, width = stream.sizes[number]
            found = bool(described.found[place])
            x0, y0, x1, y1 = described.boxes[place].tolist()
            query = Query(
                name=sources[number].name,
                label=images[number].label,
                width=width,
                height=height,
                box=(x0, y0, x1, y1) if found else None,
                mask=described.masks[place, :rows, :columns],
                found=found,
                thumbnail=stream.thumbnails.get(number),
            )
            parts = described.regions.get(name)
            regions = None if parts is None else parts.vectors[place][parts.weights[place] > 0]
            asked[number] = Asked(images[number].key, described.vectors[name][place], query, regions)
    skipped = {sources[number].name: reason for number, reason in sorted(stream.skipped.items())}
    if not asked:
        raise UsageError("no query can be read: " + "; ".join(f"{query}: {why}" for query, why in skipped.items()))
    return [asked[number] for number in sorted(asked)], skipped
