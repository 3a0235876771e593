"""jaxloc: find the objects in images without boxes, with nothing but a pre-trained network, in JAX.

Methods are pure functions of arrays: ``scda`` (one image), ``ddt`` (an image set), ``spoc``, ``crow``, ``rmac`` and
``encoding`` (other descriptors), ``ranking`` (search), over ``boxes``, ``components``, ``grids``, ``moments``,
``pooling``, ``clustering``, ``whitening`` and ``metrics``. ``jaxloc.models`` turns images into features.
``jaxloc.run`` holds the jobs behind the ``jaxloc`` command.
"""

import importlib.metadata

__version__ = importlib.metadata.version("jaxloc")
