"""The short way: images of any kind and size in; boxes, features, vectors and rankings out; in memory.

The functions are reached as ``jaxloc.load``, ``jaxloc.colocalize`` and so on. Jobs and these functions are built on the
same network, batches and steps: in the same images they find the same boxes, scores, models and vectors.
"""

from jaxloc.api.found import Found, FoundObject
from jaxloc.api.groups import FoundGroups, discover
from jaxloc.api.localization import apply, colocalize, localize
from jaxloc.api.network import Network, load
from jaxloc.api.plotting import plot
from jaxloc.api.retrieval import describe, search
