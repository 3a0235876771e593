"""Pictures inside other files: tar shards, Parquet, ArrayRecord, and data sets of tensorflow-datasets."""

from jaxloc.data.archives.opening import open_archive, open_archives
from jaxloc.data.archives.tfds import is_tfds, open_tfds

__all__ = ["is_tfds", "open_archive", "open_archives", "open_tfds"]
