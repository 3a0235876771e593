"""The network of a job: load it by the options, compile it with progress, and explain a lack of memory."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import jax
from tqdm import tqdm

from jaxloc.data import Buckets
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights, Extractor, memory
from jaxloc.models import BACKBONES, Weights, load
from jaxloc.models.weights import check_top
from jaxloc.options import CountOptions, MaskCnnOptions, NetworkOptions, Options, network_options
from jaxloc.run.progress import bar

_Options = TypeVar("_Options", bound=NetworkOptions | CountOptions | MaskCnnOptions)


def load_weights(options: NetworkOptions, layers: Iterable[str | None] = (), *, top: bool = False) -> Weights:
    """Load the weights that the options name.

    The classifier's parameters are required by ``top``, or by one of the layers (``None`` stands for a default).

    Raises:
        WeightsError: there are no such weights.
    """
    asked = [layer for layer in layers if layer is not None]
    named = BACKBONES.get(str(options.weights))
    top = top or (named is not None and named.needs_head(asked))
    weights = load(options.weights, allow_download=options.allow_download, top=top)
    return check_top(weights, weights.backbone.needs_head(asked), options.weights)


def of_network(options: _Options, backbone: str) -> _Options:
    """Options that name the network which a model or a gallery was made with, where they leave it at the default."""
    chosen = options.weights != NetworkOptions().weights or backbone not in BACKBONES
    return options if chosen else dataclasses.replace(options, weights=backbone)


def on_devices(weights: Weights, options: NetworkOptions) -> DeviceWeights:
    """Weights on the devices that the options name."""
    named = ("devices", "batch", "dtype", "conv", "engine", "shard_weights")
    chosen = {name: getattr(options, name) for name in named}
    return DeviceWeights(weights, warn=lambda line: tqdm.write(line, file=sys.stderr), **chosen)


def open_network(options: Options, layers: Iterable[str | None] = ()) -> DeviceWeights:
    """The weights of a job's options on the devices; ``layers`` are as of ``load_weights``."""
    network = NetworkOptions(**network_options(options))
    return on_devices(load_weights(network, layers), network)


def compile_buckets(extractor: Extractor, buckets: Buckets) -> None:
    """Compile the network for every padded shape and show the progress; compiled programs are kept."""
    shapes = extractor.pending(buckets)
    purpose = f"compiling, {100 * buckets.padding:.1f} % padding"
    for _ in bar(extractor.compile(shapes), purpose=purpose, total=len(shapes), unit="shape"):
        pass


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a lack of device memory, wherever in a job, into a ``UsageError`` that names the cure."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not memory.is_exhausted(error):
            raise
        raise UsageError(
            "the device's memory is too small, or others use it too: use a smaller --batch or a smaller --max-side, "
            "and run the same command again; the finished shards stay"
        ) from error
