"""From a pile of web photographs, a folder for each class, to a clean data set with boxes."""

from jaxloc.options import CleanOptions
from jaxloc.run.cleaning.clean import Cleaned, clean

__all__ = ["CleanOptions", "Cleaned", "clean"]
