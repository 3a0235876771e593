"""Features of padded batches at given layers, on every device."""

import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxloc.data import Batch, Buckets
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import UsageError
from jaxloc.inference import memory, programs
from jaxloc.inference.devices import DIVIDED
from jaxloc.inference.parameters import DeviceWeights
from jaxloc.inference.programs import Maps


class Extractor:
    """A network, whose weights are on the devices, at the layers whose features are wanted, deepest first.

    ``beside`` are further layers that ``features`` computes.

    Attributes:
        computed: names of all layers that ``features`` computes.
        weights: the network's, without the arrays.
        dimensions: channels of each layer.
        minimum_side: shortest image side in pixels that has a cell at each layer.
        mesh: the devices; each batch is divided over them.
        batching: how images are grouped into batches.
    """

    def __init__(self, loaded: DeviceWeights, layers: Sequence[str], beside: Sequence[str] = ()) -> None:
        self.loaded, self.weights = loaded, loaded.weights
        self.layers = self.weights.backbone.check_layers(layers)
        self.computed = (*self.layers, *beside)
        self.dimensions = tuple(self.weights.backbone.layer(layer).channels for layer in self.layers)
        self.minimum_side = self.weights.backbone.minimum_side(self.layers)
        self.mesh, self.batching = loaded.mesh, loaded.batching
        self._seen: set[tuple[int, ...]] = set()
        self._halved = False

    @property
    def params(self) -> Any:
        """The network's parameters as its programs take them."""
        return self.loaded.params

    @property
    def devices(self) -> int:
        """Number of devices that compute a batch together."""
        return self.mesh.size

    @functools.cached_property
    def _programs(self) -> Any:
        if self.loaded.engine == "openvino":
            from jaxloc.inference.openvino.programs import programs_of

            weights = self.weights
            return programs_of(weights.backbone, weights.checksum, self.computed, self.loaded.dtype, self.mesh)
        form = tuple((leaf.shape, leaf.sharding.spec) for leaf in jax.tree.leaves(self.params))
        return programs.programs_of(self.weights.backbone, self.computed, self.loaded.dtype, self.mesh, form)

    def put(self, values: Any) -> Any:
        """Arrays on the devices, divided along their first axis."""
        return jax.device_put(values, NamedSharding(self.mesh, DIVIDED))

    def pending(self, buckets: Buckets) -> list[tuple[int, ...]]:
        """Batch shapes of these buckets for which no program is compiled yet."""
        sizes = {(self.batching.capacity(buckets, shape), shape) for shape in buckets.counts}
        sizes |= {(1, shape) for number, shape in sizes if number <= self.batching.singles}
        shapes = [(self.devices * number, *shape, 3) for number, shape in sorted(sizes)]
        return [shape for shape in shapes if shape not in self._programs]

    def compile(self, shapes: Sequence[tuple[int, ...]]) -> Iterator[None]:
        """Compile the network for batch shapes, several at a time; yield after each."""
        workers = min(len(shapes), os.cpu_count() or 1) or 1
        compile_one = functools.partial(self._programs.compile, self.params)
        for _ in read_ahead(compile_one, shapes, workers=workers, ahead=workers):
            yield
        memory.release()

    def features(self, batch: Batch) -> Maps:
        """Features by layer of a batch that divides evenly over the devices.

        Raises:
            UsageError: the devices' memory is too small even for half of the batch.
        """
        if self._halved:
            return self._in_halves(batch)
        try:
            return self._run(batch)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            if len(batch.indices) <= self.devices:
                raise _too_large(batch) from error
        self.loaded.warn("The device's memory is too small for this batch size; continuing with half of it.")
        self._halved = True
        return self._in_halves(batch)

    def _run(self, batch: Batch) -> Maps:
        program = self._programs.compile(self.params, batch.images.shape)
        is_new = batch.images.shape not in self._seen
        if is_new and jax.default_backend() == "cpu":
            needed = self._programs.temporary_bytes(batch.images.shape) * self.devices
            if needed > memory.available():  # the system would kill the process instead of refusing it the memory
                raise MemoryError
        maps = program(self.params, *self.put((batch.images, batch.sizes)))
        if is_new:
            jax.block_until_ready(maps)  # a lack of memory shows at the first batch of a shape
            self._seen.add(batch.images.shape)
            memory.release()
        return maps

    def _in_halves(self, batch: Batch) -> Maps:
        each = len(batch.indices) // self.devices
        if each == 1:
            return self._run(batch)
        rows = np.arange(len(batch.indices)).reshape(self.devices, each)
        halves = rows[:, : each // 2].ravel(), rows[:, each // 2 :].ravel()
        try:
            first, second = (self._run(Batch(*(values[half] for values in batch))) for half in halves)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if memory.is_exhausted(error):
                raise _too_large(batch) from error
            raise
        return programs.joining(self.mesh)(first, second)


def _too_large(batch: Batch) -> UsageError:
    rows, columns = batch.images.shape[1:3]
    return UsageError(
        f"the device's memory is too small for images of {columns}×{rows} pixels: use a smaller --batch or a smaller "
        "--max-side, or take such images out"
    )
