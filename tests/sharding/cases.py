"""One call of every public function of the pure modules, for one element of a batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxloc import (
    attributes,
    beam,
    boxes,
    cam,
    clustering,
    components,
    crops,
    crow,
    ddt,
    eiss,
    encoding,
    graphs,
    grids,
    localization,
    mixture,
    moments,
    parts,
    pooling,
    ranking,
    refinement,
    rmac,
    scda,
    spoc,
    svm,
    tracks,
    whitening,
)
from tests import colours

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

    def extremes(self, first: int) -> attributes.Extremes:
        indices = first + np.stack([self.rng.permutation(9)[:LONGEST] for _ in range(CHANNELS)]).astype(np.int32)
        values = np.sort(self.normal(CHANNELS, LONGEST))
        return attributes.Extremes(indices, indices, values[:, ::-1].copy(), values, np.ones(LONGEST, bool))

    def spectrum(self) -> whitening.Spectrum:
        directions = np.linalg.qr(self.normal(CHANNELS, CHANNELS))[0].astype(np.float32)
        values = -np.sort(-self.rng.random(CHANNELS).astype(np.float32)) + 0.1
        return whitening.Spectrum(self.normal(CHANNELS), directions, values, np.float32(40))

    def pairs(self) -> whitening.Pairs:
        return whitening.Pairs(self.some_moments(), self.some_moments().scatter, self.some_moments().scatter)

    def hyperplanes(self) -> svm.LinearSVM:
        numbers = np.ones(CLUSTERS, np.int32)
        return svm.LinearSVM(self.normal(CLUSTERS, CHANNELS), self.normal(CLUSTERS), numbers > 0, numbers > 0, numbers)


class Case(NamedTuple):
    """A function of one element's arrays, and how to make these."""

    function: Callable[..., Any]
    arguments: Callable[[Element], tuple[Any, ...]]


def _masked(e: Element) -> tuple[Any, ...]:
    return e.features(), e.mask()


def _sized_map(e: Element) -> tuple[Any, ...]:
    return e.map(), e.size()


def _parts(e: Element) -> tuple[Any, ...]:
    return e.normal(3, ROWS, COLUMNS), np.array([3, 2, 1], np.float32), e.mask(), e.size()


def _sized(e: Element) -> tuple[Any, ...]:
    return e.features(), e.size()


def _valid_samples(e: Element) -> tuple[Any, ...]:
    return e.samples(), e.rng.random(NUMBER) < 0.8


def _search(e: Element) -> tuple[Any, ...]:
    return e.unit(3, CHANNELS), e.unit(NUMBER, CHANNELS)


