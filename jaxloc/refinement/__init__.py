"""From a coarse response map to a mask of the object at image size.

``object_probabilities`` enlarges the map, ``crf``, ``guided`` or ``grabcut`` fits it to the image, and ``select``
keeps what belongs to the object:

    probabilities = refinement.object_probabilities(found.response, photo.shape[:2], mask=found.mask)
    refined = refinement.crf(photo, probabilities) > 0.5
    coarse = grids.upsample_nearest(found.mask, photo.shape[:2])
    refinement.select(refined, coarse).mask
"""

from jaxloc.refinement.dense_crf import crf
from jaxloc.refinement.grab_cut import check_opencv, grabcut
from jaxloc.refinement.guided_filter import guided
from jaxloc.refinement.probabilities import object_probabilities, upsample_bilinear
from jaxloc.refinement.selection import Refined, select
