"""Name images by a few exemplars of each class, and measure how well that works on given classes."""

from jaxloc.options import EpisodeOptions, NameOptions
from jaxloc.run.fewshot.evaluation import Evaluated, evaluate_episodes
from jaxloc.run.fewshot.naming import Named, NamedImage, name_images
