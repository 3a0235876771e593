"""Plain NumPy float64 transcriptions of the guided filter and of mean field inference in a dense CRF."""

import numpy as np


def upsample_bilinear(values, shape):
    """At half-pixel centres, held at the border; one pixel at a time."""
    values = np.asarray(values, np.float64)
    result = np.empty(shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            place = [
                np.clip((at + 0.5) * cells / pixels - 0.5, 0, cells - 1)
                for at, cells, pixels in zip((y, x), values.shape, shape, strict=True)
            ]
            (top, left), (bottom, right) = np.floor(place).astype(int), np.ceil(place).astype(int)
            down, across = np.array(place) - (top, left)
            upper = (1 - across) * values[top, left] + across * values[top, right]
            lower = (1 - across) * values[bottom, left] + across * values[bottom, right]
            result[y, x] = (1 - down) * upper + down * lower
    return result


def probabilities(indicator, shape, sharpness):
    spread = np.sqrt((np.asarray(indicator, np.float64) ** 2).mean())
    return 1 / (1 + np.exp(-sharpness * upsample_bilinear(indicator, shape) / spread))


def guided(image, values, radius, eps):
    """Equations 19 to 21, one window at a time; ``image`` in [0, 1]."""
    rows, columns = values.shape
    slopes, offsets = np.empty((rows, columns, 3)), np.empty((rows, columns))

    def window(y, x):
        return slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)

    for y, x in np.ndindex(rows, columns):
        colours = image[window(y, x)].reshape(-1, 3).astype(np.float64)
        targets = values[window(y, x)].ravel().astype(np.float64)
        covariance = np.cov(colours.T, bias=True) + eps * np.eye(3)
        slopes[y, x] = np.linalg.solve(
            covariance, colours.T @ targets / len(targets) - colours.mean(0) * targets.mean()
        )
        offsets[y, x] = targets.mean() - slopes[y, x] @ colours.mean(0)
    result = np.empty((rows, columns))
    for y, x in np.ndindex(rows, columns):
        result[y, x] = slopes[window(y, x)].mean((0, 1)) @ image[y, x] + offsets[window(y, x)].mean()
    return np.clip(result, 0, 1)


def kernel(image, deviation, colour_deviation=None):
    """All pairs' ``k(fᵢ, fⱼ)``; ``image`` in 0–255."""
    places = np.stack(np.indices(image.shape[:2]), -1).reshape(-1, 2) / deviation
    features = [places] if colour_deviation is None else [places, image.reshape(-1, 3) / colour_deviation]
    features = np.concatenate(features, -1).astype(np.float64)
    return np.exp(-((features[:, None] - features[None]) ** 2).sum(-1) / 2)


def normalized(weights):
    """``kᵢⱼ / √(Σₗ kᵢₗ Σₗ kⱼₗ)``."""
    share = 1 / np.sqrt(weights.sum(1))
    return share[:, None] * weights * share


def crf(image, values, iterations, appearance, deviation, colour_deviation, smoothness, smooth_deviation):
    """Algorithm 1 with two labels, the messages of all pairs summed one by one."""
    by_appearance = normalized(kernel(image, deviation, colour_deviation))
    by_place = normalized(kernel(image, smooth_deviation))
    object_energy, background_energy = -np.log(values.ravel()), -np.log(1 - values.ravel())
    inside = values.ravel().astype(np.float64)
    for _ in range(iterations):
        both = np.stack([1 - inside, inside])  # the other label's probability is what costs
        messages = appearance * both @ by_appearance + smoothness * both @ by_place
        object_cost, background_cost = object_energy + messages[0], background_energy + messages[1]
        inside = 1 / (1 + np.exp(object_cost - background_cost))
    return inside.reshape(values.shape)
