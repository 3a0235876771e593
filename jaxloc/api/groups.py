"""A pile of images in memory, sorted into groups, and the object in each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxloc.api.batches import ImageBatches
from jaxloc.api.found import Found, FoundObject
from jaxloc.api.network import Network
from jaxloc.api.passes import fit_sets, localize_each
from jaxloc.api.retrieval import describe
from jaxloc.data.duplicates import look_at
from jaxloc.data.in_memory import Images, InMemoryImages
from jaxloc.options import DiscoverOptions, LocalizeOptions
from jaxloc.report.groups import UNGROUPED
from jaxloc.run.cleaning import hashing
from jaxloc.run.discovery.describing import SHORTER_SIDE, descriptor_for, repeated
from jaxloc.run.discovery.discover import located_alone, notes_of
from jaxloc.run.discovery.grouping import group_vectors, names_of, typicality
from jaxloc.run.retrieval.scoring import unit
from jaxloc.run.steps import Steps


class FoundGroups(Found):
    """What was found in each image of a pile, in the order of the images; an object's category is its group.

    Attributes:
        groups: by name, the positions of its images, int ``[m]``, the most typical first. The largest group comes
            first, and last, if there are any, images unlike any other, as ``"ungrouped"``.
        typical: float32 ``[n]``, mean cosine of each image's descriptor with the others of its group; 0 without one.
        notes: what is to be said of the groups, a sentence each.
    """

    def __init__(
        self,
        objects: Sequence[FoundObject],
        *,
        groups: Mapping[str, np.ndarray],
        typical: np.ndarray,
        notes: Sequence[str],
        **found: Any,
    ) -> None:
        super().__init__(objects, **found)
        self.groups, self.typical, self.notes = groups, typical, notes

    def __repr__(self) -> str:
        number = len(self.groups.keys() - {UNGROUPED})
        return f"FoundGroups({len(self)} images: {number} groups, {len(self.groups.get(UNGROUPED, ()))} ungrouped)"


def discover(
    images: Images,
    net: Network,
    *,
    groups: int | Literal["auto"] = "auto",
    min_group: int = 5,
    neighbors: int = 15,
    resolution: float = 1.0,
    method: str = "ddt",
    layer: str | None = None,
    sign: str | None = None,
    max_side: int = 800,
    progress: bool | None = None,
) -> FoundGroups:
    """Sort unsorted images into groups of one kind, and find the object that the images of each group share.

    The command ``jaxloc discover`` does the same to folders of any size, and its page changes groups by hand.

    Args:
        images: of any sizes; see ``jaxloc.colocalize``.
        net: from ``jaxloc.load``.
        groups: their number, by k-means; ``"auto"`` finds it, as communities of the graph of nearest neighbours.
        min_group: images of smaller groups, and images unlike any other, stay ungrouped.
        neighbors: nearest neighbours of each image; two images are joined if each is among the other's.
        resolution: more makes more, smaller groups.
        method: how objects are found, as of ``colocalize``, as are the arguments after it.
        layer: as of ``colocalize``.
        sign: likewise.
        max_side: likewise.
        progress: likewise.

    Returns:
        ``FoundGroups``, an object for each image. ``found.model`` has a set for each group, for ``jaxloc.apply`` with
        ``name="group-01"``. Ungrouped images are located with a model of the whole pile; if there is no group, each
        image is located alone by SCDA, and the model is ``None``.

    Raises:
        UsageError: an unknown option, or an image that cannot be used (the message names its position).
    """
    job = LocalizeOptions(method=method, layer=layer, sign=sign, max_side=max_side)
    options = DiscoverOptions(groups=groups, min_group=min_group, neighbors=neighbors, resolution=resolution, job=job)
    images, backbone = InMemoryImages(images), net.weights.backbone
    side = min(SHORTER_SIDE, max_side or SHORTER_SIDE)
    described = describe(images, net, descriptor=descriptor_for(backbone), max_side=side, progress=progress)
    vectors, numbers = unit(described), range(len(images))
    repeats = np.arange(len(images))
    if options.duplicates is not None:
        looks = [look_at(images.read(number, shorter_side=hashing.SHORTER_SIDE).pixels) for number in numbers]
        repeats = repeated(looks, np.array([np.prod(images.size(number)) for number in numbers]), options.duplicates)
    grouping = group_vectors(vectors, repeats, options)
    found = grouping.groups
    names, owners = np.unique(names_of(found), return_inverse=True)  # in order: "ungrouped" comes after "group-01"
    alone = found.max() < 0
    steps = Steps(located_alone(job, backbone) if alone else job, net.loaded)
    batches, model = ImageBatches(images, steps, max_side=max_side), None
    if steps.method.fit is not None:
        model = fit_sets(batches, steps, names.tolist(), owners, progress, pooled=bool((found < 0).any()))
    models = [None if model is None else model.sets[names[which]].models for which in owners]
    objects = [
        dataclasses.replace(one, category=str(names[which]))
        for one, which in zip(localize_each(batches, steps, models, progress), owners, strict=True)
    ]
    typical = np.where(found < 0, 0, typicality(vectors, owners)).astype(np.float32)
    by_name = {
        str(name): np.flatnonzero(owners == which)[np.argsort(-typical[owners == which], kind="stable")]
        for which, name in enumerate(names)
    }
    return FoundGroups(
        objects,
        name="object",
        method=steps.method.name,
        model=model,
        groups=by_name,
        typical=typical,
        notes=notes_of(grouping, steps.method.name),
    )
