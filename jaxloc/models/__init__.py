"""Networks: features of images by layer name, and the weights that they need. The only place that imports flax."""

from jaxloc.models.backbone import Backbone, Defaults, FeatureMap, Head, Layer, Names
from jaxloc.models.extract import extract_features
from jaxloc.models.preparing import Method, compiler_options, prepare
from jaxloc.models.preprocessing import CAFFE_BGR, CAFFE_RGB, TORCHVISION, Preprocessing
from jaxloc.models.registry import BACKBONES, find
from jaxloc.models.vgg import VGG
from jaxloc.models.weights import cache_folder, load
from jaxloc.models.weights_file import Weights, describe, save
