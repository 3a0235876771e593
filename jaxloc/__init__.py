"""Find the object in images without boxes, with nothing but a pre-trained network, in JAX.

The short way, in memory::

    net = jaxloc.load("vgg16")
    found = jaxloc.colocalize(photos, net)  # paths, arrays or PIL images that share an object
    found[0].box, found[0].score
    jaxloc.plot(photos, found)
    jaxloc.discover(pile, net).groups  # of unsorted photos

The methods are pure functions of arrays, one module a paper: ``scda`` (one image), ``ddt`` (an image set), ``spoc``,
``crow``, ``rmac`` and ``encoding`` (other descriptors), ``ranking`` (search). ``jaxloc.models`` turns images into
features, and ``jaxloc.run`` holds the jobs behind the ``jaxloc`` command. Arguments of a wrong shape, type or range
raise ``ValueError`` with the cure. Everything is imported at its first use; ``__init__.pyi`` lists it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
