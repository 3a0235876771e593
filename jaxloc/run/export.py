"""Export: images and what is known of them, into the layout of another tool.

Every class of the source has its number, whether or not an object of it is left, so that no option changes a number.
"""

import collections
import dataclasses
import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from jaxloc import __version__
from jaxloc.data.annotations import Annotated, Annotations, Problem, problems, read
from jaxloc.data.annotations.checking import check_image
from jaxloc.errors import ImageError, UsageError
from jaxloc.report.exports import coco, crops, masks, parquet, tfds, voc, yolo
from jaxloc.report.exports.names import safe_name, safe_names
from jaxloc.report.exports.placement import Placement, unreadable, with_right_suffix
from jaxloc.report.exports.work import Work, each
from jaxloc.run.export_folder import check_replaceable, replacing, write_marker
from jaxloc.run.threaded import threaded
from jaxloc.run.writing import disk_errors, result_folder

Format = Literal["coco", "voc", "yolo", "tfds", "parquet", "masks", "crops"]
"""The layouts that there are."""

_FLAT = ("voc", "yolo")
_WITH_IMAGES = ("tfds", "crops")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How to export.

    Attributes:
        images: folder that the images' names are relative to; by default they are looked for as ``read`` does.
        placement: ``link`` (hard links, or copies where there are none), ``copy`` or ``none``.
        split: share of the images by split, such as ``{"train": 0.8, "val": 0.2}``, adding up to 1; empty keeps the
            splits that the annotations have. Whom an image is dealt to depends on its name and ``seed`` alone.
        seed: other seeds deal otherwise.
        min_score: leave out objects with a lower score.
        found_only: leave out images without objects.
        rename: new names of classes, by their old ones; two may get the same.
        overwrite: replace the files that an earlier export wrote to the folder, if it holds no others.
        segments: YOLO: outlines of masks instead of boxes.
        margin: crops: added on every side, as a share of the box's longer side.
        square: crops: as wide as high.
        origin: what ``export.json`` names as the source of annotations that were not read from a place.
    """

    images: str | os.PathLike[str] | None = None
    placement: Placement = "link"
    split: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0
    min_score: float | None = None
    found_only: bool = False
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overwrite: bool = False
    segments: bool = False
    margin: float = 0.0
    square: bool = False
    origin: str | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        format: how.
        images: their number.
        objects: their number.
        splits: images in each split; empty without splits.
        categories: the classes of the source, in the order of their numbers.
        left_out: what was left out as the options ask: how many, by what they are.
        problems: what was wrong, and mended or left out.
    """

    folder: Path
    format: Format
    images: int
    objects: int
    splits: dict[str, int]
    categories: list[str]
    left_out: dict[str, int]
    problems: list[Problem]


def export(
    source: str | os.PathLike[str] | Annotations,
    out: str | os.PathLike[str],
    format: Format,
    options: ExportOptions | None = None,
) -> Exported:
    """Write annotations and their images in the layout of another tool.

    Images that are missing, unreadable or of another size than their annotations say are left out and told of.
    Those that are stored turned (EXIF) are written again upright, for boxes are drawn on images as they are shown.

    Args:
        source: a job's folder, or anything else that ``jaxloc.data.annotations.read`` reads; or what it has read.
        out: the folder to make. One that exists has to be empty, unless ``overwrite`` is set and it is an export to
            which nothing was added, and in which nothing was changed.
        format: ``coco``, ``voc``, ``yolo``, ``tfds``, ``parquet``, ``masks`` or ``crops``.
        options: all others.

    Raises:
        UsageError: an option makes no sense, the source cannot be read, nothing is left to export, or the folder
            cannot be written.
    """
    options = options or ExportOptions()
    _check(format, options)
    folder = Path(os.path.abspath(result_folder(out)))
    check_replaceable(folder, overwrite=options.overwrite)
    found = source if isinstance(source, Annotations) else read(source, images=options.images)
    told = list(found.problems)
    known = {name for image in found.images.values() for name in _classes(image)}.union(found.categories)
    if unknown := sorted(options.rename.keys() - known):
        raise UsageError(f"there is no class {unknown[0]} to rename: there are {', '.join(sorted(known)) or 'none'}")
    with threaded() as work:
        wanted = _look(list(found.images.values()), format, options, told, work)
    chosen, left_out = _choose(wanted, options)
    images = _split(chosen, options)
    if not images:
        raise _nothing_left(source, told, left_out)
    _check_sources(folder, source, images)
    files = safe_names({image.name: wanted[image.name].file for image in images}, flat=format in _FLAT)
    ready = [dataclasses.replace(image, name=files[image.name]) for image in images]
    if _needs_masks(format, options):
        _check_masks(source, (one.image for one in wanted.values()), images, left_out)
    categories = sorted({options.rename.get(name, name) for name in known})
    with disk_errors(folder, left="nothing was exported"), replacing(folder) as staging:
        with threaded() as work:
            written = _write(format, staging, ready, categories, told, options, work)
        if not written:
            raise _nothing_left(source, told, left_out)
        splits = dict(sorted(collections.Counter(split for image in written for split in image.splits).items()))
        objects = sum(len(image.annotations) for image in written)
        made = Exported(folder, format, len(written), objects, splits, categories, left_out, told)
        write_marker(staging, _describe(made, source, options, files))
    return made


