"""The example that pages share: a few images with known boxes, and the network's maps of them.

The images are composed by ``jaxloc.data.demo`` from photographs that ship inside scikit-image.
"""

import numpy as np

import jaxloc
from jaxloc.data import demo

composed = demo.compose(with_object=12, without=4)
images = [composed[number] for number in (0, 7, 4, 3, 8, 11, 12, 15)]  # of two shapes: programs compile quickly
photos = [np.asarray(image.image) for image in images]  # uint8 [h, w, 3]
sizes = [np.array(photo.shape[:2]) for photo in photos]

net = jaxloc.load("vgg16")
maps = net.features(photos, ["pool5", "relu5_3", "relu5_2"])  # for each image, [h, w, d] by layer
