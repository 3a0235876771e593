"""Cleaning from end to end, on small photographs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from jaxloc.data.annotations import read
from jaxloc.errors import UsageError
from jaxloc.options import CleanOptions
from jaxloc.run import Options, jobs
from jaxloc.run.alignment import ALIGNED
from jaxloc.run.cleaning import clean, rounds, rules
from jaxloc.run.cleaning.summary import cleaning_text
from tests.data.datasets import trees
from tests.models import narrow
from tests.report import chromium
from tests.run import helpers
from tests.run.cleaning.examples import write_collection

STRAY = "motorcycle/04_motorcycle_on_chelsea.jpg"
NEXT = "motorcycle/05_motorcycle_on_coffee.jpg"
COPIED = "motorcycle/01_motorcycle_on_astronaut.jpg"


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The collection; nothing may be written to it."""
    return write_collection(tmp_path_factory.mktemp("collection") / "web")


@pytest.fixture(scope="module")
def done(web, tmp_path_factory):
    """What cleaning it left; nothing may be written there."""
    return clean(web, tmp_path_factory.mktemp("cleaned") / "out")


@pytest.fixture
def again(done, tmp_path):
    """A copy of that, to go on from."""
    shutil.copytree(done.folder, tmp_path / "out")
    return tmp_path / "out"


def test_the_classes_of_a_data_set_are_its_labels(tmp_path):
    root = trees.cub(tmp_path, size=(96, 128))
    found = clean(f"cub200:{root}", tmp_path / "out", CleanOptions(job=Options(weights=narrow.write(tmp_path / "w"))))
    assert {item.category for item in found.decisions.items} == {"001.Bird_1", "002.Bird_2"}


def by_name(cleaned):
    return {item.name: item for item in cleaned.decisions.items}


def by_hand(path, cleaned, **keep):
    content = json.loads((cleaned.folder / "decisions.json").read_text())
    listed = [{"name": name, "keep": value} for name, value in keep.items()]
    path.write_text(json.dumps({"format": content["format"], "images": content["images"], "decisions": listed}))
    return path


def test_copies_strays_and_broken_files_are_dropped_and_the_rest_kept(web, done):
    items = by_name(done)
    assert list(items) == sorted(path.relative_to(web).as_posix() for path in web.rglob("*.*g"))
    dropped = {name: (item.why, item.other) for name, item in items.items() if not item.keep and item.why != "noise"}
    assert dropped == {
        "motorcycle/broken.jpg": ("broken", None),
        "motorcycle/smaller.jpg": ("duplicate", COPIED),
        "other/stray-3.png": ("contradiction", STRAY),
        STRAY: ("contradiction", "other/stray-3.png"),
        "other/stray-4.png": ("contradiction", NEXT),
        NEXT: ("contradiction", "other/stray-4.png"),
    }
    assert all(item.box is not None for item in items.values() if item.keep)


def test_the_data_set_holds_the_kept_images_with_their_boxes(done):
    found = read(done.folder / "dataset").images
    kept = {item.name: item for item in done.decisions.items if item.keep}
    assert {image.category for image in found.values()} == {item.category for item in kept.values()}
    boxes = sorted(one.box for image in found.values() for one in image.annotations)
    np.testing.assert_allclose(boxes, sorted(item.box for item in kept.values()), atol=1e-6)
    assert all(image.path.exists() for image in found.values())


def test_decisions_are_listed_with_the_counts(done):
    content = json.loads((done.folder / "decisions.json").read_text())
    assert content["format"] == "jaxloc-decisions-1"
    assert [entry["name"] for entry in content["decisions"]] == list(by_name(done))
    motorcycle, other = content["classes"]
    assert (motorcycle["class"], motorcycle["images"], motorcycle["duplicate"], motorcycle["broken"]) == (
        "motorcycle", 9, 1, 1,
    )  # fmt: skip
    assert (other["images"], other["contradiction"]) == (3, 2)
    assert (other["threshold"], other["rule"]) == (ALIGNED, "alignment")
    text = cleaning_text(done, 1.0)
    assert "motorcycle/broken.jpg: not an image" in text
    assert str(done.folder / "review.html") in text


