"""The libraries that compute a network's feature maps."""

import importlib.util
from pathlib import Path
from typing import Literal, get_args

import jax

from jaxloc.errors import UsageError
from jaxloc.models import Backbone

Engine = Literal["auto", "xla", "openvino"]
"""What computes the network; ``"auto"`` is OpenVINO where it gains by bfloat16, and XLA elsewhere."""


def resolve(engine: str, backbone: Backbone, dtype: str) -> str:
    """The engine that computes a network: ``"xla"`` or ``"openvino"``.

    ``"auto"`` is OpenVINO in bfloat16 on a processor with fast instructions for it (AMX), where XLA is slower in
    bfloat16 than in float32, and XLA otherwise: in float32 the bytes of a result do not depend on what else is
    installed. Networks with depthwise convolutions stay with XLA.

    Raises:
        UsageError: an unknown engine, or OpenVINO without the package or a CPU.
    """
    if engine not in get_args(Engine):
        raise UsageError(f"engine must be one of {', '.join(get_args(Engine))}, not {engine!r}")
    on_cpu, installed = jax.default_backend() == "cpu", importlib.util.find_spec("openvino") is not None
    if engine == "auto":
        wins = dtype == "bfloat16" and not backbone.cpu_fusion
        return "openvino" if wins and on_cpu and installed and _gains_by_bfloat16() else "xla"
    if engine == "openvino":
        if not installed:
            raise UsageError("--engine openvino needs OpenVINO: pip install 'jaxloc[openvino]'")
        if not on_cpu:
            raise UsageError(f"--engine openvino computes on CPUs, and JAX runs on {jax.default_backend()} here")
    return engine


def _gains_by_bfloat16() -> bool:
    from jaxloc.inference.openvino.programs import computes_bfloat16

    about = Path("/proc/cpuinfo")
    return computes_bfloat16() and _is_fast(about.read_text() if about.is_file() else "")


def _is_fast(processor: str) -> bool:
    """Whether instructions for bfloat16 gain anything: Intel's AVX512_BF16 without AMX is slower than float32.

    Args:
        processor: Linux's description of it, empty elsewhere.
    """
    return "amx_bf16" in processor or "GenuineIntel" not in processor
