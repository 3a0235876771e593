"""The parameters of a pre-trained network on the devices of this host."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from jaxloc.data.batching import ACCELERATOR, CPU
from jaxloc.errors import UsageError
from jaxloc.inference import memory
from jaxloc.inference.devices import DATA, WHOLE, local_mesh
from jaxloc.inference.engines import Engine, resolve
from jaxloc.models import Method, Weights, prepare


class DeviceWeights:
    """Weights on the devices, and how the network computes with them.

    Args:
        weights: of the network.
        devices: number of this host's devices that compute; ``None`` means all.
        batch: largest number of images in a device's batch; ``None`` chooses by the device.
        dtype: what the network computes in, ``"float32"`` or ``"bfloat16"``.
        conv: how it convolves, see ``models.prepare``; OpenVINO chooses for itself.
        engine: what computes it, see ``jaxloc.inference.engines``.
        shard_weights: keep a part of the parameters on each device and gather them at each step.
        warn: called with one line when batches are halved for lack of memory.

    Attributes:
        weights: as given, without the arrays.
        mesh: the devices; each batch is divided over them.
        batching: how images are grouped into batches.
        engine: ``"xla"`` or ``"openvino"``.

    Raises:
        UsageError: the host has fewer devices, or cannot use the engine.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        devices: int | None = None,
        batch: int | None = None,
        dtype: str = "float32",
        conv: Method = "auto",
        engine: Engine = "auto",
        shard_weights: bool = False,
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.weights = weights._replace(params={})
        self.mesh = local_mesh(devices)
        self.batching = (CPU if jax.default_backend() == "cpu" else ACCELERATOR).with_batch(batch)
        self.engine = resolve(engine, weights.backbone, dtype)
        if self.engine == "openvino" and conv != "auto":
            raise UsageError(f"--conv {conv} is a choice of XLA's: use it without --engine openvino")
        self.dtype, self.warn = dtype, warn
        self.conv: Method = "direct" if self.engine == "openvino" else conv
        self._shard_weights = shard_weights
        self._unprepared = weights

    @functools.cached_property
    def params(self) -> Any:
        """Parameters as the programs take them, on every device; made at the first use."""
        prepared = _prepared(self._unprepared, self.conv, self.dtype)
        del self._unprepared  # the prepared parameters take its place in memory
        return jax.device_put(prepared, jax.tree.map(lambda one: NamedSharding(self.mesh, self._spec(one)), prepared))

    def _spec(self, values: jax.Array) -> PartitionSpec:
        """How parameters are divided: by output channel, if they are to be and the channels divide evenly."""
        if not self._shard_weights or values.shape[-1] % self.mesh.size:
            return WHOLE
        return PartitionSpec(*[None] * (values.ndim - 1), DATA)


_last_prepared: dict[tuple[str, str, str], Any] = {}


def _prepared(weights: Weights, conv: Method, dtype: str) -> Any:
    """``models.prepare``; the last result is kept, since jobs of one process mostly use the same weights."""
    key = weights.checksum, conv, dtype
    if key not in _last_prepared:
        _last_prepared.clear()
        _last_prepared[key] = prepare(weights.params, weights.backbone, conv=conv, dtype=jnp.dtype(dtype))
        memory.release()
    return _last_prepared[key]
