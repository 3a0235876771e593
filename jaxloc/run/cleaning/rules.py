"""Decide which images of a collection are kept: by their noise, and by what they repeat or contradict.

1. An image is noise if its alignment with its class (``ddt.alignment``) is at or below ``ALIGNED``. Or by the paper's
   measure: if the share of its cells with a positive indicator is at or below the class's threshold: 0 or 0.1 (X.-S.
   Wei et al., "Unsupervised object discovery and co-localization by deep descriptor transforming", Pattern Recognition
   2019, section 4.6.1), or where the knee of the class's scores lies. A class without a knee falls back to 0.
2. Of the images that are left, those that nearly repeat each other in shape and colour form a group around the largest
   of them (of equally large ones the first by name). All in one class: that one is kept, the others are duplicates. In
   several classes: at least one label is wrong and nothing here tells which, so all of the group are dropped as
   contradictions until a person decides. An image that is noise in one class and not in another contradicts nothing; it
   names the other.

The knee of a class's sorted scores is where they stop to rise steeply, as noise passes into images with the object
(V. Satopää et al., "Finding a 'Kneedle' in a haystack: detecting knee points in system behavior", ICDCS workshops
2011): the curve is scaled to the unit square, and a local maximum of its height above the diagonal is a knee if the
height falls, before the next local maximum, by more than the mean distance of two points (a sensitivity of 1); the
first knee is taken. Deviations: the points are the scores themselves, not smoothed, and the knee lies in the lower half
of the images, since the object is taken to be in most of them.

A decision's doubt is how far the image was from another one: the noise score from the threshold, or, of a duplicate,
the bits to the limit as a share of all; 0 for a contradiction.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from jaxloc.data.duplicates import BITS, Look, group_duplicates
from jaxloc.options.clean import ALIGNMENT, KNEE
from jaxloc.report.decisions import BROKEN, CONTRADICTION, DUPLICATE, KEPT, NOISE, TOO_FEW, Decision, Threshold
from jaxloc.report.records import Finding, Skipped
from jaxloc.run import localize_pass
from jaxloc.run.alignment import ALIGNED, align

_WHY = {
    NOISE: ("noise", "choose another --noise, such as 0"),
    CONTRADICTION: (
        "nearly the same in several classes",
        "leave such images out, keep those with the right label by --decisions, or look for none (--duplicates none)",
    ),
    BROKEN: ("broken", "fetch them again"),
    TOO_FEW: ("in classes with too few images", "add images to these classes"),
    "": ("dropped by hand", "keep some of them in --decisions"),
}
"""Why images are dropped even if none is kept, in words, and the cure; the empty name is a person's decision."""


def choose_thresholds(findings: Iterable[Finding], classes: Iterable[str], noise: float | str) -> dict[str, Threshold]:
    """Where the noise of each class ends; ``noise`` is the threshold, ``"knee"`` or ``"alignment"``."""
    scores: dict[str, list[float]] = {name: [] for name in classes}
    for finding in findings:
        scores[finding.category].append(finding.noise_score or 0.0)
    return {name: _threshold(own, noise) for name, own in scores.items()}


def _threshold(scores: Sequence[float], noise: float | str) -> Threshold:
    if not scores:
        return Threshold(None, "no image was looked at")
    if noise == ALIGNMENT:
        return Threshold(ALIGNED, ALIGNMENT)
    if noise != KNEE:
        return Threshold(float(noise), "given")
    knee = find_knee(np.array(scores))
    return Threshold(0.0, "no knee, so 0") if knee is None else Threshold(knee, "knee")


