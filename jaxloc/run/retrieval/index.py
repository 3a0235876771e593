"""Index images: create a gallery, extend it, resume after a kill, on one host or several."""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc._files import write_bytes
from jaxloc.data.sources import bytes_of
from jaxloc.descriptors import DESCRIPTORS, Codebooks
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights
from jaxloc.models import Weights, projection
from jaxloc.options import IndexOptions, workers_of
from jaxloc.run import distributed, outputs
from jaxloc.run.engine import memory_errors, of_network
from jaxloc.run.progress import bar
from jaxloc.run.retrieval import codebooks as codebook_files
from jaxloc.run.retrieval import whitening_store
from jaxloc.run.retrieval.codebooks import choose_images, fit_codebooks
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.gallery import Description, Gallery, Skip
from jaxloc.run.retrieval.listing import Labelled, Paths, find_images
from jaxloc.run.retrieval.relocation import is_there, moved_images
from jaxloc.run.retrieval.shards import forget_job, plan_job, write_shards
from jaxloc.run.retrieval.vectors import SearchedVectors
from jaxloc.run.stream import open_stream
from jaxloc.run.writing import disk_errors, locked
from jaxloc.whitenings import WHITENINGS, WhitenSpec


@dataclasses.dataclass(frozen=True)
class Indexed:
    """Result of ``index``: the numbers of images added and present before, and of vectors in total.

    ``dimension`` is that of the vectors searched; ``not_found`` images have no object and rank last. ``moved`` images
    were present under a path where nothing is any more.
    """

    folder: Path
    added: int
    present: int
    total: int
    dimension: int
    not_found: int
    skipped: list[Skip]
    warnings: list[str]
    moved: int = 0


def index(
    paths: Paths,
    out: str | os.PathLike[str],
    options: IndexOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
) -> Indexed:
    """Describe images and add their vectors to a gallery, which is created if there is none.

    Images of the gallery (same path, same size in bytes) are skipped; changed images are described again, and so are
    all images of a Parquet, ArrayRecord or video file of another size. Moved images are known by their content, and
    the gallery takes their new paths and names.
    A kill loses at most one unfinished shard: the same call resumes and ends with the same bytes.

    Args:
        paths: folders, images, or text files of paths.
        out: the gallery's folder.
        options: by default the gallery's; those that vectors depend on must equal the gallery's.
        labels: a COCO file of labels, also for images of the gallery; by default the label of a new image is the
            name of its folder.
        splits: only images of these splits in the COCO file.
    """
    images = find_images(paths, labels=labels, splits=splits, exclude=[out])
    return index_images(images, out, options, relabel=labels is not None)


def index_images(
    images: list[Labelled],
    out: str | os.PathLike[str],
    options: IndexOptions | None = None,
    *,
    relabel: bool = False,
    loaded: DeviceWeights | None = None,
) -> Indexed:
    """``index`` for images that are listed already, in order of name.

    With ``relabel``, images of the gallery get these labels as well. ``loaded`` is the network if it is on the devices.
    """
    options, made = _with_projection(options or default_options(out))
    folder = outputs.prepare(out)
    describer = Describer(options, [options.descriptor], loaded)
    _check_projection(folder, options, made, describer.weights)
    description = describe_gallery(options, describer.weights)
    digest = hashlib.sha256("\n".join([str(description), *(image.key for image in images)]).encode()).digest()
    moved = 0
    with locked(folder) if distributed.is_first() else contextlib.nullcontext(), disk_errors(folder), memory_errors():
        if distributed.is_first() and not Gallery.is_one(folder):
            Gallery.create(folder, description)
        distributed.agree("images or options", digest)
        gallery = Gallery.open(folder)
        difference = gallery.description.difference(description)
        if difference:
            raise UsageError(
                f"{folder}: made with other settings than asked for ({difference}): use the gallery's, or make "
                "another gallery"
            )
        if distributed.is_first():
            moved = _relocate(gallery, images, workers_of(options))
            if relabel:
                gallery.change({image.key: {"label": image.label} for image in images})
            _make_ready(gallery, options, description.whiten, images)
        distributed.wait("the gallery")
        return dataclasses.replace(_extend(Gallery.open(folder), describer, images), moved=moved)


