"""Weighted k-nearest-neighbour graphs as padded lists, and linear systems on them by conjugate gradients.

Iscen, Tolias, Avrithis, Furon & Chum, "Efficient diffusion on region manifolds", CVPR 2017, sections 3 and 4; Siméoni,
Iscen, Tolias, Avrithis & Chum, "Unsupervised deep object discovery for instance recognition", 2017, sections 3.6 and
3.7. A graph of n vertices with at most k edges each holds ``2 n k`` numbers; nothing of size n² is made.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags, check_rank
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_ROWS = 1024
_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


class Graph(NamedTuple):
    """An undirected graph: row i lists the edges of vertex i, so every edge is listed in two rows.

    Attributes:
        indices: int32 ``[n, k]``, the vertex at the other end.
        weights: float32 ``[n, k]``, non-negative; 0 where there is no edge.
    """

    indices: jax.Array
    weights: jax.Array


class Solution(NamedTuple):
    """What ``solve`` found.

    Attributes:
        values: float32, of the right-hand side's shape.
        converged: bool ``[]`` or ``[m]``, whether each right-hand side's residual fell below the tolerance.
        iterations: int32 ``[]``, steps made.
    """

    values: jax.Array
    converged: jax.Array
    iterations: jax.Array


@jitted("exponent")
@compiler_chooses()
def mutual_neighbors(
    indices: ArrayLike, similarities: ArrayLike, *, valid: ArrayLike | None = None, exponent: float = 3.0
) -> Graph:
    """Join vertices that are in each other's lists, with weight ``max(similarity, 0)^β``.

    Args:
        indices: int ``[n, k]``, the nearest vertices of each vertex, such as 50. A vertex in its own list is ignored:
            there are no self-loops.
        similarities: ``[n, k]``, cosines.
        valid: bool ``[n, k]``, False where a list is shorter than k; ``None`` means all are full.
        exponent: β, 3 in the papers.
    """
    indices, similarities = as_array("indices", indices, "[n, k]", jnp.int32), jnp.asarray(similarities, jnp.float32)
    if similarities.shape != indices.shape:
        raise ValueError(f"similarities must be {indices.shape} like indices, got {similarities.shape}")
    present = as_flags(valid, indices.shape, "listed vertex")
    vertices = jnp.arange(len(indices), dtype=jnp.int32)
    present &= indices != vertices[:, None]
    indices = jnp.where(present, indices, vertices[:, None])

    def is_mutual(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        vertex, listed = row
        return ((indices[listed] == vertex) & present[listed]).any(-1)

    mutual = jax.lax.map(is_mutual, (vertices, indices), batch_size=_ROWS)
    return Graph(indices, jnp.where(present & mutual, power(jnp.maximum(similarities, 0), exponent), 0))


@jitted()
def degrees(graph: Graph) -> jax.Array:
    """The sum of each vertex's edge weights, float32 ``[n]``."""
    check_rank("weights", graph.weights, "[n, k]")
    return jnp.asarray(graph.weights, jnp.float32).sum(-1)


@jitted()
@compiler_chooses(rows=True)
def normalize(graph: Graph) -> Graph:
    """Symmetric normalisation ``D^-½ W D^-½`` with 0/0 = 0: eigenvalues within [−1, 1]."""
    degree = degrees(graph)
    scale = jnp.where(degree > 0, jax.lax.rsqrt(jnp.where(degree > 0, degree, 1)), 0)
    return Graph(graph.indices, scale[:, None] * graph.weights * scale[graph.indices])


@jitted()
@compiler_chooses()
def subgraph(graph: Graph, members: ArrayLike, *, valid: ArrayLike | None = None) -> Graph:
    """The edges among some vertices, renumbered in the order of ``members``; weights stay as they are.

    Args:
        graph: of n vertices.
        members: int ``[m]``, different vertices.
        valid: bool ``[m]``, False for members to leave without edges; ``None`` means all are valid.
    """
    check_rank("weights", graph.weights, "[n, k]")
    members = as_array("members", members, "[m]", jnp.int32)
    keep = as_flags(valid, members.shape, "member")
    count = len(graph.weights)
    own = jnp.arange(len(members), dtype=jnp.int32)
    places = jnp.full(count, -1, jnp.int32).at[jnp.where(keep, members, count)].set(own, mode="drop")
    found = places[graph.indices[members]]
    inside = (found >= 0) & keep[:, None]
    weights = jnp.asarray(graph.weights, jnp.float32)[members]
    return Graph(jnp.where(inside, found, own[:, None]), jnp.where(inside, weights, 0))


