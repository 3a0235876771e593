"""From a pile of unsorted images to groups of one kind, a box in each image, and the model."""

from jaxloc.options import DiscoverOptions
from jaxloc.run.discovery.discover import Discovered, discover
