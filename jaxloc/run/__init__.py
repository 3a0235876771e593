"""Jobs: what the command calls. The only place that knows devices, files and progress."""

from jaxloc.run.evaluation import EvaluationOptions, evaluate, evaluate_files
from jaxloc.run.jobs import apply, colocalize, localize
from jaxloc.run.options import Options
from jaxloc.run.video import VideoOptions

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