@jitted()
@compiler_chooses(rows=True)
def matvec(graph: Graph, values: ArrayLike) -> jax.Array:
    """The product of the weight matrix with a vector ``[n]`` or with the columns of ``[n, m]``."""
    values = _columns("values", graph, values)

    def add(total: jax.Array, column: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        indices, weights = column
        return total + weights.reshape(-1, *[1] * (values.ndim - 1)) * values[indices], None

    # Column by column, so that the gathered rows of [n, m] values are never [n, k, m].
    return jax.lax.scan(add, jnp.zeros_like(values), (graph.indices.T, graph.weights.T))[0]


@jitted("alpha", "tolerance", "iterations")
@compiler_chooses()
def solve(
    graph: Graph, right_hand_side: ArrayLike, *, alpha: float = 0.99, tolerance: float = 1e-6, iterations: int = 200
) -> Solution:
    """Solve ``(I − αW) f = y`` by conjugate gradients; times ``1 − α`` this is the papers' ``ℒ_α f = y``.

    In float32 values agree with a direct float64 solution to about 1e-5 of the largest at α = 0.99.

    Args:
        graph: normalised (``normalize``), so that the matrix is positive-definite.
        right_hand_side: y, ``[n]`` or, for several systems at once, ``[n, m]``.
        alpha: in [0, 1); 0.99 in the papers.
        tolerance: stop once the residual's length is at most this share of y's.
        iterations: maximum number of steps.
    """
    target = _columns("right_hand_side", graph, right_hand_side)
    if isinstance(alpha, float | int) and not 0 <= alpha < 1:
        raise ValueError(f"alpha must lie in [0, 1), got {alpha}")

    def multiply(x: jax.Array) -> jax.Array:
        return x - alpha * matvec(graph, x)

    def find(multiply: Callable[[jax.Array], jax.Array], y: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        enough = tolerance**2 * _dot(y, y)

        def unfinished(state: _State) -> jax.Array:
            step, _, _, _, square = state
            return (step < iterations) & (square > enough).any()

        def advance(state: _State) -> _State:
            step, values, residual, direction, square = state
            product = multiply(direction)
            curvature = _dot(direction, product)
            active = (square > enough) & (curvature > 0)
            length = jnp.where(active, square / jnp.where(active, curvature, 1), 0)
            values, residual = values + length * direction, residual - length * product
            after = _dot(residual, residual)
            turn = jnp.where(active, after / jnp.where(active, square, 1), 0)
            return step + 1, values, residual, residual + turn * direction, after

        # The counter is like the rest, not a constant: inside shard_map all that is solved asks for one type.
        start = (jnp.zeros_like(y, shape=(), dtype=jnp.int32), jnp.zeros_like(y), y, y, _dot(y, y))
        step, values, _, _, square = jax.lax.while_loop(unfinished, advance, start)
        return values, (square <= enough, step)

    # The derivative of a solution is itself a solution, so JAX does not look into the loop.
    values, (converged, step) = jax.lax.custom_linear_solve(multiply, target, find, symmetric=True, has_aux=True)
    return Solution(values, converged, step)


@jitted("alpha", "tolerance", "iterations")
def katz(graph: Graph, *, alpha: float = 0.99, tolerance: float = 1e-6, iterations: int = 200) -> Solution:
    """Katz centrality of each vertex, ``(1 − α) (I − αW)⁻¹ 1`` (Siméoni et al., section 3.7).

    Args:
        graph: normalised (``normalize``), of n vertices.
        alpha: in [0, 1); 0.99 in the paper.
        tolerance: as in ``solve``.
        iterations: maximum number of steps.

    Returns:
        ``Solution`` with values ``[n]``: about 1 where edges are many, ``1 − α`` of a vertex without edges.
    """
    everywhere = jnp.ones_like(degrees(graph))
    found = solve(graph, everywhere, alpha=alpha, tolerance=tolerance, iterations=iterations)
    return found._replace(values=(1 - alpha) * found.values)


def _columns(name: str, graph: Graph, values: ArrayLike) -> jax.Array:
    """A vector or a matrix of columns with a row for each vertex."""
    check_rank("weights", graph.weights, "[n, k]")
    values, count = jnp.asarray(values, jnp.float32), len(graph.weights)
    if values.ndim not in (1, 2) or len(values) != count:
        raise ValueError(f"{name} must be [{count}] or [{count}, m], got {values.shape}")
    return values


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return (a * b).sum(0)
