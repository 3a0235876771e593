"""Plain NumPy float64 transcriptions of SCDA and DDT, one image and one loop at a time: the tests' oracle."""

import numpy as np


def components(mask: np.ndarray, connectivity: int = 8) -> np.ndarray:
    """Labels by flood fill in raster order."""
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if connectivity == 8:
        around += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    labels = np.zeros(mask.shape, int)
    number = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number += 1
        labels[start] = number
        stack = [start]
        while stack:
            y, x = stack.pop()
            for dy, dx in around:
                cell = (y + dy, x + dx)
                inside = 0 <= cell[0] < mask.shape[0] and 0 <= cell[1] < mask.shape[1]
                if inside and mask[cell] and not labels[cell]:
                    labels[cell] = number
                    stack.append(cell)
    return labels


def largest(mask: np.ndarray, connectivity: int = 8) -> np.ndarray:
    """Most cells; the first of equals."""
    labels = components(mask, connectivity)
    if not labels.max():
        return np.zeros(mask.shape, bool)
    sizes = [(labels == number).sum() for number in range(1, labels.max() + 1)]
    return labels == int(np.argmax(sizes)) + 1


def upsample(mask: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Nearest neighbour at half-pixel centres."""
    rows = [int(np.floor((y + 0.5) * mask.shape[0] / image_size[0])) for y in range(image_size[0])]
    columns = [int(np.floor((x + 0.5) * mask.shape[1] / image_size[1])) for x in range(image_size[1])]
    return mask[np.ix_(rows, columns)]


def box(mask: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Tight half-open box of the upsampled mask; NaN if empty."""
    y, x = np.nonzero(upsample(mask, image_size))
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float) if len(y) else np.full(4, np.nan)


def scda_mask(features: np.ndarray) -> np.ndarray:
    """Largest component of the cells whose channel sum exceeds the mean."""
    aggregation = features.astype(np.float64).sum(-1)
    return largest(aggregation > aggregation.mean())


def scda_descriptor(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Average and max over the mask, each of unit length, concatenated."""
    selected = features.astype(np.float64)[mask]
    if not len(selected):
        return np.zeros(2 * features.shape[-1])
    blocks = [selected.mean(0), selected.max(0)]
    return np.concatenate([block / np.linalg.norm(block) for block in blocks])


def ddt_fit(maps: list[np.ndarray], k: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, components and eigenvalues of all descriptors, positively correlated with the channel sum."""
    x = np.concatenate([features.reshape(-1, features.shape[-1]) for features in maps]).astype(np.float64)
    mean = x.mean(0)
    covariance = (x - mean).T @ (x - mean) / len(x)
    values, vectors = np.linalg.eigh(covariance)
    components = vectors[:, ::-1][:, :k].T.copy()
    for component in components:
        if np.cov((x - mean) @ component, x.sum(1))[0, 1] < 0:
            component *= -1
    return mean, components, values[::-1][:k]


def ddt_indicator(features: np.ndarray, mean: np.ndarray, component: np.ndarray) -> np.ndarray:
    """First-principal-component value of every cell."""
    return (features.astype(np.float64) - mean) @ component
