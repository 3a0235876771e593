"""The devices of this host, and functions whose batches are divided over them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxloc._jit import standard_promotion
from jaxloc.components import Backend
from jaxloc.errors import UsageError

DATA = "data"
"""The mesh axis over which images are divided."""
WHOLE, DIVIDED = PartitionSpec(), PartitionSpec(DATA)


def local_mesh(devices: int | None = None) -> Mesh:
    """A mesh over this host's devices, or over the first ``devices`` of them.

    Raises:
        UsageError: the host has fewer devices.
    """
    found = jax.local_devices()
    if devices is not None and devices > len(found):
        raise UsageError(f"{devices} devices asked for, and this host has {len(found)}")
    return Mesh(np.array(found[:devices]), (DATA,))


def component_backend(backend: Backend, mesh: Mesh) -> Backend:
    """Resolve ``"auto"``: the host labels components for a single CPU device, other devices label their own."""
    if backend != "auto":
        return backend
    return "host" if jax.default_backend() == "cpu" and mesh.size == 1 else "device"


def divided(function: Callable[..., Any], mesh: Mesh, whole: Sequence[int] = ()) -> Callable[..., Any]:
    """A function of batches of which each device computes its own part, with JAX's standard promotion.

    Args:
        function: its arguments and results are trees of arrays whose leading axis is the batch.
        mesh: the devices.
        whole: positions of the arguments that every device receives whole.
    """

    @standard_promotion()
    def call(*arguments: Any) -> Any:
        specs = tuple(WHOLE if number in whole else DIVIDED for number in range(len(arguments)))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=DIVIDED, check_vma=False)(*arguments)

    return call
