"""Images from files to padded batches. The only place that opens images."""

from jaxloc.data.batches import Batch, Item, make_batches, side_by_side
from jaxloc.data.buckets import Buckets, choose_buckets
from jaxloc.data.images import DecodedImage, read_image, read_size
from jaxloc.data.paths import find_sets
from jaxloc.data.sources import ImageSet, Record, Source

__all__ = [
    "Batch",
    "Buckets",
    "DecodedImage",
    "ImageSet",
    "Item",
    "Record",
    "Source",
    "choose_buckets",
    "find_sets",
    "make_batches",
    "read_image",
    "read_size",
    "side_by_side",
]
