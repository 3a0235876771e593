"""Images from files to padded batches. The only place that opens images."""

from jaxloc.data.batches import Batch, Item, make_batches, side_by_side
from jaxloc.data.buckets import Buckets, choose_buckets
from jaxloc.data.images import DecodedImage, read_image, read_size
from jaxloc.data.paths import find_sets
from jaxloc.data.sources import ImageSet, Record, Source
