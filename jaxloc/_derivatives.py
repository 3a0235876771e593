"""Functions whose derivatives are finite where those of the plain ones are not."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def power(x: jax.Array, exponent: ArrayLike) -> jax.Array:
    """``x`` to a power, for ``x`` of 0 or more; its derivative at 0 is 0."""
    zero = x == 0
    return jnp.where(zero, jnp.float32(0) ** exponent, jnp.where(zero, 1, x) ** exponent)


def sqrt(x: jax.Array) -> jax.Array:
    """The square root; its derivative at 0 is 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


@jax.custom_jvp
def log(x: jax.Array) -> jax.Array:
    """The logarithm, -∞ at 0; its derivative there is 0."""
    return jnp.log(x)


@log.defjvp
def _derivative_of_log(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (change,) = primals, tangents
    return jnp.log(x), jnp.where(x == 0, 0, change / jnp.where(x == 0, 1, x))


def eigh(matrix: jax.Array, *, differentiate: bool = False) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues and eigenvectors of a symmetric matrix; the vectors are constants unless ``differentiate``.

    The derivative of an eigenvector divides by the distances between eigenvalues, that of an eigenvalue does not.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors if differentiate else jax.lax.stop_gradient(vectors)
