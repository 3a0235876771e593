"""A linear support vector machine, one class against the rest, fitted by L-BFGS to all classes at once.

Fan et al., "LIBLINEAR: a library for large linear classification", JMLR 2008: the primal problem with the squared
hinge, ``½‖w‖² + C Σ max(0, 1 − y (wᵀx + b))²``, with ``b`` regularised like any other weight. That is what
scikit-learn's ``LinearSVC`` solves by default (``intercept_scaling=1``), and the classifier of SCDA's section 4.3 (Wei
et al., TIP 2017). LIBLINEAR fits one class after another in float64; here each class is a lane of a ``vmap``, so a
step of all of them is two matrix products, in float32. To make float32 and few steps enough, the problem is turned to
the principal axes of the vectors, and each axis is scaled by the curvature it has where every example violates the
margin; that changes the path, not the answer. Vectors should be of moderate length, such as ℓ2-normalised ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_EXACT = jax.lax.Precision.HIGHEST


class LinearSVM(NamedTuple):
    """A fitted machine.

    Attributes:
        weights: float32 ``[c, d]``, a hyperplane's normal for each class.
        bias: float32 ``[c]``.
        present: bool ``[c]``, classes with at least one vector; the others are never predicted.
        converged: bool ``[c]``, whether the gradient fell below the tolerance.
        iterations: int32 ``[c]``, steps that each class took.
    """

    weights: jax.Array
    bias: jax.Array
    present: jax.Array
    converged: jax.Array
    iterations: jax.Array


@jitted("classes", "iterations", "tolerance")
@compiler_chooses()
def fit(
    vectors: ArrayLike,
    targets: ArrayLike,
    *,
    classes: int,
    regularization: ArrayLike = 1.0,
    iterations: int = 500,
    tolerance: float = 1e-6,
    valid: ArrayLike | None = None,
) -> LinearSVM:
    """Fit one hyperplane for each class against all others; a class without vectors is not ``present``.

    To automatic differentiation the hyperplanes are constants.

    Args:
        vectors: ``[n, d]``, used as they are.
        targets: int ``[n]``, each vector's class; one outside ``0 … classes − 1`` is an example against every class.
        classes: their number (static).
        regularization: ``C``, above 0: a larger one fits the examples more closely. May be traced.
        iterations: steps at most.
        tolerance: a class is done once its gradient is shorter than this share of the first one.
        valid: bool ``[n]``, the vectors that count; ``None`` means all.
    """
    x = as_array("vectors", vectors, "[n, d]", jnp.float32)
    targets = jnp.asarray(targets)
    keep = as_flags(valid, x.shape[:1], "vector")
    if targets.shape != keep.shape or not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ValueError(f"targets must be integers {keep.shape}, one per vector, got {targets.dtype} {targets.shape}")
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    own = targets == jnp.arange(classes)[:, None]
    x, regularization = jax.lax.stop_gradient((x, jnp.asarray(regularization, jnp.float32)))
    with_one = jnp.where(keep[:, None], jnp.pad(x, ((0, 0), (0, 1)), constant_values=1), 0)
    axes, projected = _principal_axes(with_one)
    scale = 1 / jnp.sqrt(1 + 2 * regularization * jnp.square(projected).sum(0))
    projected = projected * scale

    def fit_one(own: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        sign = jnp.where(own, 1.0, -1.0)

        def objective(plane: jax.Array) -> jax.Array:
            slack = jnp.maximum(0, 1 - sign * jnp.matmul(projected, plane, precision=_EXACT))
            violation = jnp.where(keep, jnp.square(slack), 0).sum()
            return 0.5 * jnp.square(scale * plane).sum() + regularization * violation

        return _minimise(objective, projected.shape[1], iterations, tolerance)

    planes, converged, count = jax.vmap(fit_one)(own)
    planes = jnp.matmul(planes * scale, axes.T, precision=_EXACT)
    return LinearSVM(planes[:, :-1], planes[:, -1], (own & keep).any(1), converged, count)


@jitted()
def decision(model: LinearSVM, vectors: ArrayLike) -> jax.Array:
    """Signed distance of each vector to each class's hyperplane, in units of the margin.

    Args:
        model: from ``fit``.
        vectors: ``[n, d]``.

    Returns:
        float32 ``[n, c]``, positive on the class's own side; ``-inf`` for classes that were not present.
    """
    x = as_array("vectors", vectors, "[n, d]", jnp.float32)
    if x.shape[1] != model.weights.shape[1]:
        raise ValueError(f"vectors must have {model.weights.shape[1]} dimensions like the model, got {x.shape[1]}")
    values = jnp.matmul(x, model.weights.T, precision=_EXACT) + model.bias
    return jnp.where(model.present, values, -jnp.inf)


@jitted()
def predict(model: LinearSVM, vectors: ArrayLike) -> jax.Array:
    """The class whose hyperplane each vector lies furthest inside of: int32 ``[n]``; of equals, the first.

    Arguments are those of ``decision``.
    """
    return decision(model, vectors).argmax(1).astype(jnp.int32)


def _principal_axes(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Orthonormal ``[d, k]`` that span the rows of ``x [n, d]``, and ``x`` in them, ``[n, k]``, ``k = min(n, d)``."""
    if x.shape[0] < x.shape[1]:
        span, triangle = jnp.linalg.qr(x.T)
        inside = triangle.T
    else:
        span, inside = None, x
    _, rotation = jnp.linalg.eigh(jnp.matmul(inside.T, inside, precision=_EXACT))
    axes = rotation if span is None else jnp.matmul(span, rotation, precision=_EXACT)
    return axes, jnp.matmul(inside, rotation, precision=_EXACT)


def _minimise(
    objective: Callable[[jax.Array], jax.Array], dimension: int, iterations: int, tolerance: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where a convex function is least, whether the tolerance was met, and the steps it took."""
    solver = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(objective)
    start = jnp.zeros(dimension)
    steepest = jnp.linalg.norm(jax.grad(objective)(start))

    def step(carry):  # type: ignore[no-untyped-def]
        point, state, _, count = carry
        value, gradient = value_and_gradient(point, state=state)
        update, state = solver.update(gradient, state, point, value=value, grad=gradient, value_fn=objective)
        # The line search leaves the gradient of where it ended in the state.
        return point + update, state, jnp.linalg.norm(optax.tree.get(state, "grad")), count + 1

    def unfinished(carry) -> jax.Array:  # type: ignore[no-untyped-def]
        return (carry[2] > tolerance * steepest) & (carry[3] < iterations)

    point, _, length, count = jax.lax.while_loop(unfinished, step, (start, solver.init(start), steepest, jnp.int32(0)))
    return point, length <= tolerance * steepest, count
