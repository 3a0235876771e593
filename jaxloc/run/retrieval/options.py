"""Former home of retrieval's options, which are in ``jaxloc.options``."""

from jaxloc.options import DescribeOptions as Describing
from jaxloc.options import IndexOptions
from jaxloc.whitenings import WhitenSpec

__all__ = ["Describing", "IndexOptions", "WhitenSpec"]