def test_called_again_it_computes_nothing_and_leaves_the_same_bytes(web, done, again, monkeypatch):
    before = helpers.every_file(again)
    monkeypatch.setattr(jobs.Run, "_localize", None)
    clean(web, again)
    assert helpers.every_file(again) == before


def test_other_thresholds_take_the_same_fit(web, done, again, monkeypatch):
    monkeypatch.setattr(jobs.Run, "_localize", None)
    scores = sorted(item.noise_score for item in done.decisions.items if item.noise_score is not None)
    strict = clean(web, again, CleanOptions(noise=scores[4], duplicates=None, format="voc"))
    assert sum(item.why == "noise" for item in strict.decisions.items) == 5
    assert not any(item.why in ("duplicate", "contradiction") for item in strict.decisions.items)
    assert list((again / "dataset").rglob("*.xml"))


def test_decisions_by_hand_are_applied_and_shown(web, done, again, tmp_path):
    path = by_hand(tmp_path / "hand.json", done, **{STRAY: True, COPIED: False})
    changed = clean(web, again, by_hand=path)
    items = by_name(changed)
    assert (items[STRAY].keep, items[STRAY].by_hand, items[COPIED].keep) == (True, True, False)
    before = sum(item.keep for item in done.decisions.items)
    assert changed.exported.images == before
    assert "by hand" in cleaning_text(changed, 1.0)


def test_decisions_by_hand_that_are_not_given_again_are_kept_and_told(web, done, again, tmp_path):
    clean(web, again, by_hand=by_hand(tmp_path / "hand.json", done, **{STRAY: True, COPIED: False}))
    forgotten = clean(web, again, CleanOptions(noise="knee"))
    before = again / "decisions-before.json"
    warning = f"2 decisions by hand of the last run are not applied; they are in {before}: give it with --decisions"
    assert warning in forgotten.decisions.warnings
    assert f"Warning: {warning}" in cleaning_text(forgotten, 1.0)
    given = by_name(clean(web, again, by_hand=before))
    assert {name for name in given if given[name].by_hand} == {STRAY, COPIED}


def test_a_data_set_that_somebody_worked_in_is_left_alone_and_named_at_once(web, again, monkeypatch):
    monkeypatch.setattr(jobs.Run, "_open", None)
    (again / "dataset" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"dataset: holds mine.txt, which the export did not write"):
        clean(web, again)
    assert (again / "dataset" / "mine.txt").read_text() == "mine"


def test_changing_an_image_of_the_data_set_changes_no_original_unless_links_are_asked_for(web, done, again):
    def shared(folder):
        return [path for path in (folder / "dataset").rglob("*.*g") if path.stat().st_nlink > 1]

    assert shared(done.folder) == []
    clean(web, again, CleanOptions(placement="link"))
    assert shared(again)


def test_the_data_set_says_where_it_is_from_and_numbers_every_class(web, done, again):
    strict = clean(web, again, CleanOptions(noise=0.5, format="yolo"))
    assert strict.exported.categories == done.exported.categories == ["motorcycle", "other"]
    about = json.loads((again / "dataset" / "export.json").read_text())
    assert (about["source"], about["options"]["placement"]) == (str(web), "copy")
    assert "0: motorcycle\n  1: other\n" in (again / "dataset" / "data.yaml").read_text()


def without_box(monkeypatch, name):
    """Let nothing be found in an image that the rules drop."""
    judge = rules.judge_noise

    def judged(finding, *further):
        item = judge(finding, *further)
        return dataclasses.replace(item, keep=False, why="noise", box=None) if item.name == name else item

    monkeypatch.setattr(rules, "judge_noise", judged)


