"""Plain NumPy float64 transcriptions of the pooled descriptors, one cell or region at a time: the tests' oracle."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tests.reference import scda_ddt


def unit(vector: np.ndarray) -> np.ndarray:
    """ℓ2-normalised; zeros stay zero."""
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def lower_mask(mask: np.ndarray, features_lower: np.ndarray) -> np.ndarray:
    """SCDA+: the upsampled object mask, and the lower layer's cells above their own mean."""
    aggregation = features_lower.astype(np.float64).sum(-1)
    return scda_ddt.upsample(mask, aggregation.shape) & (aggregation > aggregation.mean())


def generalized_mean(features: np.ndarray, mask: np.ndarray, power: float, epsilon: float = 1e-6) -> np.ndarray:
    """GeM over the mask; in logarithms, so that large powers do not overflow."""
    logarithms = np.log(np.maximum(features[mask].astype(np.float64), epsilon))
    return np.exp((np.logaddexp.reduce(power * logarithms, axis=0) - np.log(mask.sum())) / power)


def spoc(features: np.ndarray, center: bool) -> np.ndarray:
    """Sum of the descriptors, with or without the Gaussian prior around the middle of the map."""
    rows, columns, dimension = features.shape
    total = np.zeros(dimension)
    sigma = min(rows / 2, columns / 2) / 3
    for y in range(rows):
        for x in range(columns):
            squared = (y + 0.5 - rows / 2) ** 2 + (x + 0.5 - columns / 2) ** 2
            total += features[y, x].astype(np.float64) * (np.exp(-squared / (2 * sigma**2)) if center else 1)
    return unit(total)


def crow_spatial(aggregation: np.ndarray, a: float = 2, b: float = 2) -> np.ndarray:
    """CroW's weight of every cell."""
    aggregation = aggregation.astype(np.float64)
    norm = (aggregation**a).sum() ** (1 / a)
    return (aggregation / norm) ** (1 / b) if norm else np.zeros_like(aggregation)


def crow_sparsity(features: np.ndarray) -> np.ndarray:
    """CroW's weight of every channel."""
    share = np.array([np.count_nonzero(channel) / channel.size for channel in np.moveaxis(features, -1, 0)])
    return np.array([np.log(share.sum() / one) if one > 0 else 0.0 for one in share])


def crow(features: np.ndarray, a: float = 2, b: float = 2) -> np.ndarray:
    """CroW before whitening."""
    features = features.astype(np.float64)
    weighted = features * crow_spatial(features.sum(-1), a, b)[..., None]
    return unit(weighted.sum((0, 1)) * crow_sparsity(features))


def rmac_regions(
    rows: int, columns: int, levels: int = 3, number: Callable = np.float64
) -> list[tuple[int, int, int, int]]:
    """R-MAC's squares as ``x0, y0, x1, y1``, in the published steps and order.

    ``number`` is what is computed in: float64 as MATLAB does, float32 as PyTorch does, or Fraction for no rounding.
    """
    overlap = number(Fraction(2, 5))
    short, long = min(rows, columns), max(rows, columns)
    distances = []
    for steps in (2, 3, 4, 5, 6, 7):
        step = number(Fraction(long - short, steps - 1))
        distances.append(abs((number(short**2) - number(short) * step) / number(short**2) - overlap))
    extra = distances.index(min(distances)) + 1
    extra_columns, extra_rows = (extra if columns > rows else 0), (extra if rows > columns else 0)

    def starts(length: int, side: int, count: int) -> list[int]:
        half = math.floor(side / 2 - 1)
        step = number(Fraction(length - side, count - 1)) if count > 1 else number(0)
        return [math.floor(number(half) + number(place) * step) - half for place in range(count)]

    regions = []
    for level in range(1, levels + 1):
        side = math.floor(2 * short / (level + 1))
        if side == 0:
            continue
        for y in starts(rows, side, level + extra_rows):
            regions += [(x, y, x + side, y + side) for x in starts(columns, side, level + extra_columns)]
    return regions


def rmac(
    features: np.ndarray, levels: int = 3, include_global: bool = False, whitening: Callable | None = None
) -> np.ndarray:
    """Sum of the regions' unit vectors, whitened one by one if asked."""
    features = features.astype(np.float64)
    rows, columns, _ = features.shape
    boxes = rmac_regions(rows, columns, levels, Fraction)
    if include_global:
        boxes.append((0, 0, columns, rows))
    total = np.zeros(1)
    for x0, y0, x1, y1 in boxes:
        vector = unit(features[y0:y1, x0:x1].max((0, 1)))
        total = total + (vector if whitening is None else unit(whitening(vector)))
    return unit(total)


def crop_resize(image: np.ndarray, box: tuple[float, float, float, float], shape: tuple[int, int]) -> np.ndarray:
    """Triangle filter over the pixels of the box, each by the share of it that the box covers."""
    x0, y0, x1, y1 = box

    def weights(low: float, high: float, length: int, count: int) -> np.ndarray:
        out = np.zeros((count, length))
        scale = (high - low) / count
        for i in range(count):
            for pixel in range(length):
                covered = max(min(pixel + 1, high) - max(pixel, low), 0)
                away = abs(pixel + 0.5 - (low + (i + 0.5) * scale)) / max(scale, 1)
                out[i, pixel] = max(1 - away, 0) * covered
        return out / out.sum(1, keepdims=True)

    down, across = weights(y0, y1, image.shape[0], shape[0]), weights(x0, x1, image.shape[1], shape[1])
    return np.einsum("yh,hwc,xw->yxc", down, image.astype(np.float64), across)
