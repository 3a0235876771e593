"""Every option of every job, once: fields of dataclasses that import without JAX.

The command line, the classes' documentation, the checks of values, the settings in reports and the identity of a run
all derive from these fields; see ``jaxloc.options.option``.
"""

from jaxloc.options.localize import LocalizeOptions, SetOptions, VideoOptions
from jaxloc.options.network import NetworkOptions, ProcessOptions, workers_of
from jaxloc.options.option import Options, fitted_only

__all__ = [
    "LocalizeOptions",
    "NetworkOptions",
    "Options",
    "ProcessOptions",
    "SetOptions",
    "VideoOptions",
    "fitted_only",
    "workers_of",
]
