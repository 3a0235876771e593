"""Images to features: the network on every local device, compiled once for each padded shape."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc.components import Backend
from jaxloc.data import Batch, Buckets
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import UsageError
from jaxloc.models import FeatureMap, Network, Weights, compiler_options, extract_features, load, minimum_side, prepare
from jaxloc.models.architectures import FULLY_CONNECTED, check_layers, dimension
from jaxloc.run import memory
from jaxloc.run.options import Reading
from jaxloc.run.progress import bar

Maps = dict[str, FeatureMap]
Shape = tuple[int, int]

DATA = "data"
"""The mesh axis over which images are divided."""
WHOLE, DIVIDED = PartitionSpec(), PartitionSpec(DATA)

# On the CPU larger batches only help small images, whose computing is less than reading the network's parameters.
_CPU_STEP, _CPU_BATCH, _CPU_PIXELS, _CPU_COMPILATION = 8, 64, 1 << 19, 1 << 19
_ACCELERATOR_STEP, _ACCELERATOR_BATCH, _ACCELERATOR_PIXELS, _ACCELERATOR_COMPILATION = 32, 32, 1 << 24, 1 << 32
_BUCKETS = 12
_SINGLES = 8
"""On the CPU the rest of a bucket of at most this capacity goes one by one; small images are faster together."""
_MAP_STEP = 8
_WORTH_COMPILING = 128
"""Images of a shape from which on a program for full batches pays on the CPU, beside the one for single images."""


def local_mesh(devices: int | None = None) -> Mesh:
    """A mesh over this host's devices, or the first so many of them."""
    found = jax.local_devices()
    if devices is not None and devices > len(found):
        raise UsageError(f"{devices} devices asked for, and this host has {len(found)}")
    return Mesh(np.array(found[:devices]), (DATA,))


def component_backend(options: Reading, mesh: Mesh) -> Backend:
    """Where components are labelled: callbacks to the host serve one CPU device, and would hold up others."""
    if options.backend != "auto":
        return options.backend
    return "host" if jax.default_backend() == "cpu" and mesh.size == 1 else "device"


