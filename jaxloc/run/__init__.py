"""Jobs: what the command calls. The only place that knows devices, files and progress."""

from jaxloc.run.evaluate import evaluate
from jaxloc.run.jobs import apply, colocalize, localize
from jaxloc.run.options import Options

__all__ = ["Options", "apply", "colocalize", "evaluate", "localize"]