def _nothing_left(
    source: str | os.PathLike[str] | Annotations, told: Iterable[Problem], left_out: Mapping[str, int]
) -> UsageError:
    reasons = [*problems.summarize(told), *(f"{count} × {what}" for what, count in left_out.items())]
    cure = "; name the images' folder with --images" if any(one.kind == problems.MISSING for one in told) else ""
    return UsageError(
        f"{_named(source)}: nothing is left to export: {'; '.join(reasons) or 'there are no images'}{cure}"
    )


def _named(source: str | os.PathLike[str] | Annotations) -> str:
    return "the annotations" if isinstance(source, Annotations) else os.fspath(source)


def _check(format: str, options: ExportOptions) -> None:
    if format not in get_args(Format):
        raise UsageError(f"no format {format!r}: there are {', '.join(get_args(Format))}")
    if options.placement not in get_args(Placement):
        raise UsageError(f"images are put beside as {', '.join(get_args(Placement))}, not {options.placement!r}")
    if options.placement == "none" and format in _WITH_IMAGES:
        raise UsageError(f"{format} is made of images: leave --pictures none out, or choose another format")
    for name, share in options.split.items():
        if not 0 < share <= 1:
            raise UsageError(f"the share of split {name} must be above 0 and at most 1, not {share}")
        if not name or safe_name(name) != name:
            raise UsageError(f"a split's name becomes that of files: {name!r} cannot, use letters and digits")
    if options.split and not math.isclose(sum(options.split.values()), 1, abs_tol=1e-6):
        raise UsageError(f"the shares of the splits must add up to 1, not {sum(options.split.values()):g}")
    if not (math.isfinite(options.margin) and options.margin >= 0):
        raise UsageError(f"the margin must be 0 or more, not {options.margin}")
    if options.min_score is not None and math.isnan(options.min_score):
        raise UsageError("the lowest score must be a number")


def _needs_masks(format: Format, options: ExportOptions) -> bool:
    return format == "masks" or (format == "yolo" and options.segments)


def _check_masks(
    source: str | os.PathLike[str] | Annotations,
    images: Iterable[Annotated],
    chosen: Iterable[Annotated],
    left_out: Mapping[str, int],
) -> None:
    """See that what the options leave out did not have the only masks."""
    if not any(map(masks.has_mask, chosen)) and any(map(masks.has_mask, images)):
        reasons = "; ".join(f"{count} × {what}" for what, count in left_out.items())
        raise UsageError(f"{_named(source)}: what is left out had all the masks: {reasons}: leave out less")


def _check_sources(folder: Path, source: str | os.PathLike[str] | Annotations, images: Iterable[Annotated]) -> None:
    """See that replacing the folder would not delete what is exported, nor the other way round."""
    own = [] if isinstance(source, Annotations) else [Path(source)]
    used = [*own, *(image.path for image in images if isinstance(image.path, Path))]
    parents = {path.parent for path in used} | set(own)
    inside = folder.resolve()
    for parent in parents:
        if inside in (parent.resolve(), *parent.resolve().parents):
            raise UsageError(f"{folder}: holds what is exported ({parent}): choose another folder with --out")


class _Wanted(NamedTuple):
    """An image that can be exported: with its size, and the file it should be, whose extension says what is in it."""

    image: Annotated
    file: str


