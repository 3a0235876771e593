"""Describe pictures and keep their vectors: build a gallery, extend it, go on after a kill."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jaxloc._files import write_text
from jaxloc.data import ImageSet, choose_buckets
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.run import outputs
from jaxloc.run.retrieval import codebooks as codebook_files
from jaxloc.run.retrieval import post
from jaxloc.run.retrieval.codebooks import CodebookFitter, choose_pictures
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.descriptors import KINDS, Codebooks, needed_codebook
from jaxloc.run.retrieval.gallery import Description, Gallery, Skip
from jaxloc.run.retrieval.options import IndexOptions, WhitenSpec
from jaxloc.run.retrieval.pictures import Labelled, Paths, find_pictures
from jaxloc.run.retrieval.tables import Row
from jaxloc.run.retrieval.vectors import SearchedVectors
from jaxloc.run.retrieval.writing import disk_errors, locked
from jaxloc.run.stream import SetStream, count_sizes, look_at_sizes

_JOURNAL = "job.json"


@dataclasses.dataclass(frozen=True)
class Indexed:
    """What ``index`` did.

    Attributes:
        folder: the gallery's.
        added: pictures described.
        present: pictures that were there already.
        total: vectors in the gallery now.
        dimension: of the vectors that are searched.
        not_found: pictures of the gallery in which nothing was selected: they rank last.
        skipped: pictures that could not be described.
        warnings: what the user should know.
    """

    folder: Path
    added: int
    present: int
    total: int
    dimension: int
    not_found: int
    skipped: list[Skip]
    warnings: list[str]


def index(
    paths: Paths,
    out: str | os.PathLike[str],
    options: IndexOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
) -> Indexed:
    """Describe pictures and add their vectors to a gallery, which is made if there is none.

    Pictures that are there already (same path, same size) are skipped; those that have changed are described again.
    A kill costs no more than the shard at work: the same call goes on from there, and ends with the same bytes.

    Args:
        paths: folders, pictures, or text files of paths.
        out: the gallery's folder.
        options: what to do; those that vectors depend on must be the gallery's. By default all are.
        labels: a COCO file of labels, for pictures that are there already too; by default the label of a new picture
            is the folder it lies in.
        splits: only pictures of these parts of the data set, as the COCO file tells.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    pictures = find_pictures(paths, labels=labels, splits=splits, exclude=[out])
    return index_pictures(pictures, out, options, relabel=labels is not None)


def index_pictures(
    pictures: list[Labelled],
    out: str | os.PathLike[str],
    options: IndexOptions | None = None,
    *,
    relabel: bool = False,
) -> Indexed:
    """``index`` for pictures that are listed already.

    Args:
        pictures: in order of name.
        out: the gallery's folder.
        options: as of ``index``.
        relabel: give pictures that are there already these labels too.

    Raises:
        JaxlocError: as ``index``.
    """
    options = options or default_options(out)
    folder = outputs.prepare(out)
    describer = Describer(options, [options.descriptor])
    description = describe_gallery(options, describer.weights)
    with locked(folder):
        if Gallery.is_one(folder):
            gallery = Gallery.open(folder)
            check_same(gallery, description)
        else:
            gallery = Gallery.create(folder, description)
        with disk_errors(folder):
            if relabel:
                gallery.relabel({picture.key: picture.label for picture in pictures})
            return _extend(gallery, describer, options, pictures)


def describe_gallery(options: IndexOptions, weights: Weights) -> Description:
    """What the vectors of a gallery with these options and weights are made with."""
    architecture = weights.network.architecture
    return Description(
        descriptor=options.descriptor,
        settings=options.fingerprint() | {"lower_layer": options.lower(architecture)},
        architecture=architecture,
        weights_checksum=weights.checksum,
        shard_size=options.shard_size,
        whiten=options.whiten,
    )


def default_options(out: str | os.PathLike[str]) -> IndexOptions:
    """The options of the gallery in a folder, or the defaults where there is none."""
    if not Gallery.is_one(out):
        return IndexOptions()
    made = Gallery.open(out).description
    try:
        return IndexOptions(
            descriptor=made.descriptor, whiten=made.whiten, shard_size=made.shard_size, **dict(made.settings)
        )
    except TypeError as error:
        raise UsageError(f"{out}: made with options this version of jaxloc does not know ({error})") from error


