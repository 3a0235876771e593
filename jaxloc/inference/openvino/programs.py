"""Programs from a batch of images to features that OpenVINO computes; Flax modules define the networks here too."""

import functools
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import openvino
from jax.sharding import Mesh, NamedSharding

from jaxloc.inference.devices import DIVIDED
from jaxloc.inference.openvino.graph import model_of, shared_kernel
from jaxloc.inference.programs import Maps, padded
from jaxloc.models import Backbone, extract_features

_PRECISION = {"float32": "f32", "bfloat16": "bf16"}


class Programs:
    """As ``jaxloc.inference.programs.Programs``, of one set of parameters.

    Each device's part of a batch is one inference on all cores, so that results do not depend on the number of devices.
    """

    def __init__(self, backbone: Backbone, layers: tuple[str, ...], dtype: str, mesh: Mesh) -> None:
        extract = functools.partial(extract_features, backbone=backbone, layers=layers)
        self._step = lambda params, images, sizes: padded(extract(params, images, sizes))
        self._dtype, self._mesh = dtype, mesh
        self._known: Any = None
        self._compiled: dict[tuple[int, ...], _Program] = {}

    def __contains__(self, shape: tuple[int, ...]) -> bool:
        return shape in self._compiled

    def compile(self, params: Any, shape: tuple[int, ...]) -> "_Program":
        """The program for images uint8 of a shape ``[n, rows, columns, 3]``, compiled at the first request."""
        if shape not in self._compiled:
            if self._known is None:
                self._known = jax.tree.map(lambda values: shared_kernel(np.asarray(values)), params)
            each = shape[0] // self._mesh.size
            images = jax.ShapeDtypeStruct((each, *shape[1:]), np.uint8)
            sizes = jax.ShapeDtypeStruct((each, 2), np.int32)
            result = jax.eval_shape(self._step, self._known, images, sizes)
            model = model_of(self._step, self._known, images, sizes)
            self._compiled[shape] = _Program(model, result, self._dtype, self._mesh)
        return self._compiled[shape]

    def temporary_bytes(self, shape: tuple[int, ...]) -> int:
        """Memory that each device's part needs for its largest intermediate results."""
        return self._compiled[shape].temporary_bytes


class _Program:
    def __init__(self, model: openvino.Model, result: Any, dtype: str, mesh: Mesh) -> None:
        sizes = [sum(one.get_tensor().size for one in (*op.inputs(), *op.outputs())) for op in model.get_ordered_ops()]
        self.temporary_bytes = max(sizes)
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISION[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # threads that decode images share the cores
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()
        self._result, self._dtype, self._mesh = result, jnp.dtype(dtype), mesh

    def __call__(self, params: Any, images: Any, sizes: Any) -> Maps:
        parts = zip(*(np.split(np.asarray(one), self._mesh.size) for one in (images, sizes)), strict=True)
        with self._lock:
            found = [[one.copy() for one in self._request.infer(part).values()] for part in parts]
        leaves = [np.concatenate(one) for one in zip(*found, strict=True)]
        maps = jax.device_put(
            jax.tree.unflatten(jax.tree.structure(self._result), leaves), NamedSharding(self._mesh, DIVIDED)
        )
        return {layer: one._replace(features=one.features.astype(self._dtype)) for layer, one in maps.items()}


@functools.lru_cache(maxsize=4)
def programs_of(backbone: Backbone, checksum: str, layers: tuple[str, ...], dtype: str, mesh: Mesh) -> Programs:
    """The programs of the parameters of one ``checksum``, which they contain; the last few networks' are kept."""
    return Programs(backbone, layers, dtype, mesh)


@functools.cache
def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16, which are otherwise emulated."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
