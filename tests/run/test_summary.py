"""What a person reads at the end of a job."""

import dataclasses
from pathlib import Path

import pytest

from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.run.demo import DemoResult, demo_text
from jaxloc.run.evaluation import ClassScore, Figure
from jaxloc.run.summary import summary


def finding(name: str, category: str, score: float | None = None, *, noisy: bool = False) -> Finding:
    found = score is not None
    return Finding(name, Path(name), category, 80, 60, (0, 0, 9, 9) if found else None, score or 0, found, 0.2, noisy)


def without_share(one: Finding) -> Finding:
    """The same from a method that measures no object share."""
    return dataclasses.replace(one, noise_score=None)


@pytest.fixture
def findings() -> Findings:
    images = [
        finding("dogs/a.jpg", "dogs", 0.25),
        finding("dogs/b.jpg", "dogs", 0.75),
        finding("dogs/c.jpg", "dogs", noisy=True),
        finding("cats/d.jpg", "cats"),
    ]
    skipped = [Skipped("cats/e.jpg", "cats", "empty file (0 bytes)"), Skipped("emus/f.jpg", "emus", "no such file")]
    return Findings("pets", "ddt", {}, images, skipped, ["dogs: the sign is in doubt"])


def rows(text: str) -> list[list[str]]:
    """Cells of the table that a text begins with."""
    return [line.split() for line in text.split("\n\n")[0].splitlines() if "─" not in line]


def test_each_set_is_counted_and_then_all(findings):
    assert rows(summary(findings, "out", 2.0)) == [
        ["set", "images", "found", "noisy", "skipped", "median", "score"],
        ["cats", "1", "0", "0", "1", "–"],
        ["dogs", "3", "2", "1", "0", "0.50"],
        ["emus", "0", "0", "0", "1", "–"],
        ["all", "4", "2", "1", "2", "–"],
    ]


def test_one_set_needs_no_total_and_scda_no_noise():
    one = Findings("dogs", "scda", {}, [without_share(finding("a.jpg", "dogs", 0.25))], [])
    assert rows(summary(one, "out", 2.0)) == [
        ["set", "images", "found", "skipped", "median", "score"],
        ["dogs", "1", "1", "0", "0.25"],
    ]


def test_warnings_reasons_and_the_place_of_the_report_follow(findings):
    text = summary(findings, Path("some") / "out", 12.34)
    assert "Warning: dogs: the sign is in doubt" in text
    assert "  cats/e.jpg: empty file (0 bytes)" in text.splitlines()
    assert f"4 images in 12.3 s (0.3 a second). Look at {Path('some/out/report.html')}" in text


def test_the_padding_is_told_beside_the_speed():
    found = Findings(
        "dogs", "ddt", {"padded shapes": "2, 1.5 % of their pixels padding"}, [finding("a", "dogs", 1)], []
    )
    assert "1 image in 0.5 s (2.0 a second; padded shapes: 2, 1.5 % of their pixels padding)" in summary(
        found, "out", 0.5
    )


def test_nothing_is_said_of_what_did_not_happen():
    text = summary(Findings("dogs", "ddt", {}, [finding("a.jpg", "dogs", 0.25)], []), "out", 1.0)
    assert "Skipped" not in text
    assert "Warning" not in text


def test_of_many_skipped_images_the_first_ten_are_shown_and_the_rest_counted():
    skipped = [Skipped(f"{number:03}.jpg", "dogs", "no such file") for number in range(25)]
    text = summary(Findings("dogs", "ddt", {}, [finding("a.jpg", "dogs")], skipped), "out", 1.0)
    assert text.count("no such file") == 10
    assert "009.jpg" in text
    assert "… and 15 more, listed in annotations.json" in text


def test_of_many_sets_the_first_fifty_are_shown_and_all_are_counted():
    images = [finding(f"{number:03}/a.jpg", f"{number:03}", 0.5) for number in range(51)]
    text = summary(Findings("many", "ddt", {}, images, []), "out", 1.0)
    assert [row[0] for row in rows(text)[1:]] == [*(f"{number:03}" for number in range(50)), "all"]
    assert rows(text)[-1][1:3] == ["51", "51"]
    assert "The first 50 of 51 sets; all are in annotations.json." in text
    assert "The first" not in summary(Findings("many", "ddt", {}, images[:50], []), "out", 1.0)


def test_of_many_warnings_the_first_ten_are_shown_and_the_rest_counted():
    warnings = [f"{number:03}: in doubt" for number in range(25)]
    text = summary(Findings("dogs", "ddt", {}, [finding("a.jpg", "dogs")], [], warnings), "out", 1.0)
    assert text.count("Warning: ") == 10
    assert "Warning: 009: in doubt" in text
    assert "… and 15 more warnings, listed in annotations.json" in text


def test_a_run_that_was_done_already_says_so():
    done = Findings("dogs", "ddt", {}, [finding("a.jpg", "dogs")], [], finished_before=True)
    assert "1 image in 1.0 s (this run was finished before; nothing was computed again). Look" in summary(
        done, "out", 1
    )


@pytest.mark.parametrize(
    ("begun_before", "said"),
    [  # of six, two of which are skipped
        (0, "4 images in 2.0 s (2.0 a second). Look"),
        (3, "4 images in 2.0 s (an earlier call had begun with 3 of them; 1.5 a second for the others). Look"),
        (6, "4 images in 2.0 s (an earlier call had begun with all of them, so there is no rate). Look"),
    ],
)
def test_the_rate_is_that_of_the_images_that_this_call_did_from_the_beginning(findings, begun_before, said):
    assert said in summary(dataclasses.replace(findings, begun_before=begun_before), "out", 2.0)


def score(images: int, correct: int, noisy: int = 0, auc: float | None = None) -> ClassScore:
    figures = {"CorLoc": Figure(100 * correct / images, images)}
    if auc is not None:
        figures["noise AUC"] = Figure(auc, images + noisy)
    return ClassScore("m", images, correct, noisy_images=noisy, figures=figures)


def test_the_demo_tells_its_score_and_what_it_rightly_called_noisy():
    images = [finding("a.jpg", "m", 0.5), finding("b.jpg", "m", noisy=True), finding("c.jpg", "m", noisy=True)]
    result = DemoResult(Findings("m", "ddt", {}, images, []), score(16, 15, noisy=2, auc=0.9), ["c.jpg", "d.jpg"])
    assert demo_text(result).splitlines() == [
        "CorLoc against the known boxes: 0.938 (15 of 16)",
        "Object share, telling the 2 images without the object apart: AUC 0.900",
        "Called noisy: 2 (1 of them rightly)",
        "  b.jpg",
        "  c.jpg",
    ]


def test_the_demo_of_scda_says_nothing_of_noise():
    result = DemoResult(
        Findings("m", "scda", {}, [without_share(finding("a.jpg", "m", 0.5))], []), score(16, 3), ["c.jpg"]
    )
    assert demo_text(result).splitlines() == ["CorLoc against the known boxes: 0.188 (3 of 16)"]
