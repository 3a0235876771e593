"""The HTML page: what it says, that it is safe, and that it is the same for the same findings."""

import base64
import dataclasses
import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.annotations import Rle
from jaxloc.report import parquet
from jaxloc.report.html import render_page
from jaxloc.report.records import Findings, Skipped
from tests.report.examples import HOSTILE, ddt, image, noisy, scda, stored
from tests.report.parsed import Page


def test_counts_and_medians_are_of_each_set():
    page = Page(render_page(ddt()))
    assert "DDT co-localisation of 4 images in 2 sets." in page.text
    assert [page.tile(name) for name in ("Images", "Found", "Noisy", "Skipped")] == ["4", "3", "1", "1"]
    assert page.row("Set") == ["Set", "Images", "Found", "Noisy", "Skipped", "Median score", "Median object share"]
    assert page.row("cat") == ["cat", "3", "2", "1", "0", "0.60", "25 %"]
    assert page.row("dog") == ["dog", "1", "1", "0", "1", "0.88", "50 %"]


def test_settings_warnings_and_skipped_images_are_told():
    page = Page(render_page(ddt(warnings=["cat: the sign is in doubt"])))
    assert page.row("layer") == ["layer", "relu5_4"]
    assert page.row("dog/2.jpg") == ["dog/2.jpg", "dog", "not an image"]
    assert "cat: the sign is in doubt" in page.text
    assert "Please check" not in Page(render_page(ddt())).text


def test_data_hold_what_the_cards_show():
    page = Page(render_page(ddt()))
    assert page.data["sets"] == ["cat", "dog"]
    first, _, third, last = page.data["images"]
    assert (first["name"], first["set"], first["status"], last["set"]) == ("cat/1.jpg", 0, "found", 1)
    assert (first["width"], first["height"], first["box"]) == (640, 480, [64, 48, 320, 240])
    assert (third["status"], third["box"], third["share"]) == ("noisy", None, 0.0312)
    heat = np.frombuffer(base64.b64decode(first["heat"]["cells"]), np.int8)
    assert heat.reshape(first["heat"]["rows"], first["heat"]["columns"]).tolist() == [[127, -127, 3], [0, -1, 64]]
    assert base64.b64decode(first["thumbnail"]) == ddt().images[0].thumbnail


def test_page_reaches_for_nothing_outside_itself():
    text = render_page(ddt())
    page = Page(text)
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert "http" not in text.replace("http-equiv", "")
    assert "elsewhere" not in text


