"""Compiler options for functions that run a network."""

import functools

import jax


@functools.cache
def compiler_options() -> dict[str, str] | None:
    """Options for ``jax.jit(…, compiler_options=…)`` that make a network faster on this platform, or ``None``.

    jaxlib 0.10's CPU compiler puts a whole convolutional network into one experimental fusion that is slower than its
    parts; the option disables it for one function. Releases without the option get ``None``.
    """
    if jax.default_backend() != "cpu":
        return None
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options