def test_an_image_kept_by_hand_without_a_box_is_no_example_of_background(web, done, again, tmp_path, monkeypatch):
    without_box(monkeypatch, "other/cat.png")
    path = by_hand(tmp_path / "hand.json", done, **{"other/cat.png": True})
    left = clean(web, again, CleanOptions(format="yolo"), by_hand=path)
    kept = sum(item.keep for item in left.decisions.items)
    assert (left.exported.images, left.exported.objects) == (kept - 1, kept - 1)
    assert not list((again / "dataset").rglob("*cat.*"))
    told = "left out of the data set, where they would be examples without the object (--with-empty takes them)"
    assert f"Kept by hand though nothing was found in them, and {told}: other/cat.png." in cleaning_text(left, 1.0)
    asked = clean(web, again, CleanOptions(format="yolo", found_only=False), by_hand=path)
    assert (asked.exported.images, asked.exported.objects) == (kept, kept - 1)
    assert "in the data set as examples without the object: other/cat.png" in cleaning_text(asked, 1.0)


def test_a_decision_flipped_in_the_page_is_downloaded_and_applied(web, done, again, tmp_path):
    if chromium.BROWSER is None:
        pytest.skip("no Chromium to open the page with")
    with chromium.Chromium(tmp_path) as browser:
        browser.open(again / "review.html")
        flip = f"[...document.querySelectorAll('.flip')].find((one) => one.ariaLabel === 'Keep it: {STRAY}').click()"
        browser.evaluate(flip)
        browser.evaluate("document.querySelector('.download').click()")
        path = browser.downloaded("decisions-by-hand.json")
    assert not by_name(done)[STRAY].keep
    after = by_name(clean(web, again, by_hand=path))
    assert {name for name in after if after[name] != by_name(done)[name]} == {STRAY}
    assert after[STRAY].keep
    assert json.loads((again / "decisions.json").read_text())["classes"][0]["kept by hand"] == 1


def test_decisions_of_unknown_images_are_refused_and_nothing_is_written(web, done, again, tmp_path):
    before = helpers.every_file(again)
    path = by_hand(tmp_path / "hand.json", done, **{"motorcycle/gone.jpg": True})
    with pytest.raises(UsageError, match=r"hand.json: decides on motorcycle/gone.jpg, which is not in the collection"):
        clean(web, again, by_hand=path)
    assert helpers.every_file(again) == before


def test_a_further_round_is_fitted_on_what_is_kept_and_classes_too_small_stay(web, done, again, monkeypatch):
    fitted = []

    class Watched(rounds.Run):
        def colocalize(self, before=None):
            fitted.extend(source.name for images in self._images.sets for source in images.sources)
            return super().colocalize(before)

    monkeypatch.setattr(rounds, "Run", Watched)
    after = clean(web, again, CleanOptions(rounds=2))
    kept = [item.name for item in done.decisions.items if item.keep]
    assert fitted == [name for name in kept if name.startswith("motorcycle/")]
    assert kept[-1:] == [name for name in kept if name not in fitted]  # one image is too few to fit on
    one, other = ({name: item.noise_score for name, item in by_name(which).items()} for which in (done, after))
    assert list(one) == list(other)
    assert {name for name in one if one[name] != other[name]} >= {"motorcycle/04_motorcycle_on_chelsea.jpg"}
    assert one["other/cat.png"] == other["other/cat.png"]


def test_results_inside_the_collection_and_a_collection_of_noise_are_refused(web, again):
    with pytest.raises(UsageError, match=r"lies inside .*web, where it would become a class: choose another --out"):
        clean(web, web / "out")
    told = r"no image is kept: 11 noise, 1 broken: choose another --noise, such as 0; look at .*review.html"
    with pytest.raises(UsageError, match=told):
        clean(web, again, CleanOptions(noise=0.99))
    assert json.loads((again / "decisions.json").read_text())["classes"][0]["kept"] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise": 1.0}, "noise must be a share of cells, from 0 to below 1, knee or alignment, not 1.0"),
        ({"noise": float("nan")}, "noise must be a share"),
        ({"duplicates": 11}, "duplicates must be from 0 to 10 bits, or none, not 11"),
        ({"format": "csv"}, "format must be one of coco, voc, yolo, tfds, parquet, not 'csv'"),
        ({"placement": "none"}, "images must be one of copy, link, not 'none'"),
        ({"rounds": 0}, "rounds must be at least 1, not 0"),
        ({"review_limit": -1}, "the review limit must be at least 0, not -1"),
        ({"job": Options(method="scda")}, "scda looks at each image alone"),
    ],
)
def test_options_that_make_no_sense_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        CleanOptions(**values)
