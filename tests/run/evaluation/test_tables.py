"""The table, the LaTeX and the JSON of an evaluation."""

import re

from jaxloc.data.annotations import Annotation
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluation_latex, evaluation_table, to_plain
from tests.run.evaluation.made import RIGHT, WRONG, image, images


def example(**options):
    truth = images(
        *(image(f"{n}.jpg", RIGHT, category="bus_1") for n in range(3)),
        image("h.jpg", RIGHT, category="horse"),
        image("n.jpg", category="bus_1"),
    )
    predicted = images(
        *(image(f"{n}.jpg", RIGHT if n else WRONG, category="bus_1", noise_score=0.5 + n) for n in range(3)),
        image("n.jpg", RIGHT, category="bus_1", noise_score=0.6),
        image("h.jpg", RIGHT, category="horse"),
    )
    return evaluate(predicted, truth, EvaluateOptions(**options))


def test_the_table_shows_each_class_their_mean_and_all_images():
    lines = evaluation_table(example()).splitlines()
    assert [re.split(r" {2,}", line) for line in lines[:6] if "─" not in line] == [
        ["class", "images", "correct", "CorLoc", "noisy images", "noise AUC"],
        ["bus_1", "3", "2", "66.67", "1", "0.667"],
        ["horse", "1", "1", "100.00", "0", "–"],
        ["mean", "4", "3", "83.33", "–", "0.667"],
        ["all images", "4", "3", "75.00", "–", "–"],
    ]
    assert lines[6:] == ["CorLoc in per cent: IoU > 0.5 with any box of the class."]


def test_the_rules_stand_below():
    text = evaluation_table(example(at_least=True, thresholds=(0.3, 0.5), voc_inclusive=True, include_difficult=True))
    expected = "CorLoc in per cent: IoU ≥ 0.3 or 0.5 with any box of the class, corners included as in VOC; difficult"
    assert f"{expected} objects count." in text
    assert "  correct at 0.3  CorLoc@0.3  CorLoc@0.5  " in text
    assert "& correct at 0.3 &" in evaluation_latex(example(thresholds=(0.3, 0.5)))
    text = evaluation_table(example(samples=20, any_class=True))
    assert "with any box. In brackets, 95 % of 20 bootstrap draws." in text
    assert re.search(r"^object .* 75\.00 \[[\d.]+, [\d.]+\]", text, re.M)


def test_what_was_not_measured_and_what_parts_stand_for_is_told():
    assert "Not measured: Jaccard, precision (the ground truth has no masks)." in evaluation_table(example(masks=True))
    one = images(image("a", Annotation("bus", RIGHT, parts=(("head", RIGHT),))))
    other = images(image("a", Annotation("bus", RIGHT, parts=(("1", RIGHT),))))
    text = evaluation_table(evaluate(other, one, EvaluateOptions(parts=True)))
    assert "Parts: 1 is head." in text
    assert "Parts without true names were matched to them once for each image set." in text


def test_latex_is_a_table_with_names_that_do_not_break_it():
    text = evaluation_latex(example())
    assert r"\begin{tabular}{lrrrrr}" in text
    assert r"bus\_1 & 3 & 2 & 66.67 & 1 & 0.667 \\" in text
    assert r"horse & 1 & 1 & 100.00 & 0 & -- \\" in text
    assert text.splitlines()[0].startswith("% CorLoc in per cent")
    assert text.count(r"\midrule") == 2


def test_json_holds_figures_options_and_curves_on_request():
    values = to_plain(example(samples=10), roc=True)
    assert values["options"]["samples"] == 10
    assert values["mean"]["CorLoc"]["value"] == values["mean_corloc"]
    assert len(values["classes"][0]["figures"]["CorLoc"]["interval"]) == 2
    assert values["classes"][1]["figures"]["noise AUC"]["reason"].startswith("no noise scores")
    assert set(values["noise_roc"]) == {"bus_1"}
    assert values["noise_roc"]["bus_1"]["true_positive_rate"][-1] == 1
    assert "noise_roc" not in to_plain(example())
