"""Decisions by hand: read, checked and put above the rules."""

import dataclasses
import json

import pytest

from jaxloc.errors import UsageError
from jaxloc.report.decisions import FORMAT, Decision, Decisions, Threshold, write
from jaxloc.run.cleaning.by_hand import apply_decisions, read_decisions, set_aside

IMAGES = {"number": 3, "digest": "abc"}
ITEMS = [
    Decision("a.jpg", "cat", True, "kept", "fine"),
    Decision("b.jpg", "cat", False, "noise", "empty"),
    Decision("c.jpg", "cat", False, "broken", "not an image"),
    Decision("odd-é.jpg", "cat", True, "kept", "fine"),
]


def by_hand(path, listed, **changes):
    path.write_text(json.dumps({"format": FORMAT, "images": IMAGES, "decisions": listed} | changes))
    return path


def test_decisions_stand_above_the_rules_and_agreement_changes_nothing(tmp_path):
    path = by_hand(tmp_path / "d.json", [{"name": "b.jpg", "keep": True}, {"name": "a.jpg", "keep": True}])
    decided = apply_decisions(ITEMS, read_decisions(path, IMAGES), str(path))
    assert [item.keep for item in decided] == [True, True, False, True]
    assert [item.by_hand for item in decided] == [False, True, False, False]
    assert decided[1].why == "noise"


def test_the_whole_file_of_decisions_is_read_as_well(tmp_path):
    result = Decisions("t", IMAGES, {}, {"cat": Threshold(0.0, "given")}, ITEMS)
    write(tmp_path / "decisions.json", result)
    assert read_decisions(tmp_path / "decisions.json", IMAGES) == {item.name: item.keep for item in ITEMS}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "jaxloc-decisions-9"}, "of format 'jaxloc-decisions-9', and this jaxloc reads jaxloc-decisions-1"),
        ({"images": {"number": 7, "digest": "x"}}, r"decisions on other images \(7 then, 3 now"),
        ({"decisions": [{"name": "a.jpg"}]}, "damaged file of decisions: 'keep' is missing in decision 1: mend it, or"),
        ({"decisions": ["a.jpg"]}, "damaged file of decisions: 'name' is missing in decision 1"),
        ({"decisions": 3}, "damaged file of decisions: 'decisions' is no list"),
        ({"images": {"number": 3}}, "damaged file of decisions: 'digest' is missing in its 'images'"),
        ({"images": 3}, "damaged file of decisions: 'number' is missing in its 'images'"),
        ({"decisions": [{"name": "a.jpg", "keep": "yes"}]}, "the decision on 'a.jpg' is 'yes', and must be true"),
        ({"decisions": [{"name": "a.jpg", "keep": True}] * 2}, "decides twice on a.jpg"),
    ],
)
def test_files_that_cannot_be_applied_are_refused(tmp_path, changes, message):
    path = by_hand(tmp_path / "d.json", [], **changes)
    with pytest.raises(UsageError, match=f"d.json: .*{message}"):
        read_decisions(path, IMAGES)


def test_files_that_are_no_decisions_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"gone.json: no such file of decisions"):
        read_decisions(tmp_path / "gone.json", IMAGES)
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(UsageError, match=r"d.json: not readable as JSON"):
        read_decisions(tmp_path / "d.json", IMAGES)
    (tmp_path / "d.json").write_text('{"images": []}')
    with pytest.raises(UsageError, match=r"d.json: not a file of decisions"):
        read_decisions(tmp_path / "d.json", IMAGES)


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps({"format": FORMAT, "decisions": []}))
    with pytest.raises(UsageError, match=r"d.json: a damaged file of decisions: 'images' is missing: mend it"):
        read_decisions(tmp_path / "d.json", IMAGES)


def last_run(folder, by_hand=("b.jpg",)):
    items = [dataclasses.replace(item, keep=True, by_hand=True) if item.name in by_hand else item for item in ITEMS]
    write(folder / "decisions.json", Decisions("t", IMAGES, {}, {"cat": Threshold(0.0, "given")}, items))


def test_decisions_that_are_not_given_again_are_set_aside_and_can_be_given_back(tmp_path):
    last_run(tmp_path)
    told = set_aside(tmp_path, {}, asked=False, images=IMAGES)
    before = tmp_path / "decisions-before.json"
    assert told == [f"1 decision by hand of the last run is not applied; it is in {before}: give it with --decisions"]
    assert read_decisions(before, IMAGES) == {"b.jpg": True}
    last_run(tmp_path, by_hand=())
    assert set_aside(tmp_path, {}, asked=False, images=IMAGES) == told
    assert set_aside(tmp_path, {"b.jpg": True}, asked=True, images=IMAGES) == []


def test_of_another_collection_they_are_set_aside_as_well(tmp_path):
    last_run(tmp_path)
    (told,) = set_aside(tmp_path, {}, asked=False, images={"number": 9, "digest": "new"})
    assert told.endswith("decisions-before.json, but on other images than these")


def test_nothing_is_set_aside_without_decisions_by_hand_or_where_all_are_given_again(tmp_path):
    assert set_aside(tmp_path, {}, asked=False, images=IMAGES) == []
    last_run(tmp_path, by_hand=())
    assert set_aside(tmp_path, {}, asked=False, images=IMAGES) == []
    last_run(tmp_path)
    assert set_aside(tmp_path, {"b.jpg": False}, asked=True, images=IMAGES) == []
    assert [path.name for path in tmp_path.iterdir()] == ["decisions.json"]


def test_a_file_edited_in_its_place_counts_as_decided_by_hand_and_a_damaged_one_is_never_replaced(tmp_path):
    last_run(tmp_path, by_hand=())
    path = tmp_path / "decisions.json"
    content = json.loads(path.read_text())
    content["decisions"][0]["keep"] = False
    path.write_text(json.dumps(content))
    assert len(set_aside(tmp_path, {}, asked=False, images=IMAGES)) == 1
    path.write_text("{")
    with pytest.raises(UsageError, match=r"decisions.json: not readable as JSON"):
        set_aside(tmp_path, {}, asked=False, images=IMAGES)


def test_unknown_names_and_unusable_images_are_named():
    with pytest.raises(UsageError, match=r"f.json: decides on x.jpg, y.jpg, z.jpg and 1 more, which are not in"):
        apply_decisions(ITEMS, {f"{name}.jpg": True for name in ("x", "y", "z", "zz")}, "f.json")
    with pytest.raises(UsageError, match=r"f.json: keeps c.jpg, which could not be used \(not an image\)"):
        apply_decisions(ITEMS, {"c.jpg": True}, "f.json")
    assert apply_decisions(ITEMS, {"c.jpg": False}, "f.json") == ITEMS
