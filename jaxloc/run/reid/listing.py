"""Images of identities, and the kind that each identity is of."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxloc.data import Record, Source
from jaxloc.data.annotations import read_coco
from jaxloc.data.datasets import is_spec, open_dataset
from jaxloc.errors import UsageError
from jaxloc.run.retrieval.listing import Paths, find_images


class IdentityImage(NamedTuple):
    """An image, its identity, and the kind of that, if known."""

    source: Source
    identity: str
    kind: str | None


def find_identities(
    paths: Paths,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
    exclude: Sequence[str | os.PathLike[str]] = (),
) -> list[IdentityImage]:
    """Images in order of name, with their identities.

    The identity is the image's class in a data set or in ``labels``, or else its folder; its kind is the coarse class
    there (``coarse`` of the image, or ``supercategory`` of its category), or else the folder around that folder.

    Args:
        paths: folders ``KIND/IDENTITY/image`` or ``IDENTITY/image``, or data sets as ``NAME/SPLIT:FOLDER``.
        labels: a COCO file with each image's category.
        splits: only images that are in one of these splits of the COCO file.
        exclude: folders that are not searched.
    """
    sets = [path for path in paths if is_spec(os.fspath(path))]
    folders = [path for path in paths if path not in sets]
    found = [one for spec in sets for one in _of_dataset(os.fspath(spec))]
    if folders:
        found += _of_folders(folders, labels, splits, exclude)
    kinds: dict[str, str | None] = {}
    for one in found:
        if kinds.setdefault(one.identity, one.kind) != one.kind:
            raise UsageError(
                f"{one.source.name}: {one.identity!r} is of the kind {one.kind!r} here and {kinds[one.identity]!r} "
                "elsewhere: give identities of different kinds different names"
            )
    return sorted(found, key=lambda one: (one.source.name, str(one.source.path)))


def _of_dataset(spec: str) -> Iterator[IdentityImage]:
    for image in open_dataset(spec).images.values():
        if image.path is not None and image.category is not None:
            yield IdentityImage(Source(image.path, image.name), image.category, image.coarse)


def _of_folders(
    paths: Paths,
    labels: str | os.PathLike[str] | None,
    splits: Sequence[str],
    exclude: Sequence[str | os.PathLike[str]],
) -> Iterator[IdentityImage]:
    truth = {} if labels is None else read_coco(labels)
    base = Path() if labels is None else Path(os.path.abspath(labels)).parent
    roots = {Path(os.path.abspath(path)) for path in paths}
    for image in find_images(paths, labels=labels, splits=splits, exclude=exclude):
        source, path = image.source, image.source.path
        if image.label is None:
            raise UsageError(f"{source.name}: of no identity: list it in --labels, or leave it out")
        kind = None
        if isinstance(path, Record) or labels is not None:
            name = source.name if isinstance(path, Record) else Path(os.path.relpath(path, base)).as_posix()
            kind = truth[name].coarse if name in truth else None
        elif path.parent.parent not in roots and path.parent not in roots:
            kind = path.parent.parent.name
        yield IdentityImage(source, image.label, kind)