CASES = {
    "attributes.extremes": Case(
        lambda x, keep: attributes.extremes(x, count=LONGEST, valid=keep, dimensions=(2, 0)), _valid_samples
    ),
    "attributes.merge": Case(attributes.merge, lambda e: (e.extremes(0), e.extremes(9))),
    "beam.children": Case(beam.children, lambda e: (e.normal(ROWS, ROWS, CHANNELS),)),
    "beam.heat_map": Case(
        lambda places, scores, image: beam.heat_map(places, scores, image, shape=(5, 4)),
        lambda e: (np.stack([e.box(), e.box()]), e.normal(2), e.image_size()),
    ),
    "beam.point": Case(beam.point, lambda e: (e.map(), e.image_size())),
    "beam.search": Case(
        lambda image, size: beam.search(
            colours.features, colours.head, image, np.eye(3, dtype=np.float32)[0], size=size, side=28, beam=2, depth=2
        ),
        lambda e: e.image()[::2],
    ),
    "boxes.area": Case(boxes.area, lambda e: (e.box(),)),
    "boxes.iou": Case(boxes.iou, lambda e: (e.box(), e.box())),
    "boxes.mask_to_box": Case(
        lambda mask, image, size: boxes.mask_to_box(mask & grids.valid_cells(size, mask.shape), image, size=size),
        lambda e: (e.mask(), e.image_size(), e.size()),
    ),
    "cam.activation_map": Case(cam.activation_map, lambda e: (e.features(), e.normal(CHANNELS))),
    "clustering.assign": Case(clustering.assign, lambda e: (e.kmeans(), e.features())),
    "clustering.fit_kmeans": Case(
        lambda key, x, keep: clustering.fit_kmeans(key, x, keep, clusters=CLUSTERS, iterations=5),
        lambda e: (e.key(), *_valid_samples(e)),
    ),
    "clustering.kmeans_converged": Case(
        clustering.kmeans_converged, lambda e: (e.kmeans(), e.kmeans(), e.kmeans_sums())
    ),
    "clustering.kmeans_plus_plus": Case(
        lambda key, x: clustering.kmeans_plus_plus(key, x, clusters=CLUSTERS), lambda e: (e.key(), e.samples())
    ),
    "clustering.kmeans_sums": Case(clustering.kmeans_sums, lambda e: (e.kmeans(), *_masked(e))),
    "clustering.kmeans_update": Case(clustering.kmeans_update, lambda e: (e.kmeans(), e.kmeans_sums())),
    "clustering.lloyd": Case(
        lambda model, x: clustering.lloyd(model, x, iterations=5), lambda e: (e.kmeans(), e.features())
    ),
    "clustering.merge": Case(clustering.merge, lambda e: (e.kmeans_sums(), e.kmeans_sums())),
    "components.label": Case(components.label, lambda e: (e.mask(),)),
    "components.largest_component": Case(components.largest_component, lambda e: (e.mask(),)),
    "crops.crop_resize": Case(
        lambda image, box, size: crops.crop_resize(image, box, (3, 4), size=size),
        lambda e: (e.features(), e.box(), e.size()),
    ),
    "crow.descriptor": Case(lambda x, size: crow.descriptor(x, size=size), _sized),
    "crow.sparsity_weights": Case(lambda x, size: crow.sparsity_weights(x, size=size), _sized),
    "crow.spatial_weights": Case(lambda x, size: crow.spatial_weights(x, size=size), _sized_map),
    "ddt.agree": Case(
        lambda below, model, x, x_below: ddt.agree(below, model, moments.of(x, below=x_below)),
        lambda e: (e.model(), e.model(), e.features(), e.features()),
    ),
    "ddt.fit": Case(ddt.fit, lambda e: (e.some_moments(),)),
    "ddt.indicator_maps": Case(ddt.indicator_maps, lambda e: (e.model(), e.features())),
    "ddt.localize": Case(
        lambda model, x, image, below, x_below, size: ddt.localize(
            model, x, image, below=below, features_below=x_below, size=size
        ),
        lambda e: (e.model(), e.features(), e.image_size(), e.model(), e.features(), e.size()),
    ),
    "ddt.noise_score": Case(lambda x, size: ddt.noise_score(x, size=size), _sized_map),
    "ddt.object_mask": Case(
        lambda x, below, size: ddt.object_mask(x, below, size=size),
        lambda e: (e.map(), e.map(), e.size()),
    ),
    "ddt.orient": Case(ddt.orient, lambda e: (e.model(), e.rng.random(2).astype(np.float32))),
    "ddt.positive_cells": Case(lambda x, size: ddt.positive_cells(x, size=size), _sized_map),
    "eiss.erase": Case(eiss.erase, lambda e: (e.features(), e.rng.integers(0, 5, 4).astype(np.int32))),
    "eiss.search": Case(
        lambda image, size: eiss.search(colours.score, image, size=size, side=28, grid=2, best=1, max_iterations=2),
        lambda e: e.image()[::2],
    ),
    "encoding.fisher_vector": Case(encoding.fisher_vector, lambda e: (e.gaussians(), *_masked(e))),
    "encoding.signed_sqrt": Case(encoding.signed_sqrt, lambda e: (e.normal(CHANNELS),)),
    "encoding.vlad": Case(encoding.vlad, lambda e: (e.kmeans(), *_masked(e))),
    "graphs.degrees": Case(graphs.degrees, lambda e: (e.graph(),)),
    "graphs.matvec": Case(graphs.matvec, lambda e: (e.graph(), e.normal(NUMBER))),
    "graphs.mutual_neighbors": Case(
        graphs.mutual_neighbors,
        lambda e: (np.argsort(e.normal(NUMBER, NUMBER))[:, :LONGEST].astype(np.int32), e.normal(NUMBER, LONGEST)),
    ),
    "graphs.normalize": Case(graphs.normalize, lambda e: (e.graph(),)),
    "graphs.solve": Case(graphs.solve, lambda e: (e.graph(), e.normal(NUMBER))),
    "graphs.subgraph": Case(
        graphs.subgraph, lambda e: (e.graph(), e.rng.permutation(NUMBER)[:LONGEST].astype(np.int32))
    ),
    "grids.flip_columns": Case(lambda x, size: grids.flip_columns(x, size=size), _sized_map),
    "grids.map_size": Case(lambda size: grids.map_size(size, (ROWS, COLUMNS)), lambda e: (e.size(),)),
    "grids.upsample_nearest": Case(
        lambda x, size, target: grids.upsample_nearest(x, (9, 8), size=size, target_size=target),
        lambda e: (e.map(), e.size(), e.size()),
    ),
    "grids.valid_cells": Case(lambda size: grids.valid_cells(size, (ROWS, COLUMNS)), lambda e: (e.size(),)),
    "localization.of_peak": Case(
        lambda x, image, size: localization.of_peak(x, image, size=size),
        lambda e: (e.map(), e.image_size(), e.size()),
    ),
    "mixture.expectation_maximization": Case(
        lambda start, x: mixture.expectation_maximization(start, x, iterations=5),
        lambda e: (e.gaussians(), e.features()),
    ),
    "mixture.fit_gaussian_mixture": Case(
        lambda key, x, keep: mixture.fit_gaussian_mixture(key, x, keep, components=2, iterations=5),
        lambda e: (e.key(), *_valid_samples(e)),
    ),
    "mixture.hard_sums": Case(mixture.hard_sums, lambda e: (e.kmeans(), *_masked(e))),
    "mixture.initial_mixture": Case(mixture.initial_mixture, lambda e: (e.kmeans(), e.gaussian_sums())),
    "mixture.log_likelihood": Case(mixture.log_likelihood, lambda e: (e.gaussians(), e.features())),
    "mixture.mean_log_likelihood": Case(mixture.mean_log_likelihood, lambda e: (e.gaussians(), e.gaussian_sums())),
    "mixture.mixture_sums": Case(mixture.mixture_sums, lambda e: (e.gaussians(), *_masked(e))),
    "mixture.mixture_update": Case(mixture.mixture_update, lambda e: (e.gaussians(), e.gaussian_sums())),
    "mixture.responsibilities": Case(mixture.responsibilities, lambda e: (e.gaussians(), e.features())),
    "moments.covariance": Case(moments.covariance, lambda e: (e.some_moments(),)),
    "moments.merge": Case(moments.merge, lambda e: (e.some_moments(), e.some_moments())),
    "moments.of": Case(moments.of, _masked),
    "moments.of_segments": Case(
        lambda x, segments, keep: moments.of_segments(x, segments, 2, keep),
        lambda e: (e.features(), e.rng.integers(-1, 3, ROWS).astype(np.int32), e.mask()),
    ),
    "parts.divide": Case(lambda x, values, mask, size: parts.divide(x, values, mask, number=3, size=size), _parts),
    "parts.localize": Case(
        lambda x, values, mask, size, image: parts.localize(x, values, mask, image, number=3, size=size),
        lambda e: (*_parts(e), e.image_size()),
    ),
    "pooling.average_max_pool": Case(pooling.average_max_pool, _masked),
    "pooling.average_pool": Case(pooling.average_pool, _masked),
    "pooling.generalized_mean_pool": Case(pooling.generalized_mean_pool, _masked),
    "pooling.l2_normalize": Case(pooling.l2_normalize, lambda e: (e.normal(CHANNELS),)),
    "pooling.max_pool": Case(pooling.max_pool, _masked),
    "ranking.database_augmentation": Case(
        lambda gallery: ranking.database_augmentation(gallery, neighbors=2), lambda e: (e.unit(NUMBER, CHANNELS),)
    ),
    "ranking.diffuse": Case(
        lambda found, graph: ranking.diffuse(found, graph, neighbors=2), lambda e: (e.lists(), e.graph())
    ),
    "ranking.expand": Case(ranking.expand, lambda e: (e.unit(CHANNELS), e.unit(LONGEST, CHANNELS))),
    "ranking.expand_queries": Case(ranking.expand_queries, lambda e: (*_search(e), e.lists())),
    "ranking.merge": Case(ranking.merge, lambda e: (e.lists(), e.lists()._replace(indices=e.lists().indices + NUMBER))),
    "ranking.nearest_others": Case(
        lambda vectors: ranking.nearest_others(vectors, k=LONGEST), lambda e: (e.unit(NUMBER, CHANNELS),)
    ),
    "ranking.neighbor_graph": Case(
        lambda vectors: ranking.neighbor_graph(vectors, k=LONGEST), lambda e: (e.unit(NUMBER, CHANNELS),)
    ),
    "ranking.reciprocal_distances": Case(
        lambda query, others: ranking.reciprocal_distances(query, others, neighbors=3, expansion=2),
        lambda e: (e.unit(CHANNELS), e.unit(NUMBER, CHANNELS)),
    ),
    "ranking.rerank": Case(
        lambda queries, gallery, found: ranking.rerank(queries, gallery, found, neighbors=2, expansion=2),
        lambda e: (*_search(e), e.lists()),
    ),
    "ranking.top_k": Case(
        lambda queries, gallery: ranking.top_k(queries, gallery, k=LONGEST, chunk=NUMBER // 2), _search
    ),
    "refinement.crf": Case(
        lambda image, values, size: refinement.crf(image, values, size=size, iterations=2, appearance_deviation=3.0),
        lambda e: e.image(),
    ),
    "refinement.guided": Case(
        lambda image, values, size: refinement.guided(image, values, size=size, radius=2), lambda e: e.image()
    ),
    "refinement.object_probabilities": Case(
        lambda x, mask, size, target: refinement.object_probabilities(
            x, (9, 8), mask=mask, size=size, target_size=target
        ),
        lambda e: (e.map(), e.mask(), e.size(), e.size()),
    ),
    "refinement.select": Case(
        lambda mask, coarse, size: refinement.select(mask, coarse, size=size),
        lambda e: (e.mask(), e.mask(), e.size()),
    ),
    "refinement.upsample_bilinear": Case(
        lambda x, size, target: refinement.upsample_bilinear(x, (9, 8), size=size, target_size=target),
        lambda e: (e.map(), e.size(), e.size()),
    ),
    "rmac.descriptor": Case(lambda x, size: rmac.descriptor(x, size=size), _sized),
    "rmac.region_vectors": Case(
        lambda x, size: rmac.region_vectors(x, size=size, levels=2, include_global=True), _sized
    ),
    "rmac.regions": Case(rmac.regions, lambda e: (e.size(),)),
    "scda.aggregation_map": Case(scda.aggregation_map, lambda e: (e.features(),)),
    "scda.descriptor": Case(scda.descriptor, _masked),
    "scda.descriptor_flip_plus": Case(
        scda.descriptor_flip_plus, lambda e: (e.normal(4 * CHANNELS), e.normal(4 * CHANNELS))
    ),
    "scda.descriptor_plus": Case(scda.descriptor_plus, lambda e: (*_masked(e), *_masked(e))),
    "scda.localize": Case(
        lambda x, image, size: scda.localize(x, image, size=size),
        lambda e: (e.features(), e.image_size(), e.size()),
    ),
    "scda.lower_mask": Case(
        lambda mask, lower, size: scda.lower_mask(mask, lower, size=size), lambda e: (e.mask(), e.map(), e.size())
    ),
    "scda.mean_mask": Case(lambda x, size: scda.mean_mask(x, size=size), _sized_map),
    "scda.object_mask": Case(lambda x, size: scda.object_mask(x, size=size), _sized_map),
    "spoc.center_prior": Case(lambda size: spoc.center_prior((ROWS, COLUMNS), size=size), lambda e: (e.size(),)),
    "spoc.descriptor": Case(lambda x, size: spoc.descriptor(x, size=size), _sized),
    "svm.decision": Case(svm.decision, lambda e: (e.hyperplanes(), e.samples())),
    "svm.fit": Case(
        lambda x, labels: svm.fit(x, labels, classes=CLUSTERS, iterations=5), lambda e: (e.samples(), e.labels())
    ),
    "svm.predict": Case(svm.predict, lambda e: (e.hyperplanes(), e.samples())),
    "tracks.smooth": Case(
        tracks.smooth,
        lambda e: (np.sort(e.normal(NUMBER, 2, 2), 1).reshape(NUMBER, 4) * 50, e.rng.random(NUMBER) < 0.7),
    ),
    "whitening.apply": Case(
        whitening.apply,
        lambda e: (whitening.Whitening(e.normal(CHANNELS), e.normal(CHANNELS, 3)), e.samples()),
    ),
    "whitening.fit": Case(lambda spectrum: whitening.fit(spectrum, dimension=3), lambda e: (e.spectrum(),)),
    "whitening.fit_supervised": Case(
        # More directions than classes less one are alike to it, and rounding chooses among them.
        lambda x, labels: whitening.fit_supervised(whitening.pairs_of_samples(x, labels), dimension=CLUSTERS - 1),
        lambda e: (e.samples(), e.labels()),
    ),
    "whitening.merge_pairs": Case(whitening.merge_pairs, lambda e: (e.pairs(), e.pairs())),
    "whitening.pairs_of_class": Case(whitening.pairs_of_class, lambda e: (e.some_moments(),)),
    "whitening.pairs_of_samples": Case(whitening.pairs_of_samples, lambda e: (e.samples(), e.labels())),
    "whitening.rank": Case(whitening.rank, lambda e: (e.spectrum(),)),
    "whitening.spectrum": Case(lambda m: whitening.spectrum(m, centred=True), lambda e: (e.some_moments(),)),
    "whitening.spectrum_of_samples": Case(
        lambda x, keep: whitening.spectrum_of_samples(x, keep, centred=True), _valid_samples
    ),
}
"""Every public function that a batch may be mapped over, by module and name."""

ELSEWHERE = {
    "attributes.empty": "takes no arrays",
    "clustering.psum": "works across devices: see test_collectives",
    "components.label_stack": "NumPy on the host",
    "components.largest_stack": "NumPy on the host",
    "moments.count": "gives a Python integer, on the host",
    "moments.empty": "takes no arrays",
    "moments.psum": "works across devices: see test_collectives",
    "parts.components_needed": "gives a Python integer",
    "ranking.empty": "takes no arrays",
    "refinement.check_opencv": "takes no arrays",
    "refinement.grabcut": "OpenCV on the host",
    "ranking.sharded_top_k": "takes the mesh itself: see tests/ranking",
}
"""The rest, and why."""
