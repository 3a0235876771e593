"""Neighbour graphs and their linear systems against dense float64 matrices."""

import jax
import numpy as np
import pytest

from jaxloc import graphs
from tests.compiled import compiled, jitted
from tests.reference import ranking as reference

graphs = compiled(graphs)


def dense(graph: graphs.Graph) -> np.ndarray:
    matrix = np.zeros((len(graph.indices),) * 2)
    for vertex, (indices, weights) in enumerate(zip(graph.indices, graph.weights, strict=True)):
        for index, weight in zip(np.asarray(indices), np.asarray(weights), strict=True):
            matrix[vertex, index] += weight
    return matrix


def lists(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows and their cosines."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    indices = np.argsort(-cosines, 1, kind="stable")[:, :k]
    return indices, np.take_along_axis(cosines, indices, 1)


def clustered(count: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 12))
    return reference.unit(centres[rng.integers(0, 5, count)] + 0.6 * rng.normal(size=(count, 12)))


def graph_of(vectors: np.ndarray, k: int = 8) -> graphs.Graph:
    return graphs.mutual_neighbors(*lists(vectors, k))


@jitted
def made_of(indices, similarities, exponent):
    """The graph, its degrees, and the graph normalised."""
    graph = graphs.mutual_neighbors(indices, similarities, exponent=exponent)
    return graph, graphs.degrees(graph), graphs.normalize(graph)


@pytest.mark.parametrize("exponent", [1.0, 3.0])
@pytest.mark.parametrize("k", [1, 8, 59])
def test_mutual_neighbours_equal_the_dense_graph(k, exponent):
    vectors = clustered()
    graph, degrees, normalized = made_of(*lists(vectors, k), np.float32(exponent))
    adjacency = reference.mutual_adjacency(vectors, k, exponent)
    np.testing.assert_allclose(dense(graph), adjacency, atol=1e-6)
    np.testing.assert_allclose(dense(graph), dense(graph).T, atol=1e-7)
    np.testing.assert_allclose(degrees, adjacency.sum(1), rtol=1e-5)
    np.testing.assert_allclose(dense(normalized), reference.normalized(adjacency), atol=1e-6)


def test_more_vertices_than_a_block_holds():
    count = 1500
    ring = np.stack([(np.arange(count) - 1) % count, (np.arange(count) + 1) % count, (np.arange(count) + 2) % count], 1)
    graph = graphs.mutual_neighbors(ring, np.ones(ring.shape))
    np.testing.assert_array_equal(graph.weights, np.broadcast_to([1.0, 1.0, 0.0], ring.shape))


def test_self_loops_and_missing_entries_are_no_edges():
    indices = np.array([[0, 1, 2], [1, 0, 2], [1, 2, 0]])
    valid = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    graph = graphs.mutual_neighbors(indices, np.ones((3, 3)), valid=valid)
    np.testing.assert_array_equal(dense(graph), [[0, 1, 1], [1, 0, 0], [1, 0, 0]])


def test_negative_cosines_and_minus_infinity_weigh_nothing():
    graph = graphs.mutual_neighbors(np.array([[1], [0]]), np.full((2, 1), -0.5))
    np.testing.assert_array_equal(graph.weights, 0)
    graph = graphs.mutual_neighbors(np.array([[1], [0]]), np.full((2, 1), -np.inf))
    np.testing.assert_array_equal(graph.weights, 0)


def test_isolated_vertices_normalise_to_zero():
    graph = graphs.normalize(graphs.mutual_neighbors(np.array([[1], [0], [0]]), np.array([[0.5], [0.5], [0.4]])))
    np.testing.assert_allclose(graph.weights, [[1], [1], [0]], rtol=1e-6)
    np.testing.assert_allclose(graphs.solve(graph, np.ones(3), alpha=0.5).values, [2, 2, 1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(60,), (60, 3)])
def test_matvec_is_the_matrix_product(shape):
    graph = graph_of(clustered())
    values = np.random.default_rng(1).normal(size=shape)
    np.testing.assert_allclose(graphs.matvec(graph, values), dense(graph) @ values, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.99])
