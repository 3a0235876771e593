"""Name images by a few exemplars of each class: vectors, nearest means, and the table, JSON and page of the names."""

import csv
import dataclasses
import functools
import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxloc import __version__, piecewise
from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.options import NameOptions
from jaxloc.report.records import Skipped
from jaxloc.report.search_page import render_search
from jaxloc.report.search_records import Query, Result, Searched
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons
from jaxloc.run import outputs
from jaxloc.run.engine import memory_errors
from jaxloc.run.fewshot.classifiers import classifiers
from jaxloc.run.fewshot.describing import Network, axes_of, bilinear_vectors, vectors_of, work_folder
from jaxloc.run.fewshot.learning import cautions, learn, shots_for
from jaxloc.run.frozen import padded_maps
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images
from jaxloc.run.thumbnails import read_thumbnails

TABLE, PLAIN, PAGE = "names.csv", "names.json", "report.html"
"""Files of the results."""


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image and what it was named.

    Attributes:
        scores: of every class, best first: the cosine of the image's vector and the mean of the class's exemplars; of a
            mapping, the product of the vector and the class's classifier.
        nearest: numbers of the nearest exemplars and the cosines, best first.
        by_mean: the class of the nearest mean, which a mapping may name otherwise.
    """

    image: str
    scores: list[tuple[str, float]]
    nearest: list[tuple[int, float]]
    by_mean: str

    @property
    def label(self) -> str:
        """The name it was given."""
        return self.scores[0][0]

    @property
    def margin(self) -> float:
        """How far its score lies above that of the next class."""
        return self.scores[0][1] - self.scores[1][1]


@dataclasses.dataclass(frozen=True)
class Named:
    """All images named.

    Attributes:
        images: in order of name.
        mapped: whether by a learnt mapping, and not by the nearest mean.
        settings: what the names depend on, in words.
        skipped: why images were skipped, by name.
        folder: of ``names.csv``, ``names.json`` and ``report.html``.
    """

    images: list[NamedImage]
    exemplars: list[tuple[str, str]]
    mapped: bool
    settings: Mapping[str, str]
    warnings: list[str]
    skipped: Mapping[str, str]
    folder: Path

    @property
    def disagreements(self) -> int:
        """Number of images that the nearest mean names otherwise."""
        return sum(one.label != one.by_mean for one in self.images)


class _Rule(NamedTuple):
    """How images are named: the axes of their vectors, the exemplars' vectors, and the classifiers ``[c, k²]``."""

    axes: jax.Array
    exemplars: np.ndarray
    classes: list[str]
    means: np.ndarray
    mapped: np.ndarray | None
    warnings: list[str]


def name_images(
    exemplars: Paths,
    paths: Paths,
    out: str | os.PathLike[str],
    options: NameOptions | None = None,
    *,
    base: Paths = (),
    labels: str | os.PathLike[str] | None = None,
    keep: str | os.PathLike[str] | None = None,
) -> Named:
    """Name each image by the class whose exemplars' mean vector is nearest to its own, or by a mapping of the means.

    Without base classes nothing is trained: vectors are bilinear, with the axes of the exemplars' descriptors.

    Args:
        exemplars: folders, images, or text files of paths; an exemplar's folder is its class.
        paths: of the images to name.
        out: folder for ``names.csv``, ``names.json`` and ``report.html``.
        options: of the job.
        base: images of other classes, which the axes and ``options.mapping`` are learnt from.
        labels: a COCO file of the labels of exemplars and base images in place of folders.
        keep: a folder for feature maps and mappings, which later calls read; a stopped training then resumes.
    """
    options = options or NameOptions()
    for path in (*exemplars, *base):
        outputs.check_apart(path, out, "where it would become a class")
    known = _exemplars(exemplars, labels)
    learnt = find_images(base, labels=labels) if base else []
    check_labels([one.label for one in learnt], "base images", several=False)
    asked = [image.source for image in find_images(paths, exclude=[out])]
    folder = outputs.prepare(out)
    outputs.check_unused(folder, PLAIN)
    skipped: dict[int, str] = {}
    found: dict[int, NamedImage] = {}
    with memory_errors():
        network = Network(options)
        with work_folder(keep) as work:
            rule = _rule(network, known, learnt, work, options)
        planes = rule.means if rule.mapped is None else rule.mapped
        numbers, read = range(len(asked)), lambda number: network.read(asked[number])
        for some, maps in padded_maps(numbers, read, network, network.side, skipped, purpose="naming"):
            vectors = np.asarray(bilinear_vectors(rule.axes, maps[network.layer]))[: len(some)]
            for number, vector in zip(some, vectors, strict=True):
                found[number] = NamedImage(
                    asked[number].name,
                    [(rule.classes[one], score) for one, score in _ranked(planes @ vector)],
                    _ranked(rule.exemplars @ vector)[: options.top],
                    rule.classes[int((rule.means @ vector).argmax())],
                )
    if not found:
        raise UsageError(f"none of the {len(asked)} images can be read: {next(iter(skipped.values()))}")
    settings = options.settings() | {"layer": network.layer, "weights": network.weights.backbone.name}
    if rule.mapped is None:
        settings = {name: text for name, text in settings.items() if "mapping" not in name}
    done = Named(
        [found[number] for number in sorted(found)],
        [(one.source.name, str(one.label)) for one in known],
        rule.mapped is not None,
        settings | {"jaxloc": __version__},
        rule.warnings,
        {asked[number].name: reason for number, reason in skipped.items()},
        folder,
    )
    shown = [one.source.path for one in known]
    shown += [asked[number].path for number in sorted(found)[: options.report_limit]]
    write_names(done, read_thumbnails(dict(enumerate(shown)), workers=os.cpu_count() or 1), options.report_limit)
    return done


