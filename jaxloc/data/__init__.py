"""Pictures from files to padded batches. The only place that opens images."""

from jaxloc.data.batches import Batch, Item, make_batches
from jaxloc.data.buckets import choose_buckets
from jaxloc.data.images import Picture, read_picture, read_size
from jaxloc.data.paths import ImageSet, Source, find_sets

__all__ = [
    "Batch",
    "ImageSet",
    "Item",
    "Picture",
    "Source",
    "choose_buckets",
    "find_sets",
    "make_batches",
    "read_picture",
    "read_size",
]
