"""Plain NumPy float64 transcriptions of what ranks a gallery, dense and one row at a time: the tests' oracle."""

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def order(scores: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Gallery rows by falling score, then rising index, rows of zeros last."""
    scores = np.where((gallery == 0).all(-1), -np.inf, scores)
    return np.argsort(-scores, axis=-1, kind="stable")


def expand(query: np.ndarray, neighbors: np.ndarray, exponent: float) -> np.ndarray:
    """α-query expansion, a sum over neighbours."""
    total = query.astype(np.float64).copy()
    for neighbor in neighbors.astype(np.float64):
        total += max(float(neighbor @ query), 0.0) ** exponent * neighbor
    return unit(total)


def reciprocal_distances(query: np.ndarray, candidates: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    """Zhong et al.'s re-ranking of one query and its gallery, with Python sets."""
    x = np.concatenate([query[None], candidates]).astype(np.float64)
    count = len(x)
    distances = np.array([[((a - b) ** 2).sum() for b in x] for a in x])
    largest = distances.max(1, keepdims=True)
    distances = distances / np.where(largest > 0, largest, 1)
    ranks = [sorted(range(count), key=lambda j: (j != i, distances[i, j], j)) for i in range(count)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranks[i][: k + 1] if i in ranks[j][: k + 1]}

    encodings = np.zeros((count, count))
    for i in range(count):
        members = reciprocal(i, k1)
        extended = set(members)
        for j in members:
            half = reciprocal(j, int(np.around(k1 / 2)))
            if 3 * len(half & members) > 2 * len(half):
                extended |= half
        chosen = sorted(extended)
        weights = np.exp(-distances[i, chosen])
        encodings[i, chosen] = weights / weights.sum()
    encodings = np.array([encodings[ranks[i][:k2]].mean(0) for i in range(count)])
    result = []
    for j in range(1, count):
        shared = np.minimum(encodings[0], encodings[j]).sum()
        result.append((1 - weight) * (1 - shared / (2 - shared)) + weight * distances[0, j])
    return np.array(result)


def mutual_adjacency(vectors: np.ndarray, k: int, exponent: float) -> np.ndarray:
    """Dense weights of the mutual k-nearest-neighbour graph."""
    count = len(vectors)
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    lists = []
    for i in range(count):
        zero = (vectors == 0).all(-1)
        lists.append(sorted((j for j in range(count) if j != i), key=lambda j: (zero[j], -cosines[i, j], j))[:k])
    adjacency = np.zeros((count, count))
    for i in range(count):
        for j in lists[i]:
            if i in lists[j]:
                adjacency[i, j] = max(cosines[i, j], 0) ** exponent
    return adjacency


def normalized(adjacency: np.ndarray) -> np.ndarray:
    """``D^-½ W D^-½`` with 0/0 = 0."""
    degree = adjacency.sum(1)
    scale = np.array([1 / np.sqrt(value) if value > 0 else 0.0 for value in degree])
    return scale[:, None] * adjacency * scale


def diffuse(cosines: np.ndarray, adjacency: np.ndarray, k: int, exponent: float, alpha: float) -> np.ndarray:
    """The dense solution for one query, its ``k`` nearest vectors given by its cosines."""
    target = np.zeros(len(cosines))
    for j in np.argsort(-cosines, kind="stable")[:k]:
        target[j] = max(cosines[j], 0) ** exponent
    return np.linalg.solve(np.eye(len(cosines)) - alpha * normalized(adjacency), target)