def remove(gallery: str | os.PathLike[str], pictures: Sequence[str]) -> int:
    """Take pictures out of a gallery, by name or path as they stand in its table; returns how many.

    Raises:
        UsageError: one of them is not in the gallery, or there is none.
    """
    opened = Gallery.open(gallery)
    with locked(opened.folder), disk_errors(opened.folder):
        known = [(row.name, row.path) for row in opened.whole_table().rows()]
        known += [(skip.name, skip.path) for skip in opened.skipped()]
        paths: set[str] = set()
        for picture in pictures:
            found = {path for name, path in known if picture in (name, path)}
            if not found:
                raise UsageError(f"{gallery}: holds no picture {picture}; its table has name and path of each")
            paths |= found
        number = opened.remove(paths)
        if opened.whitening_path.exists() and any(len(opened.table(shard)) for shard in opened.shards):
            _whiten(opened)
        return number


def check_same(gallery: Gallery, description: Description) -> None:
    """Raise ``UsageError`` with the reason unless vectors of this description belong into the gallery."""
    difference = gallery.description.difference(description)
    if difference:
        raise UsageError(
            f"{gallery.folder}: made with other settings than asked for ({difference}): use the gallery's, or "
            "make another gallery"
        )


def _extend(gallery: Gallery, describer: Describer, options: IndexOptions, pictures: list[Labelled]) -> Indexed:
    gallery.clean()
    if options.whiten != gallery.description.whiten:
        gallery.ask_for_whitening(options.whiten)
    elif options.refit:
        gallery.drop_whitening()
    pending, changed = _pending(gallery, pictures)
    if changed:
        gallery.remove(changed)
    if pending:
        _check_rank(gallery, len(pending))
        codebooks = _codebooks(gallery, describer, options, pictures)
        job = hashlib.sha256("\n".join(picture.key for picture in pictures).encode()).hexdigest()
        _write_shards(gallery, describer, options, pending, codebooks, job)
    (gallery.folder / _JOURNAL).unlink(missing_ok=True)
    table, skipped = gallery.whole_table(), gallery.skipped()
    if not len(table):
        reasons = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
        raise UsageError(f"no readable picture among {len(skipped)} ({reasons}{' …' if len(skipped) > 3 else ''})")
    dimension = _whiten(gallery)
    described = {picture.key for picture in pending} - {skip.path for skip in skipped}
    return Indexed(
        folder=gallery.folder,
        added=len(described),
        present=len(pictures) - len(pending),
        total=len(table),
        dimension=dimension,
        not_found=table.not_found if KINDS[options.descriptor].selects else 0,
        skipped=skipped,
        warnings=SearchedVectors(gallery).warnings,
    )


def _check_rank(gallery: Gallery, pending: int) -> None:
    """Refuse a whitening that no number of vectors as small as this can have, before hours of work."""
    spec = WhitenSpec.parse(gallery.description.whiten)
    number = pending + sum(map(gallery.length, gallery.shards))
    if spec is not None and not gallery.whitening_path.exists() and number < spec.dimension:
        raise UsageError(
            f"{spec} needs at least {spec.dimension:,} pictures, and there are {number:,}: ask for fewer dimensions, "
            f"such as --whiten {spec.kind}-{max(1, number // 4)}, or for --whiten none"
        )


def _pending(gallery: Gallery, pictures: list[Labelled]) -> tuple[list[Labelled], list[str]]:
    """Pictures to describe, in order, and the paths of those among them that the gallery knows with another size."""
    known = gallery.whole_table().sizes | {skip.path: skip.bytes for skip in gallery.skipped()}
    pending = [picture for picture in pictures if known.get(picture.key) != _size(picture)]
    return pending, [picture.key for picture in pending if picture.key in known]


def _size(picture: Labelled) -> int:
    """Bytes of the file; -1 if there is none."""
    try:
        return os.stat(picture.source.path).st_size
    except OSError:
        return -1


def _codebooks(gallery: Gallery, describer: Describer, options: IndexOptions, pictures: list[Labelled]) -> Codebooks:
    need = needed_codebook(options.descriptor, region_whiten=options.region_whiten)
    if need is None:
        return Codebooks()
    path = gallery.codebooks_path
    if not path.exists():
        if gallery.shards:
            raise UsageError(f"{path}: missing, and the vectors that are there were made with it: use a new folder")
        chosen = choose_pictures([picture.source.name for picture in pictures], seed=options.seed)
        some = [picture for picture in pictures if picture.source.name in chosen]
        fitter = CodebookFitter([need], options)
        stream = _open_stream(describer, options, some)
        for batch in stream.batches("fitting the codebook"):
            names = [some[number].source.name if number >= 0 else None for number in batch.indices]
            fitter.add(names, describer.features(batch)[options.layer])
        codebook_files.save(path, fitter.fit())
    return codebook_files.load(path)