def _look(
    images: Sequence[Annotated], format: Format, options: ExportOptions, told: list[Problem], work: Work
) -> dict[str, _Wanted]:
    """The images that can be exported, by name."""
    placed = options.placement != "none"

    def look(image: Annotated, own: list[Problem]) -> _Wanted | None:
        known: Annotated | None = image
        if placed or (image.width is None and image.path is not None):
            known = check_image(image, own)
        elif image.width is None and format != "coco":
            own.append(Problem(problems.NO_SIZE, image.name, f"{format} needs the image's size; left out"))
            return None
        try:
            return None if known is None else _Wanted(known, with_right_suffix(known) if placed else known.name)
        except ImageError as error:
            own.append(unreadable(image, error))
            return None

    opened = placed or any(image.width is None for image in images)
    found = each(work, "checking", look, images, told, threads=opened)
    wanted = {image.name: one for image, one in found if one is not None}
    if placed:  # their sizes are known now
        told[:] = [problem for problem in told if problem.kind != problems.NO_SIZE]
    return wanted


def _choose(wanted: Mapping[str, _Wanted], options: ExportOptions) -> tuple[list[Annotated], dict[str, int]]:
    left_out: collections.Counter[str] = collections.Counter()
    chosen = []
    for image, _ in wanted.values():
        objects = [
            dataclasses.replace(one, category=options.rename[one.category]) if one.category in options.rename else one
            for one in image.annotations
            if options.min_score is None or one.score >= options.min_score
        ]
        left_out["objects below the lowest score"] += len(image.annotations) - len(objects)
        if options.found_only and not objects:
            left_out["images without objects"] += 1
            continue
        own = None if image.category is None else options.rename.get(image.category, image.category)
        chosen.append(dataclasses.replace(image, category=own, annotations=tuple(objects)))
    return chosen, {what: count for what, count in left_out.items() if count}


def _classes(image: Annotated) -> set[str]:
    own = set() if image.category is None else {image.category}
    return own | {one.category for one in image.annotations}


def _split(images: Sequence[Annotated], options: ExportOptions) -> list[Annotated]:
    if options.split:
        return [dataclasses.replace(image, splits=(deal(image.name, options),)) for image in images]
    if not any(image.splits for image in images):
        return list(images)
    names = {image.name: tuple(map(safe_name, image.splits)) or ("unassigned",) for image in images}
    return [dataclasses.replace(image, splits=names[image.name]) for image in images]


def deal(name: str, options: ExportOptions) -> str:
    """The split of an image: of its name and the seed alone, so that it stays when others come or go."""
    digest = hashlib.sha256(f"{options.seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    *others, last = options.split
    for split in others:
        place -= options.split[split]
        if place < 0:
            return split
    return last


def _write(
    format: Format,
    folder: Path,
    images: Sequence[Annotated],
    categories: Sequence[str],
    told: list[Problem],
    options: ExportOptions,
    work: Work,
) -> list[Annotated]:
    if format == "coco":
        return coco.write(folder, images, categories, told, placement=options.placement, work=work)
    if format == "voc":
        return voc.write(folder, images, categories, told, placement=options.placement, work=work)
    if format == "yolo":
        return yolo.write(
            folder, images, categories, told, placement=options.placement, segments=options.segments, work=work
        )
    if format == "tfds":
        return tfds.write(folder, images, categories, told, work=work)
    if format == "parquet":
        return parquet.write(folder, images, categories, told, placement=options.placement, work=work)
    if format == "masks":
        return masks.write(folder, images, categories, told, placement=options.placement, work=work)
    return crops.write(folder, images, categories, told, margin=options.margin, square=options.square, work=work)


def _describe(
    made: Exported, source: str | os.PathLike[str] | Annotations, options: ExportOptions, files: Mapping[str, str]
) -> dict[str, Any]:
    chosen = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    origin = chosen.pop("origin")
    return {
        "made_by": f"jaxloc {__version__}",
        "source": origin if isinstance(source, Annotations) else os.fspath(source),
        "format": made.format,
        "options": chosen | {"images": None if options.images is None else os.fspath(options.images)},
        "pictures": made.images,
        "objects": made.objects,
        "splits": made.splits,
        "categories": made.categories,
        "left_out": made.left_out,
        "problems": [problem._asdict() for problem in made.problems],
        "renamed_files": {name: file for name, file in files.items() if name != file},
    }
