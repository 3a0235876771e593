"""Name images by a few exemplars of each class: vectors, nearest means, and the page to look at."""

import dataclasses
import functools
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxloc import __version__, piecewise
from jaxloc.errors import UsageError
from jaxloc.options import NameOptions
from jaxloc.run import outputs
from jaxloc.run.engine import memory_errors
from jaxloc.run.fewshot.classifiers import classifiers
from jaxloc.run.fewshot.describing import Network, axes_of, bilinear_vectors, vectors_of
from jaxloc.run.fewshot.summary import write_names
from jaxloc.run.frozen import padded_maps
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images
from jaxloc.run.thumbnails import read_thumbnails


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image and what it was named.

    Attributes:
        image: its name.
        scores: of every class, best first: the cosine of the image's vector and the mean of the class's exemplars.
        nearest: numbers of the nearest exemplars and the cosines, best first.
    """

    image: str
    scores: list[tuple[str, float]]
    nearest: list[tuple[int, float]]

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
        exemplars: name and class of each.
        settings: what the names depend on, in words.
        skipped: why images were skipped, by name.
        folder: of ``names.csv``, ``names.json`` and ``report.html``.
    """

    images: list[NamedImage]
    exemplars: list[tuple[str, str]]
    settings: Mapping[str, str]
    skipped: Mapping[str, str]
    folder: Path


def name_images(
    exemplars: Paths,
    paths: Paths,
    out: str | os.PathLike[str],
    options: NameOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
) -> Named:
    """Name each image by the class whose exemplars' mean vector is nearest to its own.

    Nothing is trained: vectors are bilinear, with the axes of the exemplars' descriptors.

    Args:
        exemplars: folders, images, or text files of paths; an exemplar's folder is its class.
        paths: of the images to name.
        out: folder for ``names.csv``, ``names.json`` and ``report.html``.
        options: of the job.
        labels: a COCO file of the exemplars' labels in place of folders.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options = options or NameOptions()
    known = _exemplars(exemplars, labels)
    asked = [image.source for image in find_images(paths, exclude=[out])]
    folder = outputs.prepare(out)
    with memory_errors(), tempfile.TemporaryDirectory() as work:
        network = Network(options)
        maps, unread = network.maps([one.source for one in known], work)
        for number, reason in unread.items():
            raise UsageError(f"{known[number].source.path}: {reason}: mend this exemplar or take it out")
        every = np.arange(len(known))
        axes = axes_of(maps, every, options.dimension)
        vectors = vectors_of(maps, every, functools.partial(bilinear_vectors, axes))
    classes = sorted({str(one.label) for one in known})
    targets = np.array([classes.index(str(one.label)) for one in known], np.int32)
    planes = np.asarray(classifiers(None, piecewise.class_means(vectors, targets, classes=len(classes))))
    skipped: dict[int, str] = {}
    found: dict[int, NamedImage] = {}
    with memory_errors():
        for numbers, batch in padded_maps(
            range(len(asked)),
            lambda number: network.read(asked[number]),
            network,
            network.side,
            skipped,
            purpose="naming",
        ):
            some = np.asarray(bilinear_vectors(axes, batch[network.layer]))
            for number, scores, likeness in zip(numbers, some @ planes.T, some @ vectors.T, strict=False):
                found[number] = NamedImage(
                    asked[number].name,
                    [(classes[one], float(scores[one])) for one in np.argsort(-scores, kind="stable")],
                    [
                        (one, float(likeness[one]))
                        for one in np.argsort(-likeness, kind="stable")[: options.top].tolist()
                    ],
                )
    if not found:
        raise UsageError(f"none of the {len(asked)} images can be read: {next(iter(skipped.values()))}")
    done = Named(
        [found[number] for number in sorted(found)],
        [(one.source.name, str(one.label)) for one in known],
        options.settings() | {"layer": network.layer, "weights": network.weights.backbone.name, "jaxloc": __version__},
        {asked[number].name: reason for number, reason in skipped.items()},
        folder,
    )
    shown = [
        *(one.source.path for one in known),
        *(asked[number].path for number in sorted(found)[: options.report_limit]),
    ]
    write_names(done, read_thumbnails(dict(enumerate(shown)), workers=os.cpu_count() or 1), options.report_limit)
    return done


def _exemplars(paths: Paths, labels: str | os.PathLike[str] | None) -> list[Labelled]:
    """The exemplars; raises ``UsageError`` if there is a class without one, or a single class."""
    for folder in (Path(path) for path in paths):
        if labels is None and folder.is_dir():
            for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
                if not any(path.is_file() for path in inner.rglob("*")):
                    raise UsageError(f"{inner}: a class without images: put an exemplar into it, or remove the folder")
    found = find_images(paths, labels=labels)
    check_labels([one.label for one in found], "exemplars", several=False)
    classes = sorted({str(one.label) for one in found})
    if len(classes) < 2:
        raise UsageError(
            f"all exemplars are of one class, {classes[0]!r}: pass a folder with a sub-folder for each class"
        )
    return found
