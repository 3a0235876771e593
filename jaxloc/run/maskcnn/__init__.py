"""Mask-CNN: parts learnt from key points, and classes from the image and the crops of its parts."""

from jaxloc.options import MaskCnnOptions
from jaxloc.run.maskcnn.applying import apply_maskcnn
from jaxloc.run.maskcnn.training import Trained, train_maskcnn
