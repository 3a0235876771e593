"""Data sets by name."""

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
from jaxloc.data.datasets.records import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.info.name: adapter
    for adapter in (
        cub.ADAPTER,
        dogs.ADAPTER,
        flowers.ADAPTER,
        pets.ADAPTER,
        aircraft.ADAPTER,
        cars.ADAPTER,
        *voc.ADAPTERS,
        object_discovery.ADAPTER,
        imagenet_subsets.ADAPTER,
        coco.ADAPTER,
        imagenet.ADAPTER,
        *landmarks.ADAPTERS,
        instre.ADAPTER,
    )
}
"""In the order they are listed."""
