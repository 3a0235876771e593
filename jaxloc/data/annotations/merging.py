"""Listings of one image, or in several splits, as one."""

import dataclasses
from collections.abc import Sequence

from jaxloc.data.annotations.problems import Annotations, Problem
from jaxloc.data.annotations.records import Annotated
from jaxloc.errors import UsageError


def once_more(listed: Annotated, again: Annotated, path: str) -> Annotated:
    """Merge a second listing of an image: for another class that it was searched for, or another split."""
    before = listed.listed if listed.category is None else ((listed.category, listed.noise_score),)
    known = {category for category, _ in before}
    if again.splits or listed.splits or again.category is None or again.category in known or not known:
        return _in_another_split(listed, again, path)
    return dataclasses.replace(
        listed,
        category=None,
        noise_score=None,
        annotations=listed.annotations + again.annotations,
        damaged=_together(listed.damaged, again.damaged),
        listed=(*before, (again.category, again.noise_score)),
    )


def _in_another_split(listed: Annotated, again: Annotated, path: str) -> Annotated:
    """Merge a listing in another split, of the same category; only one of the two may have boxes."""
    if not again.splits or again.splits[0] in listed.splits or not listed.splits:
        raise UsageError(f"{path}: lists {again.name} twice")
    if again.category != listed.category or (
        listed.annotations and again.annotations and listed.annotations != again.annotations
    ):
        raise UsageError(f"{path}: lists {again.name} twice, with different contents")
    return dataclasses.replace(
        listed,
        annotations=listed.annotations or again.annotations,
        splits=listed.splits + again.splits,
        damaged=_together(listed.damaged, again.damaged),
    )


def _together(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(some + more))


def merge_splits(read: Sequence[tuple[str, str, Annotations]]) -> Annotations:
    """Merge what files of splits say.

    An image that several list is in all of their splits; where these are other files of one name, their names begin
    with their split.
    """
    images: dict[str, Annotated] = {}
    found: list[Problem] = []
    categories: tuple[str, ...] = ()
    numbers: dict[str, int] = {}
    for split, file, some in read:
        found += some.problems
        categories = _together(categories, some.categories)
        numbers = some.numbers | numbers
        for name, image in some.images.items():
            image = dataclasses.replace(image, splits=image.splits or ((split,) if split else ()))
            if name in images and image.path is not None and images[name].path not in (None, image.path):
                image = dataclasses.replace(image, name=f"{split}/{name}")
            before = images.get(image.name)
            images[image.name] = _in_another_split(before, image, file) if before else image
    return Annotations(images, found, categories, numbers)
