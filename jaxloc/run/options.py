"""Former home of the options, which are in ``jaxloc.options``."""

from jaxloc.options import LocalizeOptions as Options
from jaxloc.options import NetworkOptions as Reading
from jaxloc.options import workers_of

__all__ = ["Options", "Reading", "workers_of"]
