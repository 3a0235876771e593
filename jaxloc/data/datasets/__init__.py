"""Data sets of the papers, read from the layout their authors publish or from tensorflow-datasets' copies.

A spec names one wherever a path could stand: ``cub200:/data/CUB_200_2011``, ``voc07/trainval:/data/VOCdevkit``,
``flowers102:tfds``. Nothing is downloaded.
"""

from jaxloc.data.datasets.records import Dataset, DatasetPart, Info, Query, set_names
from jaxloc.data.datasets.registry import ADAPTERS, is_spec, open_dataset, parse, unknown
