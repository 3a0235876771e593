"""Jobs: what the command calls. The only place that knows devices, files and progress."""

from jaxloc.options import LocalizeOptions, VideoOptions
from jaxloc.run.evaluation import EvaluationOptions, evaluate, evaluate_files
from jaxloc.run.jobs import apply, colocalize, localize

Options = LocalizeOptions
"""The former name."""

__all__ = [
    "EvaluationOptions",
    "Options",
    "VideoOptions",
    "apply",
    "colocalize",
    "evaluate",
    "evaluate_files",
    "localize",
]