def find_knee(scores: np.ndarray) -> float | None:
    """The score at the knee of finite scores ``[n]`` in any order, or ``None`` where there is none.

    Fewer than four scores have no knee, nor have scores that are all the same, that rise in a straight line, or that
    rise slowly first and steeply later.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    if len(ordered) < 4 or ordered[0] == ordered[-1]:
        return None
    across = np.linspace(0, 1, len(ordered))
    above = (ordered - ordered[0]) / (ordered[-1] - ordered[0]) - across
    inner = above[1:-1]
    peaks = 1 + np.flatnonzero((inner >= above[:-2]) & (inner > above[2:]))
    for place, end in itertools.pairwise([*peaks, len(ordered)]):
        limit = above[place] - 1 / (len(ordered) - 1)
        if place < len(ordered) // 2 and limit > 0 and above[place:end].min() < limit:
            return float(ordered[place])
    return None


def with_alignments(findings: Iterable[Finding]) -> Iterator[tuple[Finding, float]]:
    """Each image and its alignment with its class; those of a class stand together."""
    for _, own in itertools.groupby(findings, lambda finding: finding.category):
        images = list(own)
        yield from zip(images, align(images).tolist(), strict=True)


def judge_noise(finding: Finding, alignment: float, threshold: Threshold) -> Decision:
    """Kept or noise, of an image of that alignment."""
    aligned, limit = threshold.rule == ALIGNMENT, threshold.value or 0.0
    score = alignment if aligned else finding.noise_score or 0.0
    noisy = bool(np.float32(score) <= np.float32(limit))
    told, bound = (f"{100 * value:.1f} %" for value in (score, limit))
    what = "alignment" if aligned else "object share"
    reason = f"{what} {told}, {'at or below' if noisy else 'above'} the threshold of {bound}"
    return Decision(
        name=finding.name,
        category=finding.category,
        keep=not noisy,
        why=NOISE if noisy else KEPT,
        reason=reason,
        width=finding.width,
        height=finding.height,
        box=finding.box,
        score=finding.score,
        noise_score=finding.noise_score or 0.0,
        alignment=alignment,
        doubt=round(abs(score - limit), 6),
    )


def judge_skipped(skipped: Skipped) -> Decision:
    """Dropped, since nothing could be looked for in it."""
    why = TOO_FEW if skipped.reason == localize_pass.TOO_FEW else BROKEN
    return Decision(name=skipped.name, category=skipped.category, keep=False, why=why, reason=skipped.reason)


def judge_duplicates(items: Sequence[Decision], looks: Sequence[Look | None], bits: int) -> list[Decision]:
    """The decisions by noise once images that repeat or contradict kept ones are dropped.

    The hashes of such images differ in at most ``bits`` bits, and their colours are alike.
    """
    decided = list(items)
    best = sorted(
        (place for place, item in enumerate(items) if item.why in (KEPT, NOISE)),
        key=lambda place: (not items[place].keep, -items[place].width * items[place].height, items[place].name),
    )  # noise comes last, so that it changes no group of the others
    grouped = group_duplicates([looks[place] for place in best], bits=bits)
    members: dict[int, list[tuple[int, int]]] = {}
    for place, (leader, distance) in zip(best, grouped, strict=True):
        if items[place].keep:
            members.setdefault(best[leader], []).append((place, distance))
        elif place != best[leader]:
            decided[place] = _noisy_twin(items[place], items[best[leader]], distance)
    for leader, group in members.items():
        if len({items[place].category for place, _ in group}) > 1:
            for place, distance in group:
                decided[place] = _contradiction(items, place, distance, leader, group)
        else:
            for place, distance in group:
                if place != leader:
                    decided[place] = _duplicate(items[place], items[leader], distance, bits)
    return decided


def _noisy_twin(item: Decision, other: Decision, distance: int) -> Decision:
    """Noise that nearly repeats another image: still noise, and it says so."""
    reason = f"{item.reason}; nearly the same as {other.name}"
    return dataclasses.replace(item, reason=reason, other=other.name, bits=distance)


def _duplicate(item: Decision, kept: Decision, distance: int, bits: int) -> Decision:
    larger = kept.width * kept.height > item.width * item.height
    return dataclasses.replace(
        item,
        keep=False,
        why=DUPLICATE,
        reason=f"nearly the same as {kept.name}, which is {'larger' if larger else 'the first of its size by name'}",
        other=kept.name,
        bits=distance,
        doubt=round((bits - distance) / BITS, 6),
    )


def _contradiction(
    items: Sequence[Decision], place: int, distance: int, leader: int, group: Sequence[tuple[int, int]]
) -> Decision:
    """Dropped; a leader points at the nearest of another class, another at its leader."""
    other = leader
    if place == leader:
        foreign = [(far, one) for one, far in group if items[one].category != items[leader].category]
        distance, other = min(foreign)
    classes = sorted({items[one].category for one, _ in group})
    return dataclasses.replace(
        items[place],
        keep=False,
        why=CONTRADICTION,
        reason=f"nearly the same as {items[other].name}, and the group stands in {' and '.join(classes)}",
        other=items[other].name,
        bits=distance,
        doubt=0.0,
    )


def nothing_kept(items: Sequence[Decision]) -> str:
    """Why no image is kept, by reason, with the cure of the most frequent one."""
    counts = Counter("" if item.by_hand else item.why for item in items).most_common()
    told = ", ".join(f"{number:,} {_WHY[why][0]}" for why, number in counts)
    return f"no image is kept: {told}: {_WHY[counts[0][0]][1]}"
