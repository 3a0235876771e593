"""The shards that an ``index`` adds to a gallery: planned once, so that a resumed job writes the same bytes."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloc._files import write_text
from jaxloc.data import Batch, Buckets, Record
from jaxloc.data.ahead import read_ahead
from jaxloc.data.remote import check_place
from jaxloc.data.sources import bytes_of
from jaxloc.descriptors import Codebooks
from jaxloc.options import IndexOptions
from jaxloc.run import distributed
from jaxloc.run.engine import compile_buckets
from jaxloc.run.passes import in_flight
from jaxloc.run.plan import buckets_from_json, buckets_to_json, plan_buckets
from jaxloc.run.progress import Progress, progress
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.gallery import Gallery, Skip
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.retrieval.tables import Row
from jaxloc.run.stream import Stream

_JOURNAL = "job.json"


@dataclasses.dataclass(frozen=True)
class Job:
    """The plan of a job: images, shard numbers and buckets.

    Attributes:
        images: those that the gallery did not hold when the job began.
        first: the number of the first shard.
        buckets: the padded shapes.
    """

    images: Sequence[Labelled]
    first: int
    buckets: Buckets

    @classmethod
    def begin(cls, gallery: Gallery, describer: Describer, options: IndexOptions, images: Sequence[Labelled]) -> "Job":
        """Plan a job, or read the plan of an unfinished one on the same images."""
        journal = gallery.folder / _JOURNAL
        digest = hashlib.sha256("\n".join(image.key for image in images).encode()).hexdigest()
        kept = _read(journal, digest)
        first = max(gallery.shards, default=-1) + 1 if kept is None else kept[0]
        before = [number for number in gallery.shards if number < first]
        known = {path for number in before for path in gallery.table(number).paths}
        known |= {skip.path for skip in gallery.skipped(before)}
        pending = [image for image in images if image.key not in known]
        buckets = plan_buckets([image.source for image in pending], describer, options)[0] if kept is None else kept[1]
        distributed.wait("the plan")
        if distributed.is_first():
            write_text(journal, json.dumps({"job": digest, "first": first} | buckets_to_json(buckets)))
        return cls(pending, first, buckets)


def forget_job(gallery: Gallery) -> None:
    """Drop the plan of a job that is finished or no longer valid."""
    (gallery.folder / _JOURNAL).unlink(missing_ok=True)


def _read(journal: Path, digest: str) -> tuple[int, Buckets] | None:
    try:
        kept = json.loads(journal.read_text(encoding="utf-8"))
        return (int(kept["first"]), buckets_from_json(kept)) if kept["job"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_shards(gallery: Gallery, describer: Describer, options: IndexOptions, job: Job, codebooks: Codebooks) -> None:
    """Describe the images of this host's shards, and write each missing shard."""
    pending = job.images
    compile_buckets(describer, job.buckets)
    stream = Stream([image.source for image in pending], options, describer, job.buckets)
    size = gallery.description.shard_size
    there = set(gallery.shards)
    shards = [
        (job.first + i, range(start, min(start + size, len(pending))))
        for i, start in enumerate(range(0, len(pending), size))
    ]
    mine = distributed.share(shards)
    total = sum(len(numbers) for _, numbers in mine)
    with progress("indexing", total) as shown:
        for shard, numbers in mine:
            if shard in there:
                shown.skip(len(numbers))
                continue
            vectors, rows = _describe(stream, describer, options, pending, codebooks, numbers, shown)
            skipped = [
                Skip(
                    pending[number].key,
                    pending[number].source.name,
                    bytes_of(pending[number].source.path),
                    stream.skipped[number],
                )
                for number in numbers
                if number in stream.skipped
            ]
            gallery.write_shard(shard, vectors, rows, skipped)
            stream.forget(numbers)


def _describe(
    stream: Stream,
    describer: Describer,
    options: IndexOptions,
    pending: Sequence[Labelled],
    codebooks: Codebooks,
    numbers: range,
    shown: Progress,
) -> tuple[np.ndarray, list[Row]]:
    found: dict[int, tuple[np.ndarray, bool, np.ndarray]] = {}
    name = options.descriptor

    def launch(batch: Batch) -> tuple[Any, ...]:
        described = describer.describe(batch, [name], codebooks)
        result = described.vectors[name], described.found, described.boxes
        shown.busy.sent(result)
        return batch.indices, result

    for indices, result in in_flight(stream.batches("indexing", only=numbers, bar=shown), launch):
        vectors, flags, boxes = jax.device_get(result)
        for position, number in enumerate(indices.tolist()):
            if number >= 0:
                found[number] = vectors[position], bool(flags[position]), boxes[position]
    paths = [pending[number].source.path for number in sorted(found)]
    made = read_ahead(_checksum, paths, workers=os.cpu_count() or 1, ahead=64)
    checksums = dict(zip(sorted(found), made, strict=True))
    order = [number for number, checksum in checksums.items() if checksum is not None]
    stream.skipped |= dict.fromkeys(found.keys() - set(order), "it vanished while it was described")
    rows = [
        _row(pending[number], stream.sizes[number], found[number][1], found[number][2], checksum)
        for number, checksum in checksums.items()
        if checksum is not None
    ]
    return np.stack([found[number][0] for number in order]) if order else np.zeros((0, 0)), rows


def _checksum(path: Path | Record) -> str | None:
    """Checksum of a file or record; ``None`` if it is unreadable."""
    try:
        if isinstance(path, Record):
            return hashlib.sha256(path.read()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        check_place(str(path), error)
        return None


def _row(image: Labelled, size: tuple[int, int], found: bool, box: np.ndarray, checksum: str) -> Row:
    rows, columns = size
    x0, y0, x1, y1 = map(float, box)
    return Row(
        path=image.key,
        name=image.source.name,
        label=image.label,
        width=columns,
        height=rows,
        found=found,
        box=(x0, y0, x1, y1) if found else None,
        bytes=bytes_of(image.source.path),
        checksum=checksum,
    )
