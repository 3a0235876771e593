"""Random arguments for the cases of public functions."""

import jax
import numpy as np

from jaxloc import (
    attributes,
    clustering,
    ddt,
    discovery,
    graphs,
    mixture,
    moments,
    piecewise,
    ranking,
    svm,
    whitening,
)

ROWS, COLUMNS, CHANNELS = 6, 7, 5
NUMBER, CLUSTERS, LONGEST = 12, 3, 4


class Element:
    """Random arguments of one element; every batch is made of different ones."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def features(self) -> np.ndarray:
        return np.maximum(self.normal(ROWS, COLUMNS, CHANNELS) + 0.3, 0)

    def map(self) -> np.ndarray:
        return self.normal(ROWS, COLUMNS)

    def spreadable(self) -> tuple[np.ndarray, ...]:
        return self.map(), self.features(), self.normal(CHANNELS), self.size()

    def mask(self) -> np.ndarray:
        return self.rng.random((ROWS, COLUMNS)) < 0.4

    def size(self) -> np.ndarray:
        return np.array([self.rng.integers(4, ROWS + 1), self.rng.integers(4, COLUMNS + 1)], np.int32)

    def image_size(self) -> np.ndarray:
        return self.rng.integers(60, 90, 2).astype(np.int32)

    def box(self) -> np.ndarray:
        low = self.rng.random(2) * 2
        return np.concatenate([low, low + 1 + self.rng.random(2) * 2]).astype(np.float32)

    def image(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = self.rng.random((ROWS, COLUMNS, 4)).astype(np.float32)
        return values[..., :3], values[..., 3], self.size()

    def key(self) -> jax.Array:
        return jax.random.PRNGKey(int(self.rng.integers(1000)))

    def samples(self) -> np.ndarray:
        return self.normal(NUMBER, CHANNELS)

    def labels(self) -> np.ndarray:
        return self.rng.permutation(np.arange(NUMBER) % CLUSTERS).astype(np.int32)

    def unit(self, *shape: int) -> np.ndarray:
        vectors = self.normal(*shape)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def some_moments(self) -> moments.Moments:
        samples = self.samples()
        centred = samples - samples.mean(0)
        return moments.Moments(np.array([0, NUMBER], np.int32), samples.mean(0), centred.T @ centred)

    def model(self) -> ddt.Model:
        directions = np.linalg.qr(self.normal(CHANNELS, CHANNELS))[0][:2].astype(np.float32)
        return ddt.Model(self.normal(CHANNELS) / 10, directions, *np.abs(self.normal(3, 2)))

    def kmeans(self) -> clustering.KMeans:
        return clustering.KMeans(self.normal(CLUSTERS, CHANNELS))

    def kmeans_sums(self) -> clustering.KMeansSums:
        counts = self.rng.integers(1, 9, CLUSTERS).astype(np.int32)
        return clustering.KMeansSums(counts, self.normal(CLUSTERS, CHANNELS), np.float32(self.rng.random()))

    def gaussians(self) -> mixture.GaussianMixture:
        weights = self.rng.random(CLUSTERS).astype(np.float32) + 1
        spread = np.abs(self.normal(CLUSTERS, CHANNELS)) + 0.5
        return mixture.GaussianMixture(weights / weights.sum(), self.normal(CLUSTERS, CHANNELS), spread)

    def gaussian_sums(self) -> mixture.GaussianMixtureSums:
        counts = self.rng.random(CLUSTERS).astype(np.float32) + 1
        shape = CLUSTERS, CHANNELS
        squares = np.abs(self.normal(*shape)) + 3
        return mixture.GaussianMixtureSums(counts, self.normal(*shape), squares, np.float32(self.rng.random()))

    def graph(self) -> graphs.Graph:
        places = self.rng.permutation(NUMBER)
        indices = np.empty((NUMBER, 2), np.int32)
        indices[places] = np.stack([np.roll(places, 1), np.roll(places, -1)], 1)
        return graphs.Graph(indices, np.full((NUMBER, 2), 0.5, np.float32))

    def lists(self) -> ranking.TopK:
        indices = np.stack([self.rng.permutation(NUMBER)[:LONGEST] for _ in range(3)]).astype(np.int32)
        scores = -np.sort(-self.rng.random((3, LONGEST)).astype(np.float32))
        return ranking.TopK(scores, indices, np.ones((3, LONGEST), bool))

    def objects(self) -> discovery.ObjectModel:
        whiten = whitening.Whitening(self.normal(CHANNELS) / 9, self.normal(CHANNELS, 3))
        return discovery.ObjectModel(self.unit(NUMBER, 3), np.abs(self.normal(NUMBER)), whiten)

    def regions(self) -> discovery.Regions:
        """Two regions, and a slot without one."""
        low = self.rng.integers(0, 2, (2, 2))
        cells = np.zeros((3, 4), np.int32)
        cells[:2] = np.concatenate([low, low + self.rng.integers(1, 4, (2, 2))], 1)
        edges, means = cells.astype(np.float32), (cells[:, :2] + cells[:, 2:] - 1) / np.float32(2)
        weights, variances = np.array([0.6, 0.4, 0], np.float32), np.abs(self.normal(3, 2))
        return discovery.Regions(cells, edges, weights, means, variances, weights > 0, np.int32(4))

    def extremes(self, first: int) -> attributes.Extremes:
        indices = first + np.stack([self.rng.permutation(9)[:LONGEST] for _ in range(CHANNELS)]).astype(np.int32)
        values = np.sort(self.normal(CHANNELS, LONGEST))
        return attributes.Extremes(indices, indices, values[:, ::-1].copy(), values, np.ones(LONGEST, bool))

    def mapping(self) -> piecewise.Mapping:
        return piecewise.Mapping((self.normal(2, 3, 4), self.normal(2, 4, 3)), (self.normal(2, 4), self.normal(2, 3)))

    def spectrum(self) -> whitening.Spectrum:
        directions = np.linalg.qr(self.normal(CHANNELS, CHANNELS))[0].astype(np.float32)
        values = -np.sort(-self.rng.random(CHANNELS).astype(np.float32)) + 0.1
        return whitening.Spectrum(self.normal(CHANNELS), directions, values, np.float32(40))

    def pairs(self) -> whitening.Pairs:
        return whitening.Pairs(self.some_moments(), self.some_moments().scatter, self.some_moments().scatter)

    def hyperplanes(self) -> svm.LinearSVM:
        numbers = np.ones(CLUSTERS, np.int32)
        return svm.LinearSVM(self.normal(CLUSTERS, CHANNELS), self.normal(CLUSTERS), numbers > 0, numbers > 0, numbers)