def test_solution_equals_the_dense_one(alpha):
    vectors = clustered()
    graph = graphs.normalize(graph_of(vectors))
    matrix = np.eye(60) - alpha * reference.normalized(reference.mutual_adjacency(vectors, 8, 3))
    targets = np.stack([np.ones(60), np.eye(60)[3], np.zeros(60)], 1)
    exact = np.linalg.solve(matrix, targets)
    solution = graphs.solve(graph, targets, alpha=np.float32(alpha))
    np.testing.assert_allclose(solution.values, exact, atol=1e-4 * np.abs(exact).max())
    np.testing.assert_array_equal(solution.converged, True)
    alone = graphs.solve(graph, targets[:, 1], alpha=np.float32(alpha))
    np.testing.assert_allclose(alone.values, exact[:, 1], atol=1e-4 * np.abs(exact).max())
    assert alone.converged.shape == ()


def test_a_right_hand_side_of_zeros_is_solved_at_once():
    solution = graphs.solve(graphs.normalize(graph_of(clustered())), np.zeros(60))
    assert solution.converged
    assert solution.iterations == 0
    np.testing.assert_array_equal(solution.values, 0)


def test_too_few_iterations_say_so():
    graph = graphs.normalize(graph_of(clustered()))
    targets = np.stack([np.eye(60)[3], np.zeros(60)], 1)
    solution = graphs.solve(graph, targets, iterations=2)
    np.testing.assert_array_equal(solution.converged, [False, True])
    assert solution.iterations == 2


def test_vmap_changes_nothing():
    stack = [graphs.normalize(graph_of(clustered(seed=seed))) for seed in range(3)]
    batch = jax.tree.map(lambda *x: np.stack(x), *stack)
    together = jitted(jax.vmap(lambda graph, target: graphs.eager.solve(graph, target)))(batch, np.ones((3, 60)))
    for index, graph in enumerate(stack):
        alone = np.linalg.solve(np.eye(60) - 0.99 * dense(graph), np.ones(60))
        np.testing.assert_allclose(together.values[index], alone, rtol=1e-4)


def test_subgraph_keeps_the_edges_among_its_members():
    graph = graph_of(clustered())
    members = np.random.default_rng(2).permutation(60)[:25]
    np.testing.assert_array_equal(dense(graphs.subgraph(graph, members)), dense(graph)[np.ix_(members, members)])
    padded = np.concatenate([members, [-1, members[0]]])
    valid = np.arange(27) < 25
    small = dense(graphs.subgraph(graph, padded, valid=valid))
    np.testing.assert_array_equal(small[:25, :25], dense(graph)[np.ix_(members, members)])
    assert not small[25:].any()
    assert not small[:, 25:].any()


def test_wrong_arguments_are_refused():
    indices, similarities = lists(clustered(), 8)
    graph = graphs.mutual_neighbors(indices, similarities)
    with pytest.raises(ValueError, match=r"similarities must be \(60, 8\).*\(60, 7\)"):
        graphs.mutual_neighbors(indices, similarities[:, :7])
    with pytest.raises(ValueError, match=r"valid must be \(60, 8\)"):
        graphs.mutual_neighbors(indices, similarities, valid=np.ones(60, bool))
    with pytest.raises(ValueError, match=r"\[n, k\].*jax\.vmap"):
        graphs.mutual_neighbors(indices[None], similarities[None])
    with pytest.raises(ValueError, match=r"values must be \[60\] or \[60, m\], got \(59,\)"):
        graphs.matvec(graph, np.ones(59))
    with pytest.raises(ValueError, match=r"right_hand_side must be \[60\]"):
        graphs.solve(graph, np.ones((60, 1, 1)))
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\), got 1"):
        graphs.solve(graph, np.ones(60), alpha=1)
    with pytest.raises(ValueError, match=r"valid must be \(3,\)"):
        graphs.subgraph(graph, np.arange(3), valid=np.ones(2, bool))
