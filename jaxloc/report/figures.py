"""Counts and scores of a job's findings, of each set and of all, in one pass over any number of images."""

import math
from array import array
from collections import Counter, defaultdict

import numpy as np

from jaxloc.report.records import Finding, Findings


def status(finding: Finding) -> str:
    """``"found"``, ``"noisy"`` or ``"nothing found"``: exactly one holds."""
    if finding.noisy:
        return "noisy"
    return "found" if finding.found else "nothing found"


class Figures:
    """The figures of one set.

    Attributes:
        scores: finite scores of the images where the object was found.
        shares: finite object shares (``noise_score``) of all images.
        with_shares: whether an image has an object share, finite or not.
    """

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.skipped = 0
        self.scores = array("d")
        self.shares = array("d")
        self.with_shares = False

    def add(self, finding: Finding) -> None:
        """Count an image."""
        which = status(finding)
        self.statuses[which] += 1
        if which == "found" and math.isfinite(finding.score):
            self.scores.append(finding.score)
        if finding.noise_score is not None:
            self.with_shares = True
            if math.isfinite(finding.noise_score):
                self.shares.append(finding.noise_score)


def median(values: array) -> str:
    """The median with two decimals, a dash of none."""
    return f"{np.median(values):.2f}" if values else "–"


def median_share(values: array) -> str:
    """The median of shares in percent, with a decimal for small ones; a dash of none."""
    share = np.median(values) if values else np.nan
    return "–" if np.isnan(share) else f"{100 * share:.{1 if share < 0.2 else 0}f} %"


def of_sets(findings: Findings) -> dict[str, Figures]:
    """The figures of each set, by its name and in order of it; of each score eight bytes are kept."""
    figures: dict[str, Figures] = defaultdict(Figures)
    for finding in findings.light():
        figures[finding.category].add(finding)
    for item in findings.skipped:
        figures[item.category].skipped += 1
    return dict(sorted(figures.items()))
