"""Export annotated images to the layout of another tool.

Classes are numbered by the source alone: a class keeps its number when options leave out all of its objects.
"""

import collections
import dataclasses
import hashlib
import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc import __version__
from jaxloc.data.annotations import Annotated, Annotations, Problem, problems, read
from jaxloc.data.annotations.reading import check_image
from jaxloc.errors import ImageError, UsageError
from jaxloc.options import ExportOptions
from jaxloc.report.exports.formats import FORMATS, Format
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.masks import has_mask
from jaxloc.report.exports.names import safe_name, safe_names
from jaxloc.report.exports.placement import unreadable, with_right_suffix
from jaxloc.run.export_folder import check_replaceable, replacing, write_marker
from jaxloc.run.threaded import threaded
from jaxloc.run.writing import disk_errors, result_folder

Source = str | os.PathLike[str] | Annotations
"""A place that annotations are read from, or annotations."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        splits: number of images by split; empty without splits.
        categories: classes of the source, in the order of their numbers.
        renumbered: number in the source and in the export of each class whose number had to change.
        left_out: number of images and objects left out by the options, by kind.
        problems: problems of images and annotations, each corrected or left out.
    """

    folder: Path
    format: str
    images: int
    objects: int
    splits: dict[str, int]
    categories: list[str]
    left_out: dict[str, int]
    problems: list[Problem]
    renumbered: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


def export(source: Source, out: str | os.PathLike[str], format: str, options: ExportOptions | None = None) -> Exported:
    """Write annotations and their images in the layout of another tool.

    Missing and unreadable images, and images whose size differs from their annotations, are left out and reported.
    Images that are stored rotated (EXIF) are rewritten upright, since boxes are relative to images as displayed.

    Args:
        source: a job's folder, anything else that ``jaxloc.data.annotations.read`` reads, or annotations.
        out: the folder to make. An existing one must be empty, or, with ``overwrite``, an unchanged earlier export.
        format: a name in ``jaxloc.report.exports.formats.FORMATS``.
        options: of the export.

    Raises:
        UsageError: an option is invalid, the source cannot be read, nothing is left to export, or the folder cannot
            be written.
    """
    options = options or ExportOptions()
    kind = _check(format, options)
    own = {name: getattr(options, name) for name in kind.options}
    folder = Path(os.path.abspath(result_folder(out)))
    check_replaceable(folder, overwrite=options.overwrite)
    found = source if isinstance(source, Annotations) else read(source, images=options.images)
    told = list(found.problems)
    known = {name for image in found.images.values() for name in _classes(image)}.union(found.categories)
    if unknown := sorted(options.rename.keys() - known):
        raise UsageError(f"there is no class {unknown[0]} to rename: there are {', '.join(sorted(known)) or 'none'}")
    with threaded() as work:
        wanted = _look(Job(folder, list(found.images.values()), (), told, options.placement, work), kind)
    chosen, left_out = _choose((image for image, _ in wanted.values()), options)
    images = _split(chosen, options)
    if not images:
        raise _nothing_left(source, told, left_out)
    _check_sources(folder, source, images)
    files = safe_names({image.name: wanted[image.name][1] for image in images}, flat=kind.flat)
    ready = [dataclasses.replace(image, name=files[image.name]) for image in images]
    had_masks = any(has_mask(image) for image, _ in wanted.values())
    if kind.needs_masks(**own) and had_masks and not any(map(has_mask, images)):
        reasons = "; ".join(_counted(left_out))
        raise UsageError(f"{_named(source)}: what is left out had all the masks: {reasons}: leave out less")
    own_numbers: dict[str, int] = {}
    for name, number in sorted(found.numbers.items(), key=lambda item: item[1]):
        own_numbers.setdefault(options.rename.get(name, name), number)
    names = {options.rename.get(name, name) for name in known}
    numbers = class_numbers(names, own_numbers, found.first_number, kind)
    renumbered = {
        name: (own_numbers[name], number)
        for name, number in numbers.items()
        if kind.first_number is not None and own_numbers.get(name, number) != number
    }
    with disk_errors(folder, left="nothing was exported"), replacing(folder) as staging:
        with threaded() as work:
            written = kind.write(Job(staging, ready, list(numbers), told, options.placement, work, numbers), **own)
        if not written:
            raise _nothing_left(source, told, left_out)
        splits = {split: len(some) for split, some in by_split(written).items() if split}
        objects = sum(len(image.annotations) for image in written)
        made = Exported(folder, format, len(written), objects, splits, list(numbers), left_out, told, renumbered)
        write_marker(staging, _describe(made, source, options, files))
    return made


