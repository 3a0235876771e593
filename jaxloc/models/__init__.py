"""Networks: features of images by layer name, and the weights they need. The only place that imports flax."""

from jaxloc.models.architectures import layer_names, map_side, minimum_side, stride
from jaxloc.models.compiling import compiler_options
from jaxloc.models.extract import Network, extract_features
from jaxloc.models.preparing import Method, prepare
from jaxloc.models.preprocessing import CAFFE_BGR, CAFFE_RGB, TORCHVISION, Preprocessing
from jaxloc.models.vgg import VGG, FeatureMap
from jaxloc.models.weights import cache_folder, load
from jaxloc.models.weights_file import Weights, describe, save

__all__ = [
    "CAFFE_BGR",
    "CAFFE_RGB",
    "TORCHVISION",
    "VGG",
    "FeatureMap",
    "Method",
    "Network",
    "Preprocessing",
    "Weights",
    "cache_folder",
    "compiler_options",
    "describe",
    "extract_features",
    "layer_names",
    "load",
    "map_side",
    "minimum_side",
    "prepare",
    "save",
    "stride",
]