def describe_gallery(options: IndexOptions, weights: Weights) -> Description:
    """The description of a gallery with these options and weights."""
    options = options.resolved(weights.backbone)
    return Description(
        descriptor=options.descriptor,
        settings=options.fingerprint(),
        architecture=weights.backbone.name,
        weights_checksum=weights.checksum,
        shard_size=options.shard_size,
        whiten=options.whiten,
    )


def _with_projection(options: IndexOptions) -> tuple[IndexOptions, projection.Made | None]:
    """The options with what a projection was learnt on, and that itself, if they name one."""
    if options.projection is None:
        return options, None
    _, made = projection.load(options.projection)
    chosen = dataclasses.replace(options, descriptor="projection", layer=made.layer, max_side=made.max_side)
    return of_network(chosen, made.architecture), made


def _check_projection(folder: Path, options: IndexOptions, made: projection.Made | None, weights: Weights) -> None:
    """Raise ``UsageError`` if a projection is missing, another than the gallery's, or learnt on other weights."""
    path, given = Gallery(folder, describe_gallery(options, weights)).projection_path, options.projection
    if given is None or made is None:
        if options.descriptor == "projection" and not path.exists():
            raise UsageError(f"{folder}: the descriptor projection needs the file of one: pass --projection")
        return
    if made.weights_checksum != weights.checksum:
        raise UsageError(
            f"{given}: learnt on other weights ({made.architecture}, {made.weights_checksum[:12]}…) than these "
            f"({weights.backbone.name}, {weights.checksum[:12]}…): pass its own with --weights"
        )
    if path.exists() and path.read_bytes() != given.read_bytes():
        raise UsageError(f"{folder}: made with another projection than {given}: make another gallery")


def default_options(out: str | os.PathLike[str]) -> IndexOptions:
    """The options of the gallery in a folder, or the defaults where there is none."""
    return Gallery.open(out).description.options() if Gallery.is_one(out) else IndexOptions()


def remove(gallery: str | os.PathLike[str], images: Sequence[str]) -> int:
    """Remove images from a gallery, by name or path as in its table; returns their number."""
    opened = Gallery.open(gallery)
    with locked(opened.folder), disk_errors(opened.folder):
        known = [(row["name"], row["path"]) for row in opened.whole_table().select(["name", "path"]).to_pylist()]
        known += [(skip.name, skip.path) for skip in opened.skipped()]
        paths: set[str] = set()
        for image in images:
            found = {path for name, path in known if image in (name, path)}
            if not found:
                raise UsageError(f"{gallery}: holds no image {image}; its table has name and path of each")
            paths |= found
        number = opened.remove(paths)
        if opened.whitening_path.exists() and any(map(opened.length, opened.shards)):
            _whiten(opened)
        return number


def _relocate(gallery: Gallery, images: list[Labelled], workers: int) -> int:
    """Give moved images of the gallery their new paths and names; returns their number.

    A label that was the name of the old folder becomes that of the new one; others stay.
    """
    table = gallery.whole_table()
    moved = moved_images(table, images, workers=workers)
    changes = {}
    for path, label in zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True):
        if image := moved.get(path):
            kept = image.label if label == Path(path).parent.name else label
            changes[path] = {"path": image.key, "name": image.source.name, "label": kept}
    gallery.change(changes)
    names = {image.source.name for image in images}
    gallery.remove(skip.path for skip in gallery.skipped() if skip.name in names and not is_there(skip.path))
    return len(changes)


def _make_ready(gallery: Gallery, options: IndexOptions, whiten: str, images: list[Labelled]) -> None:
    """Prepare a gallery on the first host: keep its projection, drop half-written files and changed images."""
    if options.projection is not None:
        write_bytes(gallery.projection_path, options.projection.read_bytes())
    gallery.clean()
    if whiten != gallery.description.whiten:
        gallery.ask_for_whitening(whiten)
    elif options.refit:
        gallery.drop_whitening()
    pending, changed = _pending(gallery, images)
    if changed:
        gallery.remove(changed)
        forget_job(gallery)
    if pending:
        _check_rank(gallery, len(pending))


