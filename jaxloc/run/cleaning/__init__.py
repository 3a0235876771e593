"""From a pile of web photographs, a folder for each class, to a clean data set with boxes."""

from jaxloc.run.cleaning.clean import Cleaned, clean
from jaxloc.run.cleaning.options import CleaningOptions

__all__ = ["Cleaned", "CleaningOptions", "clean"]
