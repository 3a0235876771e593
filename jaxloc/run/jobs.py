"""The localisation jobs: fit image sets and find their objects, apply a fitted model, localise image by image."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc.data.paths import ImageSets, find_sets
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options import LocalizeEachOptions, LocalizeOptions, SetOptions, VideoOptions
from jaxloc.report.records import Findings
from jaxloc.report.text import some_of
from jaxloc.run import distributed, model_file, outputs
from jaxloc.run.asking import classes_of_sets
from jaxloc.run.engine import of_network
from jaxloc.run.model_file import FittedSet, ModelFile
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps
from jaxloc.run.video import write_outputs

Paths = Sequence[str | os.PathLike[str]]


def colocalize(
    paths: Paths,
    out: str | os.PathLike[str],
    options: LocalizeOptions | None = None,
    *,
    update: str | os.PathLike[str] | None = None,
    video: VideoOptions | None = None,
    **how: Any,
) -> Findings:
    """Find the object that each image set shares, and write boxes, model and report.

    A first pass over the images sums the moments of their descriptors; a second localises the object in each image.
    Memory does not grow with the number of images; ``options.moments_memory`` limits how many sets are fitted at a
    time. The same call resumes a stopped run from its finished shards, and ends with the same bytes.

    Args:
        paths: folders, images, globs, text files of paths, or archives; see ``jaxloc.data.find_sets``.
        out: folder for ``annotations.json``, ``model.safetensors``, ``report.html``, ``overlays/`` and ``parts/``; of
            videos also ``video/`` and ``annotations_vid.json``.
        options: of the job; ``LocalizeOptions()`` by default. With a method that fits nothing this is ``localize``.
        update: a model file; sets of the same names are fitted on its images and the new ones, and the name of its only
            set is that of a single set.
        video: options of videos; ``VideoOptions()`` by default.
        **how: fields of ``SetOptions``: how images become sets (``per_folder``, ``per_label``, ``name``, …), and
            ``overwrite``.
    """
    options = options or LocalizeOptions()
    if update is not None and METHODS[options.method].fit is None:
        raise UsageError(f"{options.method} fits nothing, so there is no model to update")
    if update is not None and options.parts_within:
        raise UsageError("parts within the object take all images of the set: fit anew, without the earlier model")
    earlier = None if update is None else model_file.load(update)
    asked = SetOptions(**how)
    if earlier is not None and _is_single(asked) and asked.name is None and len(earlier.sets) == 1:
        asked = dataclasses.replace(asked, name=next(iter(earlier.sets)))
    sets = _find(paths, out, [] if update is None else [update], asked)
    folder = outputs.prepare(out)
    steps = Steps(options)
    _check_components(steps)
    before = {} if earlier is None else _sets_to_update(earlier, str(update), steps)
    depends = {} if update is None else {"updates": _checksum(update)}
    with Run(sets, folder, steps, depends=depends, notes=sets.ignored, overwrite=asked.overwrite) as run:
        return _with_videos(run.colocalize(before), folder, video)


def localize(
    paths: Paths,
    out: str | os.PathLike[str],
    options: LocalizeOptions | None = None,
    *,
    video: VideoOptions | None = None,
    **how: Any,
) -> Findings:
    """Find the object of each image on its own, in one pass, and write boxes and report.

    Arguments and errors are those of ``colocalize``; names, sub-folders and labels only name the categories. The
    method is SCDA unless ``LocalizeEachOptions`` name another. Methods that ask a classifier ask it for the class of
    each sub-folder's or label's name; where the classifier lacks it, a warning says so, and the most probable class of
    each image is found.
    """
    options = options or LocalizeEachOptions()
    if METHODS[options.method].fit is not None:
        options = dataclasses.replace(options, method="scda")
    asked = SetOptions(**how)
    sets = _find(paths, out, [], asked)
    folder = outputs.prepare(out)
    steps = Steps(options)
    named = steps.method.asks and not _is_single(asked) and steps.label < 0
    if named and steps.classes_each > 1:
        raise UsageError(
            "--top-k finds the most probable classes, and --per-folder or --per-label the class of each set's name: "
            "leave one of them out"
        )
    labels, unknown = None, list[str]()
    if named:
        labels, unknown = classes_of_sets([images.name for images in sets], steps.weights.backbone)
    elif steps.label >= 0 and asked.name is None and _is_single(asked):
        sets[0] = sets[0]._replace(name=steps.weights.backbone.class_name(steps.label))
    depends = {"class to find": "the name of each set"} if named else {}
    notes = [*sets.ignored, *unknown]
    with Run(sets, folder, steps, depends=depends, notes=notes, overwrite=asked.overwrite, labels=labels) as run:
        return _with_videos(run.localize(), folder, video)


def apply(
    model: str | os.PathLike[str],
    paths: Paths,
    out: str | os.PathLike[str],
    options: LocalizeOptions | None = None,
    *,
    category: str | None = None,
    video: VideoOptions | None = None,
    **how: Any,
) -> Findings:
    """Find the object of a fitted model in other images, in one pass, and write boxes and report.

    ``model`` is a ``model.safetensors`` that ``colocalize`` wrote; method, layer, sign and size limit are the model's,
    whatever the options say. ``category`` is the set of the model to look for, and may be omitted if it has only one;
    ``per_folder`` and ``per_label`` look in each sub-folder, or in the images of each label, for the set of its name.
    Other arguments and errors are those of ``colocalize``.
    """
    if options is not None and options.parts_within:
        raise UsageError("parts within the object are fitted with the set: colocalize these images")
    fitted = model_file.load(model)
    options = dataclasses.replace(
        of_network(options or LocalizeOptions(), fitted.architecture),
        method=fitted.method,
        layer=fitted.layers[0],
        sign=fitted.sign,
        max_side=fitted.max_side,
    )
    known, asked = some_of(list(fitted.sets)), SetOptions(name=category, **how)
    if category is None and _is_single(asked):
        if len(fitted.sets) > 1:
            raise UsageError(f"{model} knows several sets ({known}): choose one with --category, or use --per-folder")
        asked = dataclasses.replace(asked, name=next(iter(fitted.sets)))
    sets = _find(paths, out, [model], asked)
    unknown = [images.name for images in sets if images.name not in fitted.sets]
    if unknown:
        raise UsageError(f"{model} was not fitted on {some_of(unknown)}; it knows {known}")
    if options.parts:
        _check_parts(fitted, [images.name for images in sets], str(model), options)
    folder = outputs.prepare(out)
    steps = Steps(options)
    fitted.check_weights(steps.weights, model)
    depends = {"model": _checksum(model)}
    with Run(sets, folder, steps, depends=depends, notes=sets.ignored, overwrite=asked.overwrite) as run:
        return _with_videos(run.localize(fitted.sets), folder, video)


def _is_single(asked: SetOptions) -> bool:
    return not (asked.per_folder or asked.per_label)


def _find(paths: Paths, out: str | os.PathLike[str], also: Paths, asked: SetOptions) -> ImageSets:
    """Find the image sets; refuse a name for several, and results that would replace what is read."""
    if asked.name is not None and not _is_single(asked):
        raise UsageError(
            f"--category {asked.name} names a single set, and with --per-folder or --per-label each set has a name of "
            "its own: leave one of them out"
        )
    for path in [*paths, *also]:
        if outputs.is_replaced(path, out):
            raise UsageError(
                f"{path}: results in {os.fspath(out)} would take its place: choose another folder with --out"
            )
    how = {name: value for name, value in vars(asked).items() if name != "overwrite"}
    return find_sets(paths, exclude=outputs.places(out), **how)


def _check_components(steps: Steps) -> None:
    options, dimension = steps.options, min(steps.dimensions)
    if options.components > dimension:
        raise UsageError(
            f"--parts {options.parts} takes {options.components} components, and descriptors have {dimension} "
            f"dimensions: use at most --parts {2 * (dimension - 1)}"
        )


def _check_parts(fitted: ModelFile, names: Sequence[str], path: str, options: LocalizeOptions) -> None:
    kept = min(len(model.eigenvalues) for name in names for model in fitted.sets[name].models.values())
    if kept < options.components:
        raise UsageError(
            f"{path}: keeps {kept} components, and {options.parts} parts take {options.components}: fit it again with "
            f"--parts {options.parts}"
        )


def _with_videos(findings: Findings, folder: Path, options: VideoOptions | None) -> Findings:
    if distributed.is_first():
        write_outputs(folder, findings, options)
    return findings


def _checksum(path: str | os.PathLike[str]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sets_to_update(model: ModelFile, path: str, steps: Steps) -> Mapping[str, FittedSet]:
    """The sets of a model to be fitted with more images, if it was fitted in the way that is asked for."""
    model.check_weights(steps.weights, path)
    max_side = steps.options.max_side
    if (model.method, model.layers, model.max_side) != (steps.method.name, steps.layers, max_side):
        raise UsageError(
            f"{path}: fitted by {model.method} on {' and '.join(model.layers)} with --max-side {model.max_side}; asked "
            f"for {steps.method.name} on {' and '.join(steps.layers)} with --max-side {max_side}: use the same"
        )
    return model.sets
