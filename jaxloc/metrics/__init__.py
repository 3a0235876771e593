"""Measures of localisation, retrieval and grouping, on the host in float64: for people, not to be differentiated.

Boxes are ``x0, y0, x1, y1``; shares are in [0, 1]. What cannot be measured is NaN, never 0 or 1.
"""

from jaxloc.metrics.bootstrap import Interval, bootstrap_interval, interval_of, resamples
from jaxloc.metrics.clusters import BCubed, bcubed, normalized_mutual_information, purity
from jaxloc.metrics.co_occurrence import co_occurrence, rescore
from jaxloc.metrics.counting import Counting, best_count_threshold, counting, counts_above
from jaxloc.metrics.detections import Matched, match_boxes, match_points
from jaxloc.metrics.identities import Reidentified, one_of_each, reidentify
from jaxloc.metrics.localization import correct_boxes, correct_localization, top_one_localization
from jaxloc.metrics.masks import jaccard, pixel_precision
from jaxloc.metrics.means import Mean, mean_of
from jaxloc.metrics.overlap import box_iou
from jaxloc.metrics.parts import CUB_PARTS, assign_parts, correct_parts, part_boxes
from jaxloc.metrics.rankings import (
    Judged,
    average_precision,
    interpolated_average_precision,
    judge,
    recall_at,
    top_k_average_precision,
    trapezoid_average_precision,
)
from jaxloc.metrics.roc import Roc, roc_auc, roc_curve
from jaxloc.metrics.saliency import saliency_auc, saliency_precision
from jaxloc.metrics.score_maps import (
    MAP_SIDE,
    MAP_THRESHOLDS,
    Overlaps,
    box_overlaps,
    max_box_accuracy,
    pixel_average_precision,
    pixel_counts,
    score_map_boxes,
)
