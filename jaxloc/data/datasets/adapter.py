"""What every data set of the registry provides."""

import dataclasses
from collections.abc import Callable

from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Dataset, Info, Query


@dataclasses.dataclass(frozen=True)
class Adapter:
    """A data set and how it is read.

    Attributes:
        info: about it.
        read: from its original layout; takes the ``Gathering``, which says root and splits.
        read_tfds: from the copy of tensorflow-datasets, where that can be read.
    """

    info: Info
    read: Callable[[Gathering], Dataset]
    read_tfds: Callable[[Gathering], Dataset] | None = None


def finish(info: Info, into: Gathering, place: str, queries: tuple[Query, ...] = ()) -> Dataset:
    """The data set of what has been gathered.

    Raises:
        UsageError: nothing has, or a split does not exist.
    """
    return Dataset(info, place, into.finish(), queries, into.problems)
