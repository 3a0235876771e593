"""Galleries of made-up vectors: no network, no images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc.options import DescribeOptions
from jaxloc.run.retrieval.gallery import Description, Gallery


def write(folder: Path, shards: Sequence[np.ndarray], *, images: Path = Path("/no/such/folder")) -> Path:
    """A gallery of these vectors, shard by shard; image ``n`` is named ``n.png`` and lies in ``images``."""
    description = Description("scda", DescribeOptions().fingerprint(), "vgg16", "0" * 64, 128, "none")
    gallery = Gallery.create(folder, description)
    first = 0
    for number, vectors in enumerate(shards):
        rows = [
            {"path": str(images / f"{n}.png"), "name": f"{n}.png", "width": 9, "height": 9, "found": bool(vector.any())}
            | {"bytes": n, "checksum": ""}
            for n, vector in enumerate(vectors, first)
        ]
        gallery.write_shard(number, vectors, rows, [])
        first += len(vectors)
    return folder


def vectors(count: int, dimension: int, *, seed: int = 0, centres: int = 0) -> np.ndarray:
    """Random vectors, around so many centres if any are asked for; float32 ``[n, d]``."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(count, dimension))
    if centres:
        found = rng.normal(size=(centres, dimension))[rng.integers(centres, size=count)] + 0.4 * found
    return found.astype(np.float32)
