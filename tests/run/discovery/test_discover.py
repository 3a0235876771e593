"""A pile of images of three kinds, from end to end, with a small network."""

import csv
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import DiscoverOptions, LocalizeOptions
from jaxloc.report.groups import UNGROUPED
from jaxloc.run import apply, model_file
from jaxloc.run.discovery import discover
from jaxloc.run.discovery.discover import discovery_text
from tests.run import helpers
from tests.run.retrieval import small

THREE = DiscoverOptions(groups=3, min_group=2)


@pytest.fixture(scope="module")
def pile(tmp_path_factory):
    """Fifteen images of one shape, a copy of one, and a broken file, in one folder; nothing may be written there."""
    folder = tmp_path_factory.mktemp("unsorted") / "pile"
    folder.mkdir()
    for kind in small.KINDS:
        for number in range(small.EACH):
            small.crop(kind, 2 * number).save(folder / f"{number}-{kind}.png")
    shutil.copy(folder / "0-cat.png", folder / "copy.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    return folder


@pytest.fixture(scope="module")
def done(pile, tmp_path_factory):
    """What was found in it; nothing may be written there."""
    return discover([pile], tmp_path_factory.mktemp("found") / "out", THREE)


@pytest.fixture
def again(done, tmp_path):
    """A copy of that, to go on from."""
    shutil.copytree(done.folder, tmp_path / "out")
    return tmp_path / "out"


def group_of(done, name):
    return next(one.group for one in done.groups.members if one.name == name)


def by_hand(path, done, *, groups=(), decisions=(), **changes):
    content = json.loads((done.folder / "groups.json").read_text())
    head = {key: content[key] for key in ("format", "images", "grouping")} | changes
    path.write_text(json.dumps(head | {"groups": list(groups), "decisions": list(decisions)}))
    return path


def test_each_image_gets_a_group_and_a_box_is_looked_for_in_each(pile, done):
    names = sorted(path.name for path in pile.iterdir())
    assert sorted(one.name for one in done.groups.members) == names
    coco = helpers.annotations(done.folder)
    groups = {one["id"]: one["name"] for one in coco["categories"]}
    sets = {image["file_name"]: groups[image["category_id"]] for image in coco["images"]}
    assert sets == {one.name: one.group for one in done.groups.members if not one.reason}
    assert all(one.box == helpers.boxes_of(done.folder)[one.name] for one in done.groups.members if not one.reason)
    broken = next(one for one in done.groups.members if one.name == "broken.jpg")
    assert (broken.group, broken.box) == (UNGROUPED, None)
    assert broken.reason.startswith("not an image")


def test_a_copy_shares_the_group_of_the_image_it_repeats(done):
    pair = {one.name: one for one in done.groups.members if one.name in ("0-cat.png", "copy.png")}
    assert len({one.group for one in pair.values()}) == 1
    assert [one.repeats for one in pair.values()].count(None) == 1


def test_tables_and_folders_hold_every_image_in_its_group(done):
    with (done.folder / "groups.csv").open(newline="") as file:
        rows = {row["image"]: row["group"] for row in csv.DictReader(file)}
    assert rows == {one.name: one.group for one in done.groups.members}
    linked = {path.name: path.parent.name for path in (done.folder / "groups").glob("*/*")}
    assert linked == {name: group for name, group in rows.items() if name != "broken.jpg"}


def test_the_summary_tells_groups_and_where_to_look(done):
    text = discovery_text(done, 1.0)
    number = len({one.group for one in done.groups.members} - {UNGROUPED})
    assert f"17 images in 1.0 s: {number} groups, " in text
    assert "broken.jpg: not an image" in text
    assert f"Look at {done.folder / 'groups.html'}" in text


def test_an_image_added_to_the_pile_asks_for_another_place(again, pile, tmp_path):
    grown = shutil.copytree(pile, tmp_path / "pile")
    small.crop("cat", 2 * small.EACH).save(grown / "another.png")
    with pytest.raises(UsageError, match="holds the groups of other images, or some have been added, removed or chang"):
        discover([grown], again, THREE)


def test_the_model_of_a_group_is_applied_to_other_images(done, pile, tmp_path):
    group = done.groups.members[0].group
    options = LocalizeOptions(weights=os.path.join(os.environ["JAXLOC_CACHE"], "vgg16.safetensors"))
    found = apply(
        done.folder / "model.safetensors", [pile / "0-cat.png"], tmp_path / "applied", options, category=group
    )
    assert [one.category for one in found.images] == [group]


def test_a_second_call_computes_nothing_and_keeps_every_byte(pile, again):
    before = helpers.every_file(again)
    assert discover([pile], again, THREE).findings.finished_before
    assert helpers.every_file(again) == before


def test_groups_by_hand_are_renamed_merged_and_divided_and_boxes_found_anew(pile, done, again, tmp_path):
    first, second, *_ = sorted({one.found_group for one in done.groups.members} - {UNGROUPED})
    path = by_hand(
        tmp_path / "hand.json",
        done,
        groups=[{"group": first, "name": "things"}, {"group": second, "name": "things"}],
        decisions=[{"name": f"{number}-face.png", "group": "two faces"} for number in (0, 1)],
    )
    after = discover([pile], again, THREE, by_hand=path)
    for one in after.groups.members:
        moved = one.name in ("0-face.png", "1-face.png")
        expected = "two faces" if moved else "things" if one.found_group in (first, second) else one.found_group
        assert one.group == expected
    assert {path.name for path in (again / "groups" / "two_faces").iterdir()} == {"0-face.png", "1-face.png"}
    assert not after.findings.finished_before
    assert discover([pile], again, THREE, by_hand=path).findings.finished_before
    forgotten = discover([pile], again, THREE)
    assert forgotten.groups.warnings[0].startswith("groups by hand of an earlier run are not applied; they are in")
    assert discover([pile], again, THREE, by_hand=again / "groups-before.json").groups.by_name().keys() == (
        after.groups.by_name().keys()
    )


def test_images_that_are_all_different_are_located_alone(pile, tmp_path):
    found = discover([pile], tmp_path / "out", DiscoverOptions(min_group=30, view="none"))
    why, how = found.groups.notes
    assert why.endswith("different images: too few for a group of 30.")
    assert how == "Each image is located alone: SCDA localisation."
    assert found.findings.settings["method"] == "scda"
    assert {one.group for one in found.groups.members} == {UNGROUPED}
    assert not (tmp_path / "out" / "groups").exists()


def test_few_images_of_a_group_by_hand_are_located_with_a_model_of_the_pile(pile, done, tmp_path):
    options = DiscoverOptions(groups=3, min_group=2, job=LocalizeOptions(report_limit=0))
    path = by_hand(tmp_path / "hand.json", done, decisions=[{"name": "0-face.png", "group": "alone"}])
    after = discover([pile], tmp_path / "out", options, by_hand=path)
    assert not [one for one in after.findings.skipped if one.name == "0-face.png"]


def test_a_model_of_the_pile_is_of_all_its_images_whatever_the_memory_for_moments(pile, done, tmp_path):
    decisions = [{"name": f"{number}-face.png", "group": f"alone {number}"} for number in range(3)]
    path = by_hand(tmp_path / "hand.json", done, decisions=decisions)
    found = {}
    for name, memory in {"at once": 10**9, "set by set": 1}.items():
        options = dataclasses.replace(THREE, view="none", job=LocalizeOptions(report_limit=0, moments_memory=memory))
        discover([pile], tmp_path / name, options, by_hand=path)
        sets = model_file.load(tmp_path / name / "model.safetensors").sets
        for group in ("alone 0", "alone 1", "alone 2", UNGROUPED):
            ((_layer, moments),) = sets[group].moments.items()
            found[name, group] = np.asarray(moments.mean)
    for mean in found.values():
        np.testing.assert_allclose(mean, found["at once", UNGROUPED], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "jaxloc-groups-9"}, "of format 'jaxloc-groups-9', and this jaxloc reads jaxloc-groups-1"),
        ({"grouping": "x"}, "about other groups than are found now: give the options that groups.html was made with"),
        ({"images": {"number": 3, "digest": "x"}}, r"decisions on other images \(3 then, 17 now"),
        ({"decisions": [{"name": "gone.png", "group": "a"}]}, "decides on image gone.png, not in this pile"),
        ({"groups": [{"group": "group-77", "name": "a"}]}, "decides on group group-77, not in this pile"),
        (
            {"groups": [{"group": "group-01", "name": " "}]},
            "'group-01' is put into ' ', and a group's name must be text",
        ),
        ({"decisions": [{"name": "copy.png", "group": "a"}] * 2}, "decides twice on copy.png"),
        ({"groups": 3}, "'groups' is no list"),
    ],
)
def test_groups_by_hand_that_cannot_be_applied_are_refused(pile, done, again, tmp_path, changes, message):
    path = by_hand(tmp_path / "hand.json", done)
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=f"hand.json: .*{message}"):
        discover([pile], again, THREE, by_hand=path)


def test_results_inside_the_pile_are_refused(pile):
    with pytest.raises(UsageError, match=r"lies inside .*, where its groups would be found as images: choose another"):
        discover([pile], pile / "out")
