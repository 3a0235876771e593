"""Data sets by name, and specs, accepted in place of a path: ``NAME:ROOT``, ``NAME/SPLIT:ROOT``, ``NAME:tfds``."""

import difflib
import os
from collections.abc import Callable
from typing import NamedTuple

from jaxloc.data.datasets import (
    aircraft,
    cars,
    coco,
    cub,
    dogs,
    ecssd,
    flowers,
    imagenet,
    imagenet_subsets,
    instre,
    landmarks,
    object_discovery,
    pets,
    rpc,
    vehicles,
    voc,
)
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Dataset, Info
from jaxloc.errors import UsageError


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
        Adapter(ecssd.INFO, ecssd.read),
        Adapter(coco.INFO, coco.read, coco.read_tfds),
        Adapter(imagenet.INFO, imagenet.read, imagenet.read_tfds),
        *(Adapter(info, landmarks.read) for info in landmarks.INFOS),
        *(Adapter(info, landmarks.read_revisited) for info in landmarks.REVISITED),
        Adapter(instre.INFO, instre.read),
        Adapter(vehicles.VERI, vehicles.read_veri),
        Adapter(vehicles.VEHICLE_ID, vehicles.read_vehicle_id),
        Adapter(rpc.INFO, rpc.read),
    )
}
"""In the order they are listed."""


class Spec(NamedTuple):
    """A parsed spec: name in the registry, wanted splits (empty means all), and root: a folder, or ``tfds``."""

    name: str
    splits: tuple[str, ...]
    root: str


def is_spec(text: str) -> bool:
    """Whether ``text`` is a spec: a known name, perhaps ``/SPLIT``, a colon, and a root.

    No drive letter, ``tfds:`` or address is a known name. Write ``./cub200:x`` for a file of such a name.
    """
    head, colon, _ = text.partition(":")
    return bool(colon) and head.partition("/")[0] in ADAPTERS


def parse(text: str) -> Spec:
    """Parse a spec; raises ``UsageError`` if it is none, or incomplete."""
    head, colon, root = text.partition(":")
    name, slash, splits = head.partition("/")
    if not colon or name not in ADAPTERS:
        raise unknown(name)
    wanted = tuple(splits.split("+")) if slash else ()
    if not root or not all(wanted):
        raise UsageError(f"{text}: write {name}:FOLDER, {name}/SPLIT:FOLDER or {name}:tfds; splits are added with +")
    return Spec(name, wanted, root)


def unknown(name: str) -> UsageError:
    """Error for an unknown data set."""
    close = difflib.get_close_matches(name, ADAPTERS, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ADAPTERS)}"
    return UsageError(f"{name}: no data set of this name; {hint} (`jaxloc datasets` lists them)")


def open_dataset(spec: str) -> Dataset:
    """Read the annotations of a data set and check them against its images.

    The header of each image is read for its size. ImageNet's annotations are read on access.

    Args:
        spec: ``NAME:ROOT``, such as ``cub200:/data/CUB_200_2011``; ``NAME:tfds`` for the copy prepared by
            tensorflow-datasets in ``TFDS_DATA_DIR``; ``NAME/SPLIT:ROOT`` for one split, ``NAME/SPLIT+SPLIT:ROOT`` for
            several.

    Raises:
        UsageError: the set, split or folder does not exist, or the folder does not hold the set.
    """
    name, splits, root = parse(spec)
    adapter = ADAPTERS[name]
    into = Gathering(adapter.info, os.path.expanduser(root), splits)
    read = adapter.read_tfds if root == "tfds" else adapter.read
    if read is None:
        raise UsageError(
            f"{spec}: the copy of tensorflow-datasets cannot be read for this set, or there is none: write "
            f"{name}:FOLDER (`jaxloc datasets {name}` tells how to get it; a folder called tfds is ./tfds)"
        )
    read(into)
    return into.finish()
