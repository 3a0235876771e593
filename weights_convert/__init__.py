"""Weights as others publish them, read without the libraries that wrote them, and written as jaxloc's own.

Only HDF5 (Keras, and MATLAB 7.3) needs one more package, ``h5py``: ``pip install 'jaxloc[convert]'``. Nothing
in a file is ever executed. ``python -m weights_convert --help`` says what comes from where.
"""

from weights_convert.reading import FORMATS, convert, read

__all__ = ["FORMATS", "convert", "read"]