def _rule(
    network: Network,
    known: list[Labelled],
    learnt: list[Labelled],
    folder: Path,
    options: NameOptions,
) -> _Rule:
    """The axes and the classifiers of the exemplars' classes, with a mapping if there are base images."""
    maps, unread = network.maps([one.source for one in known], folder)
    for number, reason in unread.items():
        raise UsageError(f"{known[number].source.path}: {reason}: mend this exemplar or take it out")
    every = np.arange(len(known))
    base_maps, base = maps, every
    warnings: list[str] = []
    if learnt:
        base_maps, left_out = network.maps([one.source for one in learnt], folder)
        base = np.array([number for number in range(len(learnt)) if number not in left_out])
        if not len(base):
            raise UsageError(f"none of the {len(learnt)} base images can be read: {next(iter(left_out.values()))}")
        warnings += [
            f"{learnt[number].source.name} was left out of the base images: {why}" for number, why in left_out.items()
        ]
    axes = axes_of(base_maps, base, options.dimension)
    describe = functools.partial(bilinear_vectors, axes)
    vectors = vectors_of(maps, every, describe)
    labels = [str(one.label) for one in known]
    classes = sorted(set(labels))
    targets = np.array([classes.index(label) for label in labels], np.int32)
    means = piecewise.class_means(vectors, targets, classes=len(classes))
    mapped = None
    if learnt and options.mapping != "none":
        owners = [str(learnt[number].label) for number in base]
        shots = shots_for(owners, int(np.bincount(targets).min()))
        residual = options.mapping == "residual"
        mapping = learn(vectors_of(base_maps, base, describe), owners, folder, options, shots=shots, residual=residual)
        mapped = np.asarray(classifiers(mapping, means))
        warnings += cautions(owners, shots=shots)
    return _Rule(axes, vectors, classes, np.asarray(classifiers(None, means)), mapped, warnings)


def _ranked(scores: np.ndarray) -> list[tuple[int, float]]:
    """Places and values, the largest first."""
    return [(place, float(scores[place])) for place in np.argsort(-scores, kind="stable").tolist()]


def _exemplars(paths: Paths, labels: str | os.PathLike[str] | None) -> list[Labelled]:
    """The exemplars; raises ``UsageError`` if there is a class without one, or a single class."""
    for folder in (Path(path) for path in paths):
        if labels is None and folder.is_dir():
            for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
                if not any(path.is_file() for path in inner.rglob("*")):
                    raise UsageError(f"{inner}: a class without images: put an exemplar into it, or remove the folder")
    found = find_images(paths, labels=labels)
    check_labels([one.label for one in found], "exemplars", several=False)
    given = {os.path.abspath(path) for path in paths} if labels is None else set()
    loose = [one for one in found if isinstance(one.source.path, Path) and str(one.source.path.parent) in given]
    if 0 < len(loose) < len(found):
        raise UsageError(
            f"{loose[0].source.path}: lies beside the folders of the classes: put it into the folder of its class"
        )
    classes = sorted({str(one.label) for one in found})
    if len(classes) < 2:
        raise UsageError(
            f"all exemplars are of one class, {classes[0]!r}: pass a folder with a sub-folder for each class"
        )
    return found


