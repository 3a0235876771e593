"""Data sets by name."""

from collections.abc import Callable
from typing import NamedTuple

from jaxloc.data.datasets import (
    aircraft,
    cars,
    coco,
    cub,
    dogs,
    flowers,
    imagenet,
    imagenet_subsets,
    instre,
    landmarks,
    object_discovery,
    pets,
    voc,
)
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info


class Adapter(NamedTuple):
    """Facts about a data set, what reads its original layout, and its copy in tensorflow-datasets if that can be."""

    info: Info
    read: Callable[[Gathering], None]
    read_tfds: Callable[[Gathering], None] | None = None


ADAPTERS = {
    adapter.info.name: adapter
    for adapter in (
        Adapter(cub.INFO, cub.read, cub.read_tfds),
        Adapter(dogs.INFO, dogs.read, dogs.read_tfds),
        Adapter(flowers.INFO, flowers.read, flowers.read_tfds),
        Adapter(pets.INFO, pets.read, pets.read_tfds),
        Adapter(aircraft.INFO, aircraft.read),
        Adapter(cars.INFO, cars.read, cars.read_tfds),
        *(Adapter(info, voc.read, voc.read_tfds) for info in voc.INFOS),
        Adapter(object_discovery.INFO, object_discovery.read),
        Adapter(imagenet_subsets.INFO, imagenet_subsets.read),
        Adapter(coco.INFO, coco.read, coco.read_tfds),
        Adapter(imagenet.INFO, imagenet.read, imagenet.read_tfds),
        *(Adapter(info, landmarks.read) for info in landmarks.INFOS),
        *(Adapter(info, landmarks.read_revisited) for info in landmarks.REVISITED),
        Adapter(instre.INFO, instre.read),
    )
}
"""In the order they are listed."""
