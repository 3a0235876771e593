"""Automatic checkout: compose images of products with boxes, learn to count them, count."""

from jaxloc.run.checkout.compose import ComposedSet, compose
from jaxloc.run.checkout.count import CountedImages, count
from jaxloc.run.checkout.model import Counter
from jaxloc.run.checkout.train import TrainedCounter, train
