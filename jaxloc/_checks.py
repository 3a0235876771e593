"""Checks of arguments that every public function shares; they look at shapes only, so they cost nothing under jit."""

from typing import Any


def check_rank(name: str, array: Any, rank: int, layout: str) -> None:
    """Raise ``ValueError`` unless an array has ``rank`` axes; the ``layout`` is in words, such as ``"[h, w, d]"``."""
    shape = tuple(array.shape)
    if len(shape) == rank:
        return
    cure = " for a batch wrap the function in jax.vmap" if len(shape) > rank else " a leading axis may have been lost"
    raise ValueError(f"{name} must be {layout} ({rank} axes), got shape {shape};{cure}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise ``ValueError`` naming the choices unless ``value`` is one of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
