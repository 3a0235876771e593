"""Images inside other files: tar shards, Parquet, ArrayRecord, videos, and data sets of tensorflow-datasets."""

from jaxloc.data.archives.opening import open_archive, open_archives
from jaxloc.data.archives.tfds import is_tfds, open_tfds
from jaxloc.data.archives.video import Video