class Engine:
    """Weights on the devices and the network's step.

    Attributes:
        weights: the network's, without the arrays.
        layers: the layers whose features are extracted, deepest first.
        dimensions: of each layer's descriptors.
        mesh: the devices; each batch is divided over them.
        batch: images in a device's batch at most.
        buckets: padded shapes at most; each costs a compilation, and memory as long as the process lives.
        backend: where components are labelled.
        step: bucket sides are multiples of this many pixels.
        pixels: padded pixels in a device's batch at most.
        compilation: pixels that are computed in the time in which the network is compiled for a shape.
        singles: the rest of a bucket of at most this capacity goes one by one instead of filling up a batch.
        minimum_side: images with a shorter side are too small for the layers.
    """

    def __init__(self, options: Reading, weights: Weights, layers: Sequence[str]) -> None:
        self.weights = weights._replace(params={})
        self.layers = check_layers(weights.network.architecture, layers)
        self.dimensions = tuple(map(dimension, self.layers))
        self.mesh = local_mesh(options.devices)
        self.on_cpu = jax.default_backend() == "cpu"
        self.buckets = _BUCKETS
        self.step = _CPU_STEP if self.on_cpu else _ACCELERATOR_STEP
        self.batch = options.batch or (_CPU_BATCH if self.on_cpu else _ACCELERATOR_BATCH)
        self._batch_is_given = options.batch is not None
        self.pixels = (_CPU_PIXELS if self.on_cpu else _ACCELERATOR_PIXELS) * max(1, options.batch or 1)
        self.compilation = _CPU_COMPILATION if self.on_cpu else _ACCELERATOR_COMPILATION
        self.singles = _SINGLES if self.on_cpu else 0
        self.minimum_side = max(map(minimum_side, self.layers))
        self.backend = component_backend(options, self.mesh)
        self._options = options
        self._unprepared = weights
        self._seen: set[tuple[int, ...]] = set()
        self._halved = False

    @functools.cached_property
    def params(self) -> Any:
        """The network's parameters as its step takes them, on every device; a run that computes nothing needs none."""
        prepared = _prepared(self._unprepared, self._options)
        del self._unprepared  # what is prepared takes its place in memory
        specs = jax.tree.map(self._kept if self._options.shard_weights else lambda _: WHOLE, prepared)
        return jax.tree.map(
            lambda values, spec: jax.device_put(values, NamedSharding(self.mesh, spec)), prepared, specs
        )

    @functools.cached_property
    def _step(self) -> "_Step":
        form = tuple((leaf.shape, leaf.sharding.spec) for leaf in jax.tree.leaves(self.params))
        return _compiled_features(self.weights.network, self.layers, self._options.dtype, self.mesh, form)

    @property
    def devices(self) -> int:
        """Devices that work on a batch together."""
        return self.mesh.size

    def _kept(self, values: jax.Array) -> PartitionSpec:
        """How parameters lie on the devices that share them: by output channel, where these can be divided."""
        even = values.shape[-1] % self.devices == 0
        return PartitionSpec(*[None] * (values.ndim - 1), DATA) if even else WHOLE

    def capacity(self, buckets: Buckets, shape: Shape) -> int:
        """Images in one device's batch of a padded shape: a power of two."""
        fitting = max(1, min(self.batch, self.pixels // (shape[0] * shape[1])))
        capacity = 1 << (fitting.bit_length() - 1)
        worth = capacity if self._batch_is_given else _WORTH_COMPILING
        if shape not in buckets.counts or (self.on_cpu and buckets.counts[shape] < worth):
            return 1
        return capacity

    def compile(self, buckets: Buckets) -> None:
        """Compile the network for every padded shape, with progress shown; what is compiled already is not again."""
        sizes = {(self.capacity(buckets, shape), shape) for shape in buckets.counts}
        sizes |= {(1, shape) for number, shape in sizes if number <= self.singles}
        shapes = [(self.devices * number, *shape, 3) for number, shape in sorted(sizes)]
        pending = [shape for shape in shapes if shape not in self._step.programs]
        purpose = f"compiling, {100 * buckets.padding:.1f} % padding"
        workers = min(len(pending), os.cpu_count() or 1) or 1
        done = read_ahead(functools.partial(self._step.compile, self.params), pending, workers=workers, ahead=workers)

        def compile_all() -> None:
            shown = bar(done, purpose=purpose, total=len(pending), unit="shape")
            for _ in _interrupts.checked(shown):
                pass

        _interrupts.attended(compile_all)
        memory.give_back()

    def put(self, values: Any) -> Any:
        """Arrays on the devices, divided along their first axis."""
        return jax.device_put(values, NamedSharding(self.mesh, DIVIDED))

    def features(self, batch: Batch) -> Maps:
        """Features of a batch that divides over the devices, by layer.

        Raises:
            UsageError: they do not fit into the devices' memory, not even for half a batch.
        """
        if self._halved:
            return self._in_halves(batch)
        try:
            return self._run(batch)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not _is_full(error):
                raise
            if len(batch.indices) <= self.devices:
                raise _too_large(batch) from error
        tqdm.write("The device's memory is too small for this batch size; going on with half of it.", file=sys.stderr)
        self._halved = True
        return self._in_halves(batch)

    def _run(self, batch: Batch) -> Maps:
        program = self._step.compile(self.params, batch.images.shape)
        if self.on_cpu and batch.images.shape not in self._seen:
            self._check_memory(program)
        maps = program(self.params, *self.put((batch.images, batch.sizes)))
        if batch.images.shape not in self._seen:
            jax.block_until_ready(maps)  # a shape that does not fit says so the first time
            self._seen.add(batch.images.shape)
            memory.give_back()
        return maps

    def _check_memory(self, program: Any) -> None:
        """Raise ``MemoryError`` where the system would kill the process instead of refusing it memory."""
        needed = program.memory_analysis().temp_size_in_bytes * self.devices
        left = memory.available()
        if left is not None and needed > left:
            raise MemoryError(f"{needed / 1e9:.1f} GB are needed and {left / 1e9:.1f} GB are left")

    def _in_halves(self, batch: Batch) -> Maps:
        each = len(batch.indices) // self.devices
        if each == 1:
            return self._run(batch)
        rows = np.arange(len(batch.indices)).reshape(self.devices, each)
        parts = (rows[:, : each // 2].ravel(), rows[:, each // 2 :].ravel())
        try:
            first, second = (self._run(Batch(*(values[part] for values in batch))) for part in parts)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if _is_full(error):
                raise _too_large(batch) from error
            raise
        return _compiled_join(self.mesh)(first, second)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a device that is out of memory, wherever in a job, into one line with the cure.

    Raises:
        UsageError: a device's memory is too small.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not _is_full(error):
            raise
        raise UsageError(
            "the device's memory is too small, or others use it too: use a smaller --batch or a smaller --max-side, "
            "and run the same command again; the finished shards stay"
        ) from error


def _is_full(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _too_large(batch: Batch) -> UsageError:
    rows, columns = batch.images.shape[1:3]
    return UsageError(
        f"the device's memory is too small for images of {columns}×{rows} pixels: use a smaller --batch or a smaller "
        "--max-side, or take such images out"
    )


def load_weights(options: Reading, layers: Sequence[str]) -> Weights:
    """The weights that the options name, with the fully connected layers if any of ``layers`` needs them."""
    top = any(layer in FULLY_CONNECTED for layer in layers)
    weights = load(options.weights, allow_download=options.allow_download, top=top)
    memory.give_back(collect=True)
    return weights


_last_prepared: dict[tuple[str, str, str], Any] = {}


def _prepared(weights: Weights, options: Reading) -> Any:
    """``models.prepare``, whose last result is kept: jobs of one process mostly use the same weights."""
    key = weights.checksum, options.conv, options.dtype
    if key not in _last_prepared:
        _last_prepared.clear()
        _last_prepared[key] = prepare(weights.params, conv=options.conv, dtype=jnp.dtype(options.dtype))
        memory.give_back(collect=True)
    return _last_prepared[key]


def divided(function: Callable[..., Any], mesh: Mesh, whole: Iterable[int] = ()) -> Callable[..., Any]:
    """A function of batches that each device computes for its own part of them, jitted.

    Args:
        function: of arrays, or trees of them, whose leading axis is the batch.
        mesh: the devices.
        whole: which arguments every device gets whole.
    """
    whole = frozenset(whole)

    def call(*arguments: Any) -> Any:
        specs = tuple(WHOLE if number in whole else DIVIDED for number in range(len(arguments)))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=DIVIDED, check_vma=False)(*arguments)

    return call


class _Step:
    """The network's step and its programs, one for each shape of a batch."""

    def __init__(self, step: Callable[..., Maps], mesh: Mesh) -> None:
        self.programs: dict[tuple[int, ...], Callable[..., Maps]] = {}
        self._step = step
        self._mesh = mesh
        self._divided = NamedSharding(mesh, DIVIDED)

    def compile(self, params: Any, shape: tuple[int, ...]) -> Callable[..., Maps]:
        """The program for images of a shape, compiled the first time it is asked for."""
        if shape not in self.programs:
            images = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=self._divided)
            sizes = jax.ShapeDtypeStruct((shape[0], 2), jnp.int32, sharding=self._divided)
            specs = jax.tree.map(lambda values: values.sharding.spec, params)
            self.programs[shape] = self._jit(specs).lower(params, images, sizes).compile()
        return self.programs[shape]

    def _jit(self, specs: Any) -> Any:
        """The step, each device of which gathers the parameters that it does not keep."""

        def step(params: Any, images: jax.Array, sizes: jax.Array) -> Maps:
            whole = jax.tree.map(
                lambda values, spec: values if spec == WHOLE else jax.lax.all_gather(values, DATA, axis=-1, tiled=True),
                params,
                specs,
            )
            return self._step(whole, images, sizes)

        sharded = jax.shard_map(
            step, mesh=self._mesh, in_specs=(specs, DIVIDED, DIVIDED), out_specs=DIVIDED, check_vma=False
        )
        return jax.jit(sharded, compiler_options=compiler_options())


@functools.cache
def _compiled_features(
    network: Network, layers: tuple[str, ...], dtype: str, mesh: Mesh, form: tuple[Any, ...]
) -> _Step:
    """The network's step, shared by every engine of the process, so that a second job compiles nothing.

    Programs take parameters of one ``form``: their shapes, which depend on how convolutions are computed, and how
    they lie on the devices.
    """
    step = functools.partial(_padded_features, network=network, layers=layers, dtype=jnp.dtype(dtype))
    return _Step(step, mesh)


@functools.cache
def _compiled_join(mesh: Mesh) -> Callable[[Maps, Maps], Maps]:
    def join(first: Maps, second: Maps) -> Maps:
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)

    return jax.jit(divided(join, mesh))


def _padded_features(params: Any, images: jax.Array, sizes: jax.Array, **static: Any) -> Maps:
    """Features padded to whole blocks of cells, so that the later steps are compiled for few shapes."""

    def pad(features: jax.Array) -> jax.Array:
        rows, columns = (-side % _MAP_STEP for side in features.shape[1:3])
        return jnp.pad(features, ((0, 0), (0, rows), (0, columns), (0, 0)))

    maps = extract_features(params, images, sizes, **static)
    return {layer: FeatureMap(pad(features), size) for layer, (features, size) in maps.items()}
