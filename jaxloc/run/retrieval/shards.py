"""The shards that an ``index`` adds to a gallery: planned once, so that a resumed job writes the same bytes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxloc._files import checksum, write_text
from jaxloc.data import Batch, Buckets, Record
from jaxloc.data.ahead import read_ahead
from jaxloc.data.remote import check_place
from jaxloc.data.sources import bytes_of
from jaxloc.descriptors import Codebooks
from jaxloc.options import workers_of
from jaxloc.run import distributed
from jaxloc.run.engine import compile_buckets
from jaxloc.run.passes import in_flight
from jaxloc.run.plan import buckets_from_json, buckets_to_json, plan_buckets
from jaxloc.run.progress import Progress, progress
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.gallery import Gallery, RegionVectors, Skip
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.stream import Stream

_JOURNAL = "job.json"


class Job(NamedTuple):
    """The images that the gallery did not hold when the job began, its first shard's number, and the padded shapes."""

    images: Sequence[Labelled]
    first: int
    buckets: Buckets


def plan_job(gallery: Gallery, describer: Describer, images: Sequence[Labelled]) -> Job:
    """Plan a job, or read the plan of an unfinished one on the same images."""
    journal = gallery.folder / _JOURNAL
    digest = hashlib.sha256("\n".join(image.key for image in images).encode()).hexdigest()
    first, buckets = _read(journal, digest) or (max(gallery.shards, default=-1) + 1, None)
    before = [number for number in gallery.shards if number < first]
    known = {path for number in before for path in gallery.table(number)["path"].to_pylist()}
    known |= {skip.path for skip in gallery.skipped(before)}
    pending = [image for image in images if image.key not in known]
    if buckets is None:
        buckets = plan_buckets([image.source for image in pending], describer, describer.options)[0]
    distributed.wait("the plan")
    if distributed.is_first():
        write_text(journal, json.dumps({"job": digest, "first": first} | buckets_to_json(buckets)))
    return Job(pending, first, buckets)


def forget_job(gallery: Gallery) -> None:
    """Drop the plan of a job that is finished or no longer valid."""
    (gallery.folder / _JOURNAL).unlink(missing_ok=True)


def _read(journal: Path, digest: str) -> tuple[int, Buckets] | None:
    try:
        kept = json.loads(journal.read_text(encoding="utf-8"))
        return (int(kept["first"]), buckets_from_json(kept)) if kept["job"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_shards(gallery: Gallery, describer: Describer, job: Job, codebooks: Codebooks) -> None:
    """Describe the images of this host's shards, and write each missing shard."""
    compile_buckets(describer, job.buckets)
    stream = Stream([image.source for image in job.images], describer.options, describer, job.buckets)
    size, there, numbers = gallery.description.shard_size, set(gallery.shards), range(len(job.images))
    mine = distributed.share([(job.first + start // size, numbers[start : start + size]) for start in numbers[::size]])
    with progress("indexing", sum(len(chosen) for _, chosen in mine)) as shown:
        for shard, chosen in mine:
            if shard in there:
                shown.skip(len(chosen))
                continue
            vectors, rows, regions = _describe(
                stream, describer, gallery.description.descriptor, job, codebooks, chosen, shown
            )
            unread = [(job.images[number], stream.skipped[number]) for number in chosen if number in stream.skipped]
            skipped = [Skip(image.key, image.source.name, bytes_of(image.source.path), why) for image, why in unread]
            gallery.write_shard(shard, vectors, rows, skipped, regions)
            stream.forget(chosen)


def _describe(
    stream: Stream,
    describer: Describer,
    name: str,
    job: Job,
    codebooks: Codebooks,
    chosen: range,
    shown: Progress,
) -> tuple[np.ndarray, list[dict[str, Any]], RegionVectors | None]:
    """The vectors, rows and regions of the chosen images."""

    def launch(batch: Batch) -> tuple[Any, ...]:
        described = describer.describe(batch, [name], codebooks)
        result = described.vectors[name], described.found, described.boxes, described.regions.get(name)
        shown.busy.sent(result)
        return batch.indices, result

    described: dict[int, tuple[np.ndarray, bool, list[float]]] = {}
    regions: dict[int, np.ndarray] = {}
    for indices, result in in_flight(stream.batches("indexing", only=chosen, bar=shown), launch):
        vectors, flags, boxes, some = jax.device_get(result)
        for place, number in enumerate(indices.tolist()):
            if number >= 0:
                described[number] = vectors[place], bool(flags[place]), boxes[place].tolist()
                if some is not None:
                    regions[number] = some.vectors[place][some.weights[place] > 0]
    paths = [job.images[number].source.path for number in sorted(described)]
    made = read_ahead(checksum_of, paths, workers=workers_of(describer.options), ahead=64)
    kept, rows, inside = [], [], []
    for number, sha256 in zip(sorted(described), made, strict=True):
        if sha256 is None:
            stream.skipped[number] = "it vanished while it was described"
            continue
        image, (vector, found, box) = job.images[number], described[number]
        height, width = stream.sizes[number]
        kept.append(vector)
        inside += [regions[number]] if regions else []
        rows.append(
            {
                "path": image.key,
                "name": image.source.name,
                "label": image.label,
                "width": width,
                "height": height,
                "found": found,
                "box": box if found else None,
                "bytes": bytes_of(image.source.path),
                "checksum": sha256,
            }
        )
    parts = RegionVectors(np.concatenate(inside), np.array(list(map(len, inside)))) if inside else None
    return np.stack(kept) if kept else np.zeros((0, 0)), rows, parts


def checksum_of(path: Path | Record) -> str | None:
    """Checksum of a file or record; ``None`` if it is unreadable."""
    try:
        return hashlib.sha256(path.read()).hexdigest() if isinstance(path, Record) else checksum(path)
    except OSError as error:
        check_place(str(path), error)
        return None