def _open_stream(
    describer: Describer,
    options: IndexOptions,
    pictures: list[Labelled],
    journal: Path | None = None,
    job: str = "",
) -> SetStream:
    """The pictures as a stream. Padded shapes are chosen once for a job, and a job that goes on keeps them."""
    sources = [picture.source for picture in pictures]
    with tqdm(total=len(sources), desc="looking at sizes", unit="picture", disable=None, leave=False) as bar:
        sizes = look_at_sizes(sources, describer, options, bar)
    counts = count_sizes([sizes])
    if journal is not None:
        counts = _kept_counts(journal, job) or counts
        kept = [[*size, count] for size, count in sorted(counts.items())]
        write_text(journal, json.dumps({"job": job, "sizes": kept}))
    bucket = choose_buckets(counts, limit=describer.buckets, step=describer.step)
    return SetStream(ImageSet("pictures", sources), options, describer, sizes, bucket)


def _kept_counts(journal: Path, job: str) -> dict[tuple[int, int], int]:
    try:
        kept = json.loads(journal.read_text(encoding="utf-8"))
        sizes = kept["sizes"] if kept["job"] == job else []
        return {(int(rows), int(columns)): int(count) for rows, columns, count in sizes}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_shards(
    gallery: Gallery,
    describer: Describer,
    options: IndexOptions,
    pending: list[Labelled],
    codebooks: Codebooks,
    job: str,
) -> None:
    stream = _open_stream(describer, options, pending, gallery.folder / _JOURNAL, job)
    following = max(gallery.shards, default=-1) + 1
    size = gallery.description.shard_size
    with tqdm(total=len(pending), desc="indexing", unit="picture", disable=None, dynamic_ncols=True) as bar:
        for shard, first in enumerate(range(0, len(pending), size), following):
            numbers = range(first, min(first + size, len(pending)))
            vectors, rows = _describe(stream, describer, options, pending, codebooks, numbers, bar)
            skipped = [
                Skip(pending[number].key, pending[number].source.name, _size(pending[number]), stream.skipped[number])
                for number in numbers
                if number in stream.skipped
            ]
            gallery.write_shard(shard, vectors, rows, skipped)


def _describe(
    stream: SetStream,
    describer: Describer,
    options: IndexOptions,
    pending: list[Labelled],
    codebooks: Codebooks,
    numbers: range,
    bar: tqdm,
) -> tuple[np.ndarray, list[Row]]:
    found: dict[int, tuple[np.ndarray, bool, np.ndarray]] = {}
    name = options.descriptor
    for batch in stream.batches("indexing", only=numbers, bar=bar):
        result = describer.describe_one_kind(batch, name, codebooks)
        for position, number in enumerate(batch.indices.tolist()):
            if number >= 0:
                found[number] = result.vectors[name][position], bool(result.found[position]), result.boxes[position]
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


def _checksum(path: Path) -> str | None:
    """Of a file; ``None`` if it cannot be read any more."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _row(picture: Labelled, size: tuple[int, int], found: bool, box: np.ndarray, checksum: str) -> Row:
    rows, columns = size
    x0, y0, x1, y1 = map(float, box)
    return Row(
        path=picture.key,
        name=os.fsencode(picture.source.name).decode("utf-8", "backslashreplace"),
        label=picture.label,
        width=columns,
        height=rows,
        found=found,
        box=(x0, y0, x1, y1) if found else None,
        bytes=_size(picture),
        checksum=checksum,
    )


def _whiten(gallery: Gallery) -> int:
    """Fit the whitening if it is asked for and missing, apply it where it is missing; the searched dimension."""
    spec = WhitenSpec.parse(gallery.description.whiten)
    shards = gallery.shards
    if spec is None:
        return next(vectors.shape[1] for number in shards if len(vectors := gallery.vectors(number)))

    def chunks() -> Iterator[np.ndarray]:
        for number in shards:
            vectors = gallery.vectors(number)
            if len(vectors):
                yield vectors

    if not gallery.whitening_path.exists():
        labels = gallery.whole_table().labels if spec.kind == "supervised" else None
        post.save(gallery.whitening_path, post.fit(spec, chunks, labels), str(spec))
    fitted, _, checksum = post.load(gallery.whitening_path)
    for number in tqdm(shards, desc="whitening", unit="shard", disable=None, leave=False):
        if not gallery.has_whitened(number, checksum):
            vectors = gallery.vectors(number)
            whitened = post.apply(fitted, vectors) if len(vectors) else np.zeros((0, spec.dimension))
            gallery.write_whitened(number, whitened, checksum)
    return spec.dimension
