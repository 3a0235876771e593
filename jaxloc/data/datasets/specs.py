"""How a data set is named where a path could stand: ``NAME:ROOT``, ``NAME/SPLIT:ROOT``, ``NAME:tfds``."""

import difflib
import os
from typing import NamedTuple

from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Dataset
from jaxloc.data.datasets.registry import ADAPTERS
from jaxloc.errors import UsageError

TFDS = "tfds"
"""The root that stands for the copy of tensorflow-datasets."""


class Spec(NamedTuple):
    """A data set as a person names it.

    Attributes:
        name: in the registry.
        splits: wanted; empty means all.
        root: a folder, or ``tfds``.
    """

    name: str
    splits: tuple[str, ...]
    root: str


def is_spec(text: str) -> bool:
    """Whether this names a data set: a known name, perhaps ``/SPLIT``, a colon, and a root.

    A path never does by accident: no drive letter, ``tfds:`` or address is a known name, and a file that is called
    like a spec is reached as ``./cub200:x``.
    """
    head, colon, _ = text.partition(":")
    return bool(colon) and head.partition("/")[0] in ADAPTERS


def parse(text: str) -> Spec:
    """Take a spec apart.

    Raises:
        UsageError: it is none, or incomplete.
    """
    head, colon, root = text.partition(":")
    name, slash, splits = head.partition("/")
    if not colon or name not in ADAPTERS:
        raise unknown(name)
    wanted = tuple(splits.split("+")) if slash else ()
    if not root or not all(wanted) or (slash and not wanted):
        raise UsageError(f"{text}: write {name}:FOLDER, {name}/SPLIT:FOLDER or {name}:tfds; splits are added with +")
    return Spec(name, wanted, root)


def unknown(name: str) -> UsageError:
    """The error for a name that no data set has."""
    close = difflib.get_close_matches(name, ADAPTERS, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ADAPTERS)}"
    return UsageError(f"{name}: no data set of this name; {hint} (`jaxloc datasets` lists them)")


def open_dataset(spec: str) -> Dataset:
    """Read a data set's annotations, and check them against its images.

    Each image's header is read for its size, but for ImageNet's folders, which are read as they are asked for.

    Args:
        spec: ``NAME:ROOT``, such as ``cub200:/data/CUB_200_2011``; ``NAME:tfds`` for the copy that tensorflow-datasets
            prepared (where ``TFDS_DATA_DIR`` says); ``NAME/SPLIT:ROOT`` for one split, ``NAME/SPLIT+SPLIT:ROOT`` for
            several.

    Raises:
        UsageError: there is no such set, split or folder, or the folder does not hold the set.
    """
    name, splits, root = parse(spec)
    adapter = ADAPTERS[name]
    into = Gathering(name, root, splits)
    if root != TFDS:
        into.root = os.path.expanduser(root)
        return adapter.read(into)
    if adapter.read_tfds is None:
        raise UsageError(
            f"{spec}: the copy of tensorflow-datasets cannot be read for this set, or there is none: write "
            f"{name}:FOLDER (`jaxloc datasets {name}` tells how to get it; a folder called tfds is ./tfds)"
        )
    return adapter.read_tfds(into)
