"""Jobs, which the commands call: files, hosts, shards, checkpoints and progress."""

from jaxloc.options import EvaluateOptions, LocalizeOptions, VideoOptions
from jaxloc.run.evaluation import evaluate, evaluate_files
from jaxloc.run.jobs import apply, colocalize, localize

EvaluationOptions, Options = EvaluateOptions, LocalizeOptions  # the former names
