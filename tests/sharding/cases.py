"""One call of every public function of the pure modules, for one element of a batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxloc import (
    attributes,
    beam,
    bilinear,
    boxes,
    cam,
    centers,
    clustering,
    components,
    crops,
    crow,
    ddt,
    discovery,
    eiss,
    encoding,
    fusion,
    graphs,
    grids,
    localization,
    losses,
    lost,
    maskcnn,
    mixture,
    moments,
    parts,
    piecewise,
    pooling,
    ranking,
    refinement,
    rmac,
    scda,
    spoc,
    spreading,
    svm,
    tokencut,
    tracks,
    whitening,
)
from tests import colours
from tests.sharding.elements import CHANNELS, CLUSTERS, COLUMNS, LONGEST, NUMBER, ROWS, Element


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


def _signed(e: Element) -> tuple[Any, ...]:
    return e.normal(ROWS, COLUMNS, CHANNELS), e.size()


def _signed_image(e: Element) -> tuple[Any, ...]:
    return *_signed(e), e.image_size()


def _sized_image(e: Element) -> tuple[Any, ...]:
    return e.features(), e.size(), e.image_size()


def _valid_samples(e: Element) -> tuple[Any, ...]:
    return e.samples(), e.rng.random(NUMBER) < 0.8


def _search(e: Element) -> tuple[Any, ...]:
    return e.unit(3, CHANNELS), e.unit(NUMBER, CHANNELS)


def _targets(boxes: Any) -> centers.Targets:
    return centers.targets(boxes, np.arange(len(boxes)), shape=(ROWS, COLUMNS), kinds=CHANNELS)


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
    "beam.search": Case(
        lambda image, size: beam.search(
            colours.features, colours.head, image, np.eye(3, dtype=np.float32)[0], size=size, side=28, beam=2, depth=2
        ),
        lambda e: e.image()[::2],
    ),
    "bilinear.descriptor": Case(
        lambda x, mask, axes: bilinear.descriptor(x, mask, axes=axes), lambda e: (*_masked(e), e.normal(3, CHANNELS))
    ),
    "bilinear.fit_axes": Case(lambda m: bilinear.fit_axes(m, dimension=3), lambda e: (e.some_moments(),)),
    "boxes.area": Case(boxes.area, lambda e: (e.box(),)),
    "boxes.cells_to_pixels": Case(
        lambda box, image, size: boxes.cells_to_pixels(box, image, size=size),
        lambda e: (e.box(), e.image_size(), e.size()),
    ),
    "boxes.iou": Case(boxes.iou, lambda e: (e.box(), e.box())),
    "boxes.mask_to_box": Case(
        lambda mask, image, size: boxes.mask_to_box(mask & grids.valid_cells(size, mask.shape), image, size=size),
        lambda e: (e.mask(), e.image_size(), e.size()),
    ),
    "cam.activation_map": Case(cam.activation_map, lambda e: (e.features(), e.normal(CHANNELS))),
    "cam.fuse": Case(lambda small, large: cam.fuse([small, large]), lambda e: (e.normal(3, 4), e.map())),
    "cam.spread": Case(cam.spread, lambda e: (abs(e.map()), abs(e.features()))),
    "centers.detect": Case(
        lambda x, sides: centers.detect(x, sides, most=4), lambda e: (e.features(), e.normal(ROWS, COLUMNS, 4))
    ),
    "centers.loss": Case(
        lambda x, sides, boxes, size: centers.loss(x, sides, _targets(boxes), size=size),
        lambda e: (e.features(), e.normal(ROWS, COLUMNS, 4), e.box()[None], e.size()),
    ),
    "centers.targets": Case(_targets, lambda e: (np.stack([e.box(), e.box()]),)),
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
    "components.component_with": Case(components.component_with, lambda e: (e.mask(), np.int32(e.rng.integers(ROWS)))),
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
    "ddt.alignment": Case(ddt.alignment, lambda e: (e.unit(NUMBER, CHANNELS),)),
    "ddt.deviation": Case(lambda m, x, s: ddt.deviation(m, x, size=s), lambda e: (e.model(), *_sized(e))),
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
    "ddt.orient": Case(ddt.orient, lambda e: (e.model(), e.normal(2))),
    "ddt.standard_maps": Case(ddt.standard_maps, lambda e: (e.model(), e.features())),
    "ddt.sign_evidence": Case(
        lambda m, x: ddt.sign_evidence(m, x, x, sign="attention"), lambda e: (e.model(), e.features())
    ),
    "ddt.positive_cells": Case(lambda x, size: ddt.positive_cells(x, size=size), _sized_map),
    "discovery.centrality": Case(
        lambda vectors: discovery.centrality(vectors, neighbors=3), lambda e: (e.unit(NUMBER, CHANNELS),)
    ),
    "discovery.contrast": Case(lambda x: discovery.contrast(abs(x), threshold=0.3, exponent=0.5), lambda e: (e.map(),)),
    "discovery.descriptor": Case(
        lambda vectors, weights: discovery.descriptor(discovery.WeightedVectors(vectors, weights)),
        lambda e: (e.unit(NUMBER, CHANNELS), e.rng.random(NUMBER).astype(np.float32)),
    ),
    "discovery.feature_saliency": Case(lambda x, size: discovery.feature_saliency(x, size=size), _sized),
    "discovery.find_regions": Case(
        lambda x, size: discovery.find_regions(abs(x), size=size, setting=discovery.Setting(0.1, 1.0, 0.5)), _sized_map
    ),
    "discovery.heaviest_region": Case(
        lambda x, size, image: discovery.heaviest_region(abs(x), image, size=size),
        lambda e: (*_sized_map(e), e.image_size()),
    ),
    "discovery.image_regions": Case(
        lambda x, size, found: discovery.image_regions(x, found, size=size, weigh="equal"),
        lambda e: (*_sized(e), e.regions()),
    ),
    "discovery.inner_regions": Case(discovery.inner_regions, lambda e: (e.regions(),)),
    "discovery.localize": Case(lambda x, size, image: discovery.localize(x, image, size=size), _sized_image),
    "discovery.localize_object": Case(
        lambda model, x, size, image: discovery.localize_object(model, x, image, size=size, side=3),
        lambda e: (e.objects(), *_sized_image(e)),
    ),
    "discovery.object_saliency": Case(
        lambda model, x, saliency, size: discovery.object_saliency(model, x, abs(saliency), size=size, side=3),
        lambda e: (e.objects(), e.features(), e.map(), e.size()),
    ),
    "discovery.patch_vectors": Case(
        lambda model, x, size: discovery.patch_vectors(model, x, size=size, side=3), lambda e: (e.objects(), *_sized(e))
    ),
    "discovery.region_saliency": Case(
        discovery.region_saliency, lambda e: (e.map(), np.array([[0, 0, 2, 3], [1, 1, 6, 6]], np.int32))
    ),
    "discovery.region_vectors": Case(
        discovery.region_vectors, lambda e: (e.features(), np.array([[0, 0, 2, 3], [1, 1, 6, 6]], np.int32))
    ),
    "eiss.erase": Case(eiss.erase, lambda e: (e.features(), e.rng.integers(0, 5, 4).astype(np.int32))),
    "eiss.search": Case(
        lambda image, size: eiss.search(colours.score, image, size=size, side=28, grid=2, best=1, max_iterations=2),
        lambda e: e.image()[::2],
    ),
    "encoding.fisher_vector": Case(encoding.fisher_vector, lambda e: (e.gaussians(), *_masked(e))),
    "encoding.signed_sqrt": Case(encoding.signed_sqrt, lambda e: (e.normal(CHANNELS),)),
    "encoding.vlad": Case(encoding.vlad, lambda e: (e.kmeans(), *_masked(e))),
    "fusion.late_fusion": Case(
        lambda x, y, weights: fusion.late_fusion([x, y], weights=weights),
        lambda e: (e.normal(3), e.normal(3), e.rng.random(2).astype(np.float32)),
    ),
    "graphs.degrees": Case(graphs.degrees, lambda e: (e.graph(),)),
    "graphs.katz": Case(lambda graph: graphs.katz(graph, alpha=0.5), lambda e: (e.graph(),)),
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
    "grids.box_cells": Case(
        lambda box: grids.box_cells(box, (ROWS, COLUMNS)), lambda e: (np.array([0, 1, 2, 4], np.int32),)
    ),
    "grids.flip_columns": Case(lambda x, size: grids.flip_columns(x, size=size), _sized_map),
    "grids.map_size": Case(lambda size: grids.map_size(size, (ROWS, COLUMNS)), lambda e: (e.size(),)),
    "grids.upsample_nearest": Case(
        lambda x, size, target: grids.upsample_nearest(x, (9, 8), size=size, target_size=target),
        lambda e: (e.map(), e.size(), e.size()),
    ),
    "grids.valid_cells": Case(lambda size: grids.valid_cells(size, (ROWS, COLUMNS)), lambda e: (e.size(),)),
    "localization.every_component": Case(localization.every_component, lambda e: (e.mask(), e.image_size())),
    "localization.of_peak": Case(
        lambda x, image, size: localization.of_peak(x, image, threshold=0.4, size=size),
        lambda e: (e.map(), e.image_size(), e.size()),
    ),
    "localization.peak": Case(
        lambda x, image, size: localization.peak(x, image, size=size), lambda e: (e.map(), e.image_size(), e.size())
    ),
    "maskcnn.part_boxes": Case(
        lambda x, image, size: maskcnn.part_boxes(x[..., :3], image, size=size),
        lambda e: (e.features(), e.image_size(), e.size()),
    ),
    "maskcnn.part_targets": Case(
        lambda boxes: maskcnn.part_targets(boxes, (2, 3), stride=2), lambda e: (np.stack([e.box(), e.box()]),)
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
    "piecewise.class_means": Case(
        lambda x, labels: piecewise.class_means(x, labels, classes=CLUSTERS), lambda e: (e.samples(), e.labels())
    ),
    "piecewise.classifiers": Case(
        lambda mapping, means: piecewise.classifiers(mapping, means, gain=2.0), lambda e: (e.mapping(), e.normal(3, 6))
    ),
    "piecewise.init": Case(lambda key: piecewise.init(key, pieces=2, dimension=3, hidden=(4,)), lambda e: (e.key(),)),
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
    "rmac.region_vectors": Case(lambda x, s: rmac.region_vectors(x, size=s, levels=2, include_global=True), _sized),
    "rmac.regions": Case(rmac.regions, lambda e: (e.size(),)),
    "scda.aggregation_map": Case(scda.aggregation_map, lambda e: (e.features(),)),
    "scda.descriptor": Case(scda.descriptor, _masked),
    "scda.descriptor_flip_plus": Case(
        scda.descriptor_flip_plus, lambda e: (e.normal(4 * CHANNELS), e.normal(4 * CHANNELS))
    ),
    "scda.descriptor_plus": Case(scda.descriptor_plus, lambda e: (*_masked(e), *_masked(e))),
    "losses.coupled_clusters": Case(losses.coupled_clusters, lambda e: (e.normal(4, CHANNELS), e.normal(3, CHANNELS))),
    "losses.triplets": Case(losses.triplets, lambda e: tuple(e.normal(3, NUMBER, CHANNELS))),
    "lost.likes": Case(lambda x, size: lost.likes(x, size=size), _signed),
    "lost.similarity": Case(lambda x, size: lost.similarity(x, k=9, size=size), _signed),
    "lost.localize": Case(lambda x, size, image: lost.localize(x, image, k=9, size=size), _signed_image),
    "spreading.spread": Case(lambda p, x, m, size: spreading.spread(p, x, m, size=size), Element.spreadable),
    "spreading.localize": Case(lambda x, size: spreading.localize(x, size, size=size), _sized_map),
    "tokencut.cut": Case(lambda x, size: tokencut.cut(x, size=size), _signed),
    "tokencut.localize": Case(lambda x, size, image: tokencut.localize(x, image, size=size), _signed_image),
    "scda.localize": Case(lambda x, size, image: scda.localize(x, image, size=size), _sized_image),
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
    "whitening.fit_shrunk": Case(lambda found: whitening.fit_shrunk(found, dimension=3), lambda e: (e.spectrum(),)),
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
        lambda x, k: whitening.spectrum_of_samples(x, k, centred=True), _valid_samples
    ),
}
"""Every public function that a batch may be mapped over, by module and name."""