def _extend(gallery: Gallery, describer: Describer, images: list[Labelled]) -> Indexed:
    descriptor = DESCRIPTORS[gallery.description.descriptor]
    pending, _ = _pending(gallery, images)
    if pending:
        job = plan_job(gallery, describer, images)
        write_shards(gallery, describer, job, _codebooks(gallery, describer, images))
    distributed.wait("the shards")
    table, skipped = gallery.whole_table(), gallery.skipped()
    if not len(table):
        reasons = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
        raise UsageError(f"no readable image among {len(skipped)} ({reasons}{' …' if len(skipped) > 3 else ''})")
    if distributed.is_first():
        forget_job(gallery)
        _whiten(gallery)
    distributed.wait("the whitening")
    spec = WhitenSpec.parse(gallery.description.whiten)
    return Indexed(
        folder=gallery.folder,
        added=len({image.key for image in pending} - {skip.path for skip in skipped}),
        present=len(images) - len(pending),
        total=len(table),
        dimension=next(gallery.chunks()).shape[1] if spec is None else spec.dimension,
        not_found=table["found"].to_pylist().count(False) if descriptor.selects else 0,
        skipped=skipped,
        warnings=SearchedVectors(gallery).warnings,
    )


def _check_rank(gallery: Gallery, pending: int) -> None:
    """Refuse, before any work, a whitening of more dimensions than the number of vectors can determine."""
    spec = WhitenSpec.parse(gallery.description.whiten)
    number = pending + sum(map(gallery.length, gallery.shards))
    if spec is None or WHITENINGS[spec.kind].any_number or gallery.whitening_path.exists():
        return
    if number < spec.dimension:
        raise UsageError(
            f"{spec} needs at least {spec.dimension:,} images, and there are {number:,}: ask for fewer dimensions, "
            f"such as --whiten {spec.kind}-{max(1, number // 4)}, or for --whiten none"
        )


def _pending(gallery: Gallery, images: list[Labelled]) -> tuple[list[Labelled], list[str]]:
    """Images to describe, in order, and the paths of those that the gallery holds with another size."""
    table = gallery.whole_table()
    known = dict(zip(table["path"].to_pylist(), table["bytes"].to_pylist(), strict=True))
    known |= {skip.path: skip.bytes for skip in gallery.skipped()}
    pending = [image for image in images if known.get(image.key) != bytes_of(image.source.path)]
    return pending, [image.key for image in pending if image.key in known]


def _codebooks(gallery: Gallery, describer: Describer, images: list[Labelled]) -> Codebooks:
    options = describer.options
    need = DESCRIPTORS[gallery.description.descriptor].needed_codebook(options)
    if need is None:
        return Codebooks()
    path = gallery.projection_path if need == "projection" else gallery.codebooks_path
    if distributed.is_first() and not path.exists():
        if gallery.shards:
            raise UsageError(f"{path}: missing, and the gallery's vectors were made with it: use a new folder")
        chosen = choose_images([image.source.name for image in images], seed=options.seed)
        some = [image.source for image in images if image.source.name in chosen]
        fit_codebooks(path, [need], describer, open_stream(some, describer, options), "fitting the codebook")
    distributed.wait("the codebook")
    distributed.see(path)
    return codebook_files.of_gallery(gallery, need)


def _whiten(gallery: Gallery) -> None:
    """Fit the whitening if it is asked for and missing, and apply it where it is missing."""
    spec = WhitenSpec.parse(gallery.description.whiten)
    if spec is None:
        return
    if not gallery.whitening_path.exists():
        labels = np.array(gallery.whole_table()["label"].to_pylist(), object) if spec.kind == "supervised" else None
        whitening_store.save(gallery.whitening_path, whitening_store.fit(spec, gallery.chunks, labels), str(spec))
    fitted, checksum = whitening_store.load(gallery.whitening_path)
    shards = gallery.shards
    for number in bar(shards, purpose="whitening", total=len(shards), unit="shard"):
        if not gallery.has_whitened(number, checksum):
            vectors = gallery.vectors(number)
            whitened = whitening_store.apply(fitted, vectors) if len(vectors) else np.zeros((0, spec.dimension))
            gallery.write_whitened(number, whitened, checksum)
