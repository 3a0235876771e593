"""Ground truth and predictions, in everyone's files."""

from jaxloc.data.annotations.coco import read_coco
from jaxloc.data.annotations.problems import Annotations, Problem
from jaxloc.data.annotations.reading import read
from jaxloc.data.annotations.records import Annotated, Annotation, Keypoint, MaskFile, Pixels, Polygons, Rle
