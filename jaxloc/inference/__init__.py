"""Networks in memory: parameters on the devices, programs compiled once per padded shape, features of any images.

Knows devices, and neither files nor progress. Jobs and the functions of ``jaxloc`` itself are built on it.
"""

from jaxloc.inference.devices import DATA, component_backend, divided, local_mesh
from jaxloc.inference.engines import Engine
from jaxloc.inference.extractor import Extractor
from jaxloc.inference.parameters import DeviceWeights
from jaxloc.inference.programs import Maps

__all__ = ["DATA", "DeviceWeights", "Engine", "Extractor", "Maps", "component_backend", "divided", "local_mesh"]