def _nothing_left(source: Source, told: Iterable[Problem], left_out: Mapping[str, int]) -> UsageError:
    reasons = "; ".join([*problems.summarize(told), *_counted(left_out)]) or "there are no images"
    cure = "; name the images' folder with --images" if any(one.kind == problems.MISSING for one in told) else ""
    return UsageError(f"{_named(source)}: nothing is left to export: {reasons}{cure}")


def _counted(left_out: Mapping[str, int]) -> list[str]:
    return [f"{count} × {what}" for what, count in left_out.items()]


def _named(source: Source) -> str:
    return "the annotations" if isinstance(source, Annotations) else os.fspath(source)


def _check(name: str, options: ExportOptions) -> Format:
    """Return the format; raise ``UsageError`` if it is unknown or an option is invalid."""
    if name not in FORMATS:
        raise UsageError(f"no format {name!r}: there are {', '.join(FORMATS)}")
    if options.placement == "none" and FORMATS[name].needs_images:
        raise UsageError(f"{name} is made of images: leave --placement none out, or choose another format")
    for split in options.split:
        if not split or safe_name(split) != split:
            raise UsageError(f"a split's name becomes that of files: {split!r} cannot, use letters and digits")
    return FORMATS[name]


def _check_sources(folder: Path, source: Source, images: Iterable[Annotated]) -> None:
    """Raise ``UsageError`` if the folder holds what is exported, since replacing it would delete the source."""
    own = [] if isinstance(source, Annotations) else [Path(source)]
    used = [*own, *(image.path for image in images if isinstance(image.path, Path))]
    inside = folder.resolve()
    for parent in {path.parent for path in used} | set(own):
        if inside in (parent.resolve(), *parent.resolve().parents):
            raise UsageError(f"{folder}: holds what is exported ({parent}): choose another folder with --out")


def _look(job: Job, kind: Format) -> dict[str, tuple[Annotated, str]]:
    """The images that can be exported, of known size, and the names of their files, by the names of the images."""
    placed = job.placement != "none"

    def look(image: Annotated, own: list[Problem]) -> tuple[Annotated, str] | None:
        known: Annotated | None = image
        if placed or (image.width is None and image.path is not None):
            known = check_image(image, own)
        elif image.width is None and kind.needs_sizes:
            own.append(Problem(problems.NO_SIZE, image.name, f"{kind.name} needs the image's size; left out"))
            return None
        try:
            return (
                None if known is None else (known, with_right_suffix(known, jpeg=kind.jpeg) if placed else known.name)
            )
        except ImageError as error:
            own.append(unreadable(image, error))
            return None

    opened = placed or any(image.width is None for image in job.images)
    wanted = {image.name: one for image, one in job.each("checking", look, threads=opened) if one is not None}
    if placed:  # sizes are known now
        job.problems[:] = [problem for problem in job.problems if problem.kind != problems.NO_SIZE]
    return wanted


def _choose(images: Iterable[Annotated], options: ExportOptions) -> tuple[list[Annotated], dict[str, int]]:
    left_out: collections.Counter[str] = collections.Counter()
    chosen = []
    for image in images:
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
    """The split of an image, a function of its name and the seed: other images do not change it."""
    digest = hashlib.sha256(f"{options.seed}\0{name}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    *others, last = options.split
    for split in others:
        place -= options.split[split]
        if place < 0:
            return split
    return last


def _describe(made: Exported, source: Source, options: ExportOptions, files: Mapping[str, str]) -> dict[str, Any]:
    chosen = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    origin = chosen.pop("origin")
    return {
        "made_by": f"jaxloc {__version__}",
        "source": origin if isinstance(source, Annotations) else os.fspath(source),
        "format": made.format,
        "options": chosen | {"images": None if options.images is None else os.fspath(options.images)},
        "images": made.images,
        "objects": made.objects,
        "splits": made.splits,
        "categories": made.categories,
        "renumbered": made.renumbered,
        "left_out": made.left_out,
        "problems": [problem._asdict() for problem in made.problems],
        "renamed_files": {name: file for name, file in files.items() if name != file},
    }


def class_numbers(names: Iterable[str], source: Mapping[str, int], start: int, format: Format) -> dict[str, int]:
    """Numbers of classes in a format, in their order.

    The source's numbers are kept, moved to where the format begins to count. Where they have gaps, which only COCO
    allows, classes are numbered in their order. Classes without a number come last, sorted by name.

    ``start`` is the number of the source's first class.
    """
    first = format.first_number or 0
    order = sorted(names, key=lambda name: (source.get(name, math.inf), name))
    kept = {name: source[name] - start + first for name in order if name in source}
    gapless = sorted(kept.values()) == list(range(first, first + len(kept)))
    if gapless or (format.keeps_gaps and len(set(kept.values())) == len(kept)):
        free = itertools.count(max(kept.values(), default=first - 1) + 1)
        return {name: kept[name] if name in kept else next(free) for name in order}
    return dict(zip(order, itertools.count(first), strict=False))
