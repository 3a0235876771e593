"""Images of a gallery that were moved: found again by their content."""

import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from jaxloc.data.ahead import read_ahead
from jaxloc.data.sources import bytes_of
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.retrieval.shards import checksum_of


def moved_images(table: pa.Table, images: Sequence[Labelled], *, workers: int) -> dict[str, Labelled]:
    """Images that a gallery holds under a path where nothing is any more: by that path, the same bytes elsewhere."""
    known = set(table["path"].to_pylist())
    new = [(image, bytes_of(image.source.path)) for image in images if image.key not in known]
    rows = table.filter(pc.is_in(table["bytes"], pa.array({size for _, size in new}, pa.int64())))
    lost: dict[tuple[int, str], list[tuple[str, str]]] = {}
    for row in rows.select(["path", "name", "bytes", "checksum"]).to_pylist():
        if not is_there(row["path"]):
            lost.setdefault((row["bytes"], row["checksum"]), []).append((row["name"], row["path"]))
    sizes = {size for size, _ in lost}
    alike = [(image, size) for image, size in new if size in sizes]
    sums = read_ahead(checksum_of, [image.source.path for image, _ in alike], workers=workers, ahead=64)
    found = {}
    for (image, size), checksum in zip(alike, sums, strict=True):
        copies = lost.get((size, checksum or ""), [])
        if copies:
            chosen = next((copy for copy in copies if copy[0] == image.source.name), copies[0])
            copies.remove(chosen)
            found[chosen[1]] = image
    return found


def is_there(path: str) -> bool:
    """Whether a path's file, or the archive that holds its image, exists; what is no local path counts as there."""
    pieces = path.split("#")
    ends = range(len(pieces), 0, -1)
    return not os.path.isabs(path) or any(os.path.exists("#".join(pieces[:end])) for end in ends)
