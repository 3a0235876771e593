"""Point AP and detection AP of made images: what counts, what they are ranked by, and the table."""

import json
import math

import pytest

from jaxloc.data.annotations import Annotation
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluation_table
from tests.run.evaluation.made import RIGHT, WRONG, image, images, names

BOTH = EvaluateOptions(point=True, detection=True)


def found(name: str, *some: Annotation):
    return image(name, *some, category=None)


def bus(box, score: float, **more) -> Annotation:
    return Annotation("bus", box, score, **more)


def figures(predicted, truth, options=BOTH, category: str = "bus") -> tuple[float, float]:
    score = next(one for one in evaluate(predicted, truth, options).classes if one.category == category)
    return score.figures["point AP"].value, score.figures["AP"].value


def test_findings_in_images_without_the_class_are_wrong():
    truth = images(image("a", RIGHT), image("b", RIGHT), image("h", RIGHT, category="horse"))
    predicted = images(found("a", bus(RIGHT, 0.9)), found("b", bus(WRONG, 0.8)), found("h", bus(RIGHT, 0.95)))
    assert figures(predicted, truth) == (25, 25)
    alone = images(found("a", bus(RIGHT, 0.9)), found("b", bus(RIGHT, 0.8)), found("h", bus(RIGHT, 0.1)))
    assert figures(alone, truth) == (100, 100)
    assert figures(alone, truth, EvaluateOptions(point=True, detection=True, classes=("bus",))) == (100, 100)
    assert figures(predicted, truth, EvaluateOptions(point=True, detection=True, classes=("bus",))) == (25, 25)


def test_one_point_an_image_counts_and_every_box():
    truth = images(image("a", RIGHT, WRONG), image("b", RIGHT))
    predicted = images(found("a", bus(RIGHT, 0.9), bus(WRONG, 0.7), bus(WRONG, 0.6)), found("b", bus(RIGHT, 0.5)))
    point, boxes = figures(predicted, truth)
    assert (point, boxes) == (100, pytest.approx(100 * (2 + 3 / 4) / 3))


def test_a_point_of_its_own_is_taken_and_else_the_middle_of_the_box():
    truth = images(image("a", RIGHT), image("b", RIGHT))
    whole = (0.0, 0.0, 58.0, 58.0)
    predicted = images(found("a", bus(whole, 0.9, point=(55.0, 5.0))), found("b", bus(whole, 0.8)))
    assert figures(predicted, truth)[0] == pytest.approx(25)


def test_difficult_objects_count_neither_way_and_truncated_ones_count():
    hard, cut = bus(WRONG, 1.0, difficult=True), bus(RIGHT, 1.0, truncated=True)
    truth = images(image("a", cut, hard), image("hard", hard), image("b", RIGHT))
    at = {"a": RIGHT, "hard": WRONG, "b": RIGHT}
    predicted = images(*(found(name, bus(box, 0.5)) for name, box in at.items()))
    assert figures(predicted, truth) == (100, 100)
    kept = EvaluateOptions(point=True, detection=True, include_difficult=True)
    point, boxes = figures(predicted, truth, kept)
    assert (point, boxes) == (100, 75)
    elsewhere = predicted | images(found("hard", bus((0.0, 0, 5, 5), 0.9)))
    assert figures(elsewhere, truth) == (100, pytest.approx(200 / 3))


def test_findings_are_ranked_by_the_probability_of_their_class_or_their_score():
    truth = images(image("a", RIGHT), image("b", RIGHT))
    predicted = images(found("a", bus(RIGHT, 0.2, probability=0.9)), found("b", bus(WRONG, 0.8, probability=0.1)))
    assert figures(predicted, truth)[0] == 50
    assert figures(predicted, truth, EvaluateOptions(point=True, detection=True, rank_by="score"))[0] == 25


def test_an_object_of_another_class_than_its_images_own_is_an_object():
    truth = images(image("a", RIGHT), image("h", bus(WRONG, 1.0), category="horse"))
    predicted = images(found("a", bus(RIGHT, 0.5)), found("h", bus(WRONG, 0.9)))
    assert figures(predicted, truth) == (100, 100)


def test_recalls_and_thresholds_are_chosen():
    truth = images(image("a", (0.0, 0, 10, 10)), image("b", (0.0, 0, 10, 10)))
    predicted = images(found("a", bus((0.0, 0, 10, 4.5), 0.9)), found("b"))
    eleven = EvaluateOptions(detection=True, thresholds=(0.4, 0.5), recalls="11")
    result = evaluate(predicted, truth, eleven).classes[0].figures
    assert (result["AP@0.4"].value, result["AP@0.5"].value) == (pytest.approx(600 / 11), 0)


def test_the_table_has_the_mean_intervals_and_no_figure_across_classes():
    truth = images(*(image(f"{n}", RIGHT, category=("bus", "horse")[n % 2]) for n in range(20)))
    predicted = images(
        *(found(f"{n}", Annotation(("bus", "horse")[n % 2], WRONG if n % 3 else RIGHT, 1 - n / 20)) for n in range(20))
    )
    options = EvaluateOptions(point=True, detection=True, samples=50)
    result = evaluate(predicted, truth, options)
    for name in ("point AP", "AP"):
        figure = result.mean[name]
        assert 0 < figure.interval.low < figure.value < figure.interval.high < 100
        assert figure.images == 40
        assert math.isnan(result.overall[name].value)
    text = evaluation_table(result)
    assert "AP in per cent: area under the curve, ranked by probability" in text
    assert "difficult objects count neither way, truncated ones count" in text
    assert names(evaluate(images(found("0", Annotation("horse", RIGHT, 0.5))), truth, options), "other classes") == (
        "0",
    )


def test_classes_that_occur_together_raise_each_other(tmp_path):
    labelled = tmp_path / "train.json"
    shown = [("a", (1, 2)), ("b", (1, 2)), ("c", (3,))]
    named = [{"id": number, "name": name} for number, name in enumerate(("bus", "horse", "person"), 1)]
    sizes = [{"id": name, "file_name": name, "width": 100, "height": 100} for name, _ in shown]
    boxes = [{"image_id": name, "category_id": one, "bbox": [0, 0, 9, 9]} for name, some in shown for one in some]
    labelled.write_text(json.dumps({"images": sizes, "annotations": boxes, "categories": named}))
    truth = images(image("both", RIGHT, Annotation("horse", WRONG), category=None), image("p", category=None))
    horse, person = Annotation("horse", WRONG, 0.9), Annotation("person", WRONG, 0.9)
    predicted = images(found("both", bus(RIGHT, 0.4), horse), found("p", bus(RIGHT, 0.5), person))
    together = EvaluateOptions(point=True, detection=True, co_occurrence=str(labelled), co_occurrence_weight=0.5)
    assert figures(predicted, truth) == (50, 50)
    assert figures(predicted, truth, together) == (100, 100)
    assert f"and 0.5 × those of classes that occur with it in {labelled}" in evaluation_table(
        evaluate(predicted, truth, together)
    )
    with pytest.raises(UsageError, match="has no class that is predicted; it has bus, horse, person"):
        evaluate(images(found("both", Annotation("cow", RIGHT))), truth, together)
    with pytest.raises(UsageError, match="add one of them"):
        EvaluateOptions(co_occurrence="train.json")