def write_names(done: Named, thumbnails: Mapping[int, bytes], limit: int) -> None:
    """Write the table, the JSON and the page of at most ``limit`` images into the folder.

    ``thumbnails`` are those of the exemplars and then of the images, by number.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["image", "name", "score", "margin", "second", *(["nearest_mean"] if done.mapped else [])])
    for one in done.images:
        (name, score), (second, _) = one.scores[:2]
        own = [one.image, name, f"{score:.4f}", f"{one.margin:.4f}", second]
        rows.writerow([*own, one.by_mean] if done.mapped else own)
    write_text(done.folder / TABLE, table.getvalue())
    write_text(done.folder / PLAIN, json.dumps(to_plain(done), indent=1) + "\n")
    write_text(done.folder / PAGE, render_search(_searched(done, thumbnails), limit=limit))


def to_plain(done: Named) -> dict[str, Any]:
    """All names as plain values for JSON."""
    exemplars = done.exemplars
    return {
        "settings": dict(done.settings),
        "exemplars": [{"name": name, "label": label} for name, label in exemplars],
        "images": [
            {
                "image": one.image,
                "name": one.label,
                "score": one.scores[0][1],
                "margin": one.margin,
                "scores": dict(one.scores),
                "nearest_mean": one.by_mean,
                "nearest": [
                    dict(zip(("name", "label", "score"), (*exemplars[number], score), strict=True))
                    for number, score in one.nearest
                ],
            }
            for one in done.images
        ],
        "warnings": done.warnings,
        "skipped": dict(done.skipped),
    }


def _searched(done: Named, thumbnails: Mapping[int, bytes]) -> Searched:
    """The names as the page of a search shows them: each image beside its nearest exemplars."""

    def exemplar(number: int, score: float) -> Result:
        return Result(*done.exemplars[number], score, None, thumbnails.get(number), None, 0, 0)

    queries = [
        Query(
            name=one.image,
            label=one.label,
            thumbnail=thumbnails.get(number),
            results=[exemplar(*each) for each in one.nearest],
            names=one.scores,
        )
        for number, one in enumerate(done.images, len(done.exemplars))
    ]
    classes = len({label for _, label in done.exemplars})
    exemplars = counted(len(done.exemplars), "exemplar")
    return Searched(
        title="Names by exemplars",
        settings=done.settings,
        gallery_size=len(done.exemplars),
        queries=queries,
        warnings=done.warnings,
        skipped=[Skipped(name, "", reason) for name, reason in done.skipped.items()],
        summary={"Names": f"{classes:,}"} | ({"Mean disagrees": f"{done.disagreements:,}"} if done.mapped else {}),
        gallery_name="Exemplars",
        lead=f"{counted(len(queries), 'image')} named by {exemplars} of {counted(classes, 'class')}.",
    )


def naming_text(done: Named, seconds: float) -> str:
    """How many images got each name, the doubtful ones, and where the results are."""
    exemplars = Counter(label for _, label in done.exemplars)
    images = Counter(one.label for one in done.images)
    rows = [[name, count, images[name]] for name, count in sorted(exemplars.items())]
    doubtful = sorted(done.images, key=lambda one: one.margin)[:5]
    told = ", ".join(f"{one.image} ({one.label} or {one.scores[1][0]})" for one in doubtful)
    parts = [
        text_table(["name", "exemplars", "images"], rows),
        f"Least certain: {told}.",
        *([f"The nearest mean names {counted(done.disagreements, 'image')} otherwise."] if done.mapped else []),
        *(f"Warning: {warning}" for warning in done.warnings),
        *reasons("Skipped", done.skipped.items(), len(done.skipped), PLAIN),
        f"{counted(len(done.images), 'image')} named. {seconds:.1f} s. Look at {done.folder / PAGE}; {TABLE} and "
        f"{PLAIN} beside it hold every name.",
    ]
    return "\n\n".join(parts)
