"""What the rules say of each image."""

import dataclasses

import numpy as np
import pytest

from jaxloc.data.duplicates import COLOURS, Look
from jaxloc.report.decisions import Decision, Threshold
from jaxloc.report.records import Finding, Skipped
from jaxloc.run import localize_pass
from jaxloc.run.alignment import ALIGNED
from jaxloc.run.cleaning.rules import (
    choose_thresholds,
    judge_duplicates,
    judge_noise,
    judge_skipped,
    nothing_kept,
    with_alignments,
)


def finding(name: str, noise_score: float, category: str = "cat") -> Finding:
    return Finding(name, name, category, 640, 480, (1.0, 2.0, 30.0, 40.0), 0.5, True, noise_score=noise_score)


def kept(name: str, width: int = 100, category: str = "cat", **changes) -> Decision:
    values = {"keep": True, "why": "kept", "reason": "", "width": width, "height": 10, "doubt": 0.3}
    return Decision(name, category, **values | changes)


def judged(items, hashes, bits=4):
    return judge_duplicates(items, [None if one is None else Look(one, bytes(COLOURS)) for one in hashes], bits)


def test_noise_is_what_lies_at_or_below_the_threshold():
    at = judge_noise(finding("a", 0.1), 0.5, Threshold(0.1, "given"))
    assert (at.keep, at.why, at.doubt) == (False, "noise", 0.0)
    assert at.reason == "object share 10.0 %, at or below the threshold of 10.0 %"
    above = judge_noise(finding("a", 0.3), 0.0, Threshold(0.1, "given"))
    assert (above.keep, above.why, above.doubt) == (True, "kept", 0.2)
    assert (above.box, above.noise_score, above.score) == ((1.0, 2.0, 30.0, 40.0), 0.3, 0.5)


def test_alignment_is_judged_by_its_own_threshold_whatever_the_share():
    thresholds = choose_thresholds([finding("a", 0.3)], ["cat"], "alignment")
    assert thresholds == {"cat": Threshold(ALIGNED, "alignment")}
    dropped, kept = (judge_noise(finding("a", 0.3), value, thresholds["cat"]) for value in (ALIGNED, 0.5))
    assert (dropped.why, dropped.doubt, dropped.noise_score) == ("noise", 0.0, 0.3)
    assert dropped.reason == "alignment 20.0 %, at or below the threshold of 20.0 %"
    assert (kept.keep, kept.alignment, kept.doubt) == (True, 0.5, pytest.approx(0.5 - ALIGNED))


def test_images_are_aligned_with_those_of_their_own_class():
    up, across = np.eye(2, 4, dtype=np.float16)
    kinds = [("cat", up)] * 3 + [("cat", across)] + [("dog", across)] * 2
    found = [dataclasses.replace(finding("a", 0.3, kind), deviation=value) for kind, value in kinds]
    cats, dogs = np.split([alignment for _, alignment in with_alignments(found)], [4])
    np.testing.assert_allclose(dogs, 1)
    assert cats[:3].min() > 0.9 > 0.2 > cats[3]


def test_thresholds_are_of_each_class():
    cats = [finding(f"{number}", (number / 20) ** 0.5) for number in range(20)]
    dogs = [finding(f"{number}", number / 20, "dog") for number in range(20)]
    chosen = choose_thresholds([*cats, *dogs], ["cat", "dog", "eel"], "knee")
    assert chosen["cat"] == Threshold(pytest.approx(0.5), "knee")
    assert chosen["dog"] == Threshold(0.0, "no knee, so 0")
    assert chosen["eel"] == Threshold(None, "no image was looked at")
    assert choose_thresholds(cats, ["cat"], 0.1) == {"cat": Threshold(0.1, "given")}


def test_broken_images_and_classes_too_small_are_told_apart():
    assert judge_skipped(Skipped("a", "cat", "damaged")).why == "broken"
    small = judge_skipped(Skipped("a", "cat", localize_pass.TOO_FEW))
    assert (small.why, small.keep, small.reason) == ("too few", False, localize_pass.TOO_FEW)


def test_of_duplicates_the_largest_stays_and_of_equal_ones_the_first_by_name():
    small, large = judged([kept("a", 50), kept("b", 90)], [7, 5])
    assert (small.keep, small.why, small.other, small.bits) == (False, "duplicate", "b", 1)
    assert small.reason == "nearly the same as b, which is larger"
    assert small.doubt == pytest.approx(3 / 64, abs=1e-6)
    assert large == kept("b", 90)
    first, second = judged([kept("b"), kept("a")], [7, 7])
    assert (first.keep, second.keep) == (False, True)
    assert first.reason == "nearly the same as a, which is the first of its size by name"


def test_noise_and_unreadable_images_are_no_duplicates():
    items = [kept("a", 50), kept("b", 90, keep=False, why="noise"), kept("c"), kept("d")]
    assert judged(items, [7, 0xFF << 50, None, None]) == items


def test_the_same_image_in_two_classes_is_kept_in_neither():
    items = [kept("cat/a", 50), kept("cat/b", 40), kept("dog/a", 90, "dog"), kept("dog/z", 90, "dog")]
    one, copy, other, apart = judged(items, [0b1, 0b11, 0b0, 1 << 60 | 0xFF])
    assert [item.why for item in (one, copy, other, apart)] == ["contradiction"] * 3 + ["kept"]
    assert not any(item.keep for item in (one, copy, other))
    assert (one.other, one.bits, copy.other, copy.bits) == ("dog/a", 1, "dog/a", 2)
    assert (other.other, other.bits, other.doubt) == ("cat/a", 1, 0.0)
    assert other.reason == "nearly the same as cat/a, and the group stands in cat and dog"


def test_noise_in_one_class_contradicts_nothing():
    items = [kept("cat/a"), kept("dog/a", 900, category="dog", keep=False, why="noise", reason="empty")]
    one, noise = judged(items, [3, 2])
    assert one == items[0]
    assert (noise.keep, noise.why, noise.other, noise.bits) == (False, "noise", "cat/a", 1)
    assert noise.reason == "empty; nearly the same as cat/a"


def test_noise_that_repeats_noise_names_the_first_of_them():
    items = [kept(name, keep=False, why="noise") for name in ("b", "a")]
    assert [item.other for item in judged(items, [3, 3])] == ["a", None]


def test_if_nothing_is_kept_the_reason_and_its_cure_are_the_true_ones():
    dropped = [
        kept(str(number), keep=False, why=why) for number, why in enumerate(["noise"] * 2 + ["contradiction"] * 3)
    ]
    assert nothing_kept(dropped).startswith(
        "no image is kept: 3 nearly the same in several classes, 2 noise: leave such images out, keep those with"
    )
    assert nothing_kept(dropped[:3]) == (
        "no image is kept: 2 noise, 1 nearly the same in several classes: choose another --noise, such as 0"
    )
    assert nothing_kept([kept("a", keep=False, by_hand=True)]) == (
        "no image is kept: 1 dropped by hand: keep some of them in --decisions"
    )
