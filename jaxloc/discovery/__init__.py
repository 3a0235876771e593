"""Unsupervised object discovery: what is salient in an image and frequent in a set, and the regions that hold it.

Siméoni, Iscen, Tolias, Avrithis & Chum, "Unsupervised deep object discovery for instance recognition", WACV 2018.

``feature_saliency`` weighs the channels of one image by how rarely they fire. ``find_regions`` fits an expanding
Gaussian mixture to a saliency map, whose components are regions. ``fit_objects`` joins the regions of a set in a graph
and measures how central each is; ``object_saliency`` then looks for what is like the central ones in one image.
``localize`` and ``localize_object`` give the box of the heaviest region by either map, ``descriptor`` a vector.
"""

from jaxloc.discovery.egm import SETTINGS, Regions, Setting, contrast, find_regions
from jaxloc.discovery.localizing import heaviest_region, localize, localize_object
from jaxloc.discovery.objects import ObjectModel, centrality, fit_objects, object_saliency, patch_vectors
from jaxloc.discovery.regions import (
    InnerRegions,
    WeightedVectors,
    descriptor,
    image_regions,
    inner_regions,
    region_saliency,
    region_vectors,
)
from jaxloc.discovery.saliency import feature_saliency
