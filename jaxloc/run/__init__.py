"""Jobs: what the command calls. The only place that knows devices, files and progress."""

from jaxloc.options import EvaluateOptions, LocalizeOptions, VideoOptions
from jaxloc.run.evaluation import evaluate, evaluate_files
from jaxloc.run.jobs import apply, colocalize, localize

EvaluationOptions, Options = EvaluateOptions, LocalizeOptions  # the former names

__all__ = [
    "EvaluateOptions",
    "LocalizeOptions",
    "VideoOptions",
    "apply",
    "colocalize",
    "evaluate",
    "evaluate_files",
    "localize",
]
