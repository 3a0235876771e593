"""Settings that a run's results depend on, for reports, and its identity, for resuming."""

from jaxloc import __version__
from jaxloc.run.plan import default_shard_size
from jaxloc.run.steps import Steps


def settings(steps: Steps) -> dict[str, str]:
    """The settings that the results depend on, by name, for reports."""
    return {
        "method": steps.method.name,
        "weights": f"{steps.weights.backbone.name} ({steps.weights.source})",
        "weights checksum": steps.weights.checksum,
        "layer": " and ".join(steps.layers),
    } | steps.options.settings(fitted=steps.method.fit is not None)


def identity(steps: Steps, number: int) -> dict[str, str]:
    """The settings that the bytes of a run of ``number`` images depend on."""
    chosen = {
        "batch": steps.options.batch or f"at most {steps.batching.batch}",
        "shard_size": steps.options.shard_size or default_shard_size(number),
    }
    return settings(steps) | {"jaxloc": __version__} | steps.options.identity(**chosen)
