"""How nearly the images of a set are aligned, and so whether they share an object that DDT sees."""

from collections.abc import Collection

import numpy as np

from jaxloc import ddt
from jaxloc.report.records import Finding

ALIGNED = 0.2
"""Alignment at or below which an image lacks the object. Chosen on six classes of VOC 2007, where it loses less than 1
in 20 of the images of a class, in small images too, whose alignment is lower."""

SHARED = 0.6
"""Median alignment of a set's other images below which they hardly share an object: classes of VOC 2007, pets and birds
in which DDT finds boxes have 0.62 and more, VOC's boats 0.55 to 0.59, and unsorted images 0.3 to 0.57."""


def align(findings: Collection[Finding]) -> np.ndarray:
    """``ddt.alignment`` of the images of a set, compiled for few numbers of images."""
    number = len(findings)
    deviations = np.array([finding.deviation for finding in findings], np.float32)
    rows = 1 << (number - 1).bit_length()
    return np.asarray(ddt.alignment(np.pad(deviations, ((0, rows - number), (0, 0)))))[:number]


def shared(aligned: np.ndarray) -> float:
    """Median alignment of the images that do not lack the object."""
    showing = aligned[aligned > ALIGNED]
    return float(np.median(showing)) if len(showing) else 0.0