def test_policy_allows_the_pages_own_script_and_no_other():
    page = Page(render_page(ddt()))
    (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert len(page.scripts) == 2
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_text_adds_no_element_and_survives_whole():
    plain = ddt(
        images=[image("cat/1.jpg") for _ in HOSTILE],
        skipped=[Skipped("a", "cat", "b") for _ in HOSTILE],
        warnings=["w"] * len(HOSTILE),
        settings={f"setting {number}": "v" for number in range(len(HOSTILE))},
    )
    hostile = dataclasses.replace(
        plain,
        title=HOSTILE[0],
        images=[image(name) for name in HOSTILE],
        skipped=[Skipped(name, "cat", name) for name in HOSTILE],
        warnings=list(HOSTILE),
        settings=dict(zip(HOSTILE, HOSTILE, strict=True)),
    )
    text = render_page(hostile)
    page = Page(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in Page(render_page(plain)).elements]
    assert [item["name"] for item in page.data["images"]] == list(HOSTILE)
    assert HOSTILE[1] in page.text
    assert not re.search("[<>&]", page.scripts[0])


def test_hostile_set_names_stay_text():
    category = "<b>é</script>"
    page = Page(render_page(ddt(images=[image("x.jpg", category)], skipped=[])))
    assert page.data["sets"] == ["<b>é</script>"]
    assert page.row("<b>é</script>")[1] == "1"


def test_same_findings_give_the_same_page():
    assert render_page(ddt()) == render_page(ddt())


@pytest.mark.parametrize("limit", [0, 1, 3, 2000])
def test_stored_findings_give_the_same_page(tmp_path, limit):
    late = [image("1.jpg", thumbnail=None, heat=None), noisy("2.jpg"), *(image(name) for name in HOSTILE)]
    for findings in (ddt(), scda(), ddt(images=late), Findings("nothing", "ddt", {}, [], [])):
        expected = render_page(findings, limit=limit)
        assert render_page(stored(findings, tmp_path), limit=limit) == expected


def test_thumbnails_are_read_no_further_than_needed(tmp_path, monkeypatch):
    findings = stored(ddt(images=[image(f"{number}.jpg") for number in range(9)]), tmp_path)
    expected = render_page(findings, limit=2)
    read = []
    whole = parquet.Images._read
    monkeypatch.setattr(parquet.Images, "_read", lambda self, file: read.append(file.name) or whole(self, file))
    assert render_page(findings, limit=2) == expected
    assert read == ["shard-00000.parquet"]


def test_of_thousands_of_sets_the_first_are_listed_and_the_rest_counted():
    def page(number: int) -> Page:
        images = [image(f"{index}.jpg", f"set {index:04}", heat=None, thumbnail=None) for index in range(number)]
        return Page(render_page(ddt(images=images, skipped=[]), limit=10))

    few, many = page(1000), page(1203)
    for one in (few, many):
        assert [row[0] for row in one.rows if row[0].startswith("set ")] == [f"set {n:04}" for n in range(1000)]
    assert "Sets: the first" not in few.text
    assert "Sets: the first 1,000 of 1,203 by name" in many.text
    assert "of 1,203 images in 1,203 sets." in many.text


def test_scda_has_no_object_share():
    text = render_page(scda())
    page = Page(text)
    assert "SCDA localisation of 2 images in 1 set." in page.text
    assert page.row("Set") == ["Set", "Images", "Found", "Nothing found", "Skipped", "Median score"]
    assert page.row("cat") == ["cat", "2", "1", "1", "0", "0.75"]
    assert {item["share"] for item in page.data["images"]} == {None}
    assert "Object share" not in page.text


def test_noisy_and_nothing_found_are_told_apart():
    images = [noisy("cat/1.jpg"), image("cat/2.jpg", box=None, score=0.0, found=False)]
    page = Page(render_page(ddt(method="ddt+", images=images)))
    assert [item["status"] for item in page.data["images"]] == ["noisy", "nothing found"]
    assert (page.tile("Found"), page.tile("Noisy"), page.tile("Nothing found")) == ("0", "1", "1")
    assert page.row("cat")[-2:] == ["–", "14.1 %"]


def test_page_without_heat_says_nothing_of_it():
    images = [image("cat/1.jpg", heat=None), image("cat/2.jpg", heat=np.zeros((0, 2), np.int8))]
    page = Page(render_page(ddt(images=images[:1])))
    assert "cells above the threshold" not in page.text
    assert [item["heat"] for item in Page(render_page(ddt(images=images))).data["images"]] == [None, None]


def test_limit_prefers_images_with_a_thumbnail_and_says_how_many_are_left():
    images = [image(f"cat/{number:04}.jpg", thumbnail=None if number % 2 else b"jpeg") for number in range(1200)]
    page = Page(render_page(ddt(images=images), limit=601))
    names = [item["name"] for item in page.data["images"]]
    assert names == ["cat/0000.jpg", "cat/0001.jpg", *(f"cat/{number:04}.jpg" for number in range(2, 1200, 2))]
    assert "Showing 601 of 1,200 images; annotations.json holds all." in page.text
    assert page.tile("Images") == "1,200"


def test_everything_is_shown_up_to_the_limit_without_a_word_about_it():
    images = [image("cat/1.jpg", thumbnail=None), image("cat/2.jpg")]
    page = Page(render_page(ddt(images=images), limit=2))
    assert [item["thumbnail"] is None for item in page.data["images"]] == [True, False]
    assert "Showing" not in page.text


def test_skipped_images_are_listed_up_to_the_limit():
    skipped = [Skipped(f"cat/{number}.jpg", "cat", "truncated") for number in range(5)]
    page = Page(render_page(ddt(skipped=skipped), limit=3))
    assert sum(row[-1:] == ["truncated"] for row in page.rows) == 3
    assert "2 more; annotations.json holds all." in page.text
    assert page.tile("Skipped") == "5"


def test_findings_of_nothing_make_a_page():
    page = Page(render_page(Findings("nothing", "ddt", {}, [], [])))
    assert page.data == {"sets": [], "parts": [], "images": []}
    assert page.tile("Images") == "0"
    assert not page.rows


def test_scores_that_are_not_numbers_do_not_break_the_data():
    page = Page(render_page(ddt(images=[image("cat/1.jpg", score=np.float32("nan"), noise_score=float("inf"))])))
    assert (page.data["images"][0]["score"], page.data["images"][0]["share"]) == (None, None)


def test_version_and_the_meaning_of_the_scores_are_told():
    page = Page(render_page(ddt()))
    assert f"Made by jaxloc {ddt().version}." in page.text
    assert "one standard deviation of its whole set" in page.text
    assert "share of the image's cells that belong to the object" in page.text
    assert "twice that of the whole image" in Page(render_page(scda())).text


def test_lighter_regions_are_shown_with_the_box():
    regions = ((64.0, 48.0, 320.0, 240.0, 0.9), (1.0, 2.0, 3.0, 4.0, 0.1))
    page = Page(render_page(ddt(images=[image("cat/1.jpg", objects=regions), image("cat/2.jpg")])))
    first, second = page.data["images"]
    assert first["objects"] == [[1.0, 2.0, 3.0, 4.0]]
    assert "objects" not in second
    assert "lighter ones" in page.text


def test_masks_and_parts_are_layers_of_their_own():
    mask = np.zeros((480, 640), bool)
    mask[100:300, 100:400] = True
    images = [
        image("cat/1.jpg", mask=Rle.of(mask).counts, parts=((1.0, 2.0, 3.0, 4.0), None)),
        image("cat/2.jpg"),
    ]
    page = Page(render_page(ddt(images=images)))
    first, second = page.data["images"]
    assert first["parts"] == [[1.0, 2.0, 3.0, 4.0], None]
    with Image.open(io.BytesIO(base64.b64decode(first["mask"]))) as layer:
        assert (layer.mode, layer.size) == ("RGBA", (192, 144))
    assert not {"mask", "parts"} & second.keys()
    assert "the same part in every image of a set" in page.text
    assert "the same part" not in Page(render_page(ddt())).text


def test_what_a_classifier_said_is_shown():
    regions = ((0.0, 0.0, 640.0, 480.0, 0.5, 0.01), (64.0, 48.0, 320.0, 240.0, 0.61234567, 0.0))
    asked = {"noise_score": None, "class_name": "tabby, tabby cat", "probability": 0.71, "passes": 308}
    images = [image("1.jpg", regions=regions, **asked), image("2.jpg", "tabby, tabby cat", rank=1, **asked)]
    page = Page(render_page(ddt(images=images, skipped=[], classes_each=2)))
    first, second = page.data["images"]
    assert (first["class"], first["probability"], first["passes"]) == ("tabby, tabby cat", 0.71, 308)
    assert first["regions"] == [[0, 0, 640, 480, 0.5, 0.01], [64, 48, 320, 240, 0.6123, 0]]
    assert not {"class", "regions"} & set(second)
    assert "of 1 image in 2 sets." in page.text
    assert "scores of each region cropped" in page.text
