"""The page of a search: what it says, that it is safe, small, and the same for the same search."""

import base64
import dataclasses
import hashlib
import re

import numpy as np
import pytest

from jaxloc.report.records import Skipped
from jaxloc.report.search_page import render_search
from jaxloc.report.search_records import Example, Searched
from tests.report.examples import HOSTILE
from tests.report.examples_search import query, result, searched, strip, thumbnail, unlabelled, without_object, wrong
from tests.report.parsed import Page


def parsed(**changes) -> Page:
    return Page(render_search(searched(**changes)))


def test_figures_settings_warnings_and_skipped_images_are_told():
    page = parsed(warnings=["the gallery is small"])
    assert "3 queries searched in a gallery of 1,340 images." in page.text
    assert [page.tile(name) for name in ("Queries", "Gallery", "Without object", "Skipped")] == ["3", "1,340", "1", "1"]
    assert re.search(r"mAP@5\s*79\.5 %", page.text)
    assert page.row("metric") == ["metric", "cosine"]
    assert page.row("rose/2.jpg") == ["rose/2.jpg", "gallery", "not an image"]
    assert "the gallery is small" in page.text


def test_one_of_anything_is_singular():
    assert "1 query searched in a gallery of 1 image." in parsed(queries=[query("a.jpg")], gallery_size=1).text


def test_each_label_has_its_failures_and_mean_average_precision():
    page = parsed()
    assert page.row("Label") == ["Label", "Queries", "Failures", "Mean AP"]
    assert page.row("daisy") == ["daisy", "2", "1", "0.250"]
    assert page.row("rose") == ["rose", "1", "1", "0.250"]


def test_queries_without_a_label_are_in_no_row():
    rows = parsed(queries=[query("a.jpg"), wrong("b.jpg"), unlabelled("c.jpg")]).rows
    assert [row[:2] for row in rows if row[0] in ("daisy", "rose", "(unnamed)")] == [["daisy", "1"], ["rose", "1"]]


def test_data_hold_what_the_rows_show():
    data = parsed().data
    first, second, _ = data["queries"]
    asked = data["images"][first["image"]]
    assert (asked["name"], asked["label"], asked["width"], asked["height"]) == ("daisy/1.jpg", "daisy", 600, 400)
    assert asked["box"] == [60, 40, 300, 200]
    assert (data["labels"][first["label"]], first["precision"], first["found"]) == ("daisy", 0.5, True)
    assert [(score, relevant) for _, score, relevant in first["results"]] == [(0.875, True), (-0.25, False)]
    names = [data["images"][number]["name"] for number, *_ in first["results"]]
    assert names == ["gallery/1.jpg", "gallery/2.jpg"]
    assert (second["found"], second["mask"], second["results"]) == (False, None, [])


def test_mask_is_kept_a_bit_a_cell():
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    (shown,) = parsed(queries=[query("a.jpg", mask=mask)]).data["queries"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(shown["mask"]["cells"]), np.uint8), count=35)
    assert (shown["mask"]["rows"], shown["mask"]["columns"]) == (5, 7)
    np.testing.assert_array_equal(bits.reshape(5, 7), mask)


@pytest.mark.parametrize(
    ("asked", "failed"),
    [
        (query("a"), False),
        (wrong("a"), True),
        (without_object("a"), True),
        (query("a", results=[]), True),
        (unlabelled("a"), False),
        (query("a", results=[result("b", relevant=np.bool_(False))]), True),
    ],
)
def test_failures_are_a_wrong_best_result_or_none(asked, failed):
    (shown,) = parsed(queries=[asked]).data["queries"]
    assert shown["failed"] is failed


def test_dimensions_hold_both_ends_with_their_values():
    page = parsed(strips=[strip(), strip(7, share=None)])
    first, second = page.data["strips"]
    images = page.data["images"]
    assert (first["dimension"], first["share"], second["dimension"], second["share"]) == (0, 0.125, 7, None)
    assert [(images[number]["name"], value) for number, value in first["high"]] == [
        ("gallery/1.jpg", 2.5),
        ("gallery/2.jpg", 1.25),
    ]
    assert [(images[number]["label"], value) for number, value in first["low"]] == [(None, -2.0)]
    assert re.search(r"Dimensions\s*2", page.text)


def test_page_without_dimensions_masks_or_relevance_says_nothing_of_them():
    page = parsed(queries=[unlabelled("a.jpg")], strips=[], skipped=[], summary={})
    for word in ("Dimensions", "✓", "AP:", "best result is not relevant"):
        assert word not in page.text
    assert "Mask:" in page.text
    assert "Mask:" not in parsed(queries=[query("a.jpg", mask=None)]).text
    assert not [attrs for tag, attrs in page.elements if tag == "a"]


def test_links_lead_to_the_parts_there_are():
    page = parsed()
    ids = {attrs.get("id") for _, attrs in page.elements}
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links == ["#queries", "#dimensions", "#skipped"]
    assert {link[1:] for link in links} <= ids


def test_thumbnails_and_images_are_there_once_however_often_they_are_found():
    queries = [query(f"{number}.jpg", thumbnail=b"jpeg %d" % number) for number in range(40)]
    data = parsed(queries=queries).data
    assert len(data["thumbnails"]) == 40 + 2  # of two results, and one more example
    assert len(data["images"]) == 40 + 2 + 3
    shown = [base64.b64decode(text) for text in data["thumbnails"]]
    for number, item in enumerate(data["queries"]):
        assert shown[data["images"][item["image"]]["thumbnail"]] == queries[number].thumbnail


def test_images_of_one_name_in_two_folders_are_not_confused():
    asked = query("1.jpg", results=[result("1.jpg", thumbnail=thumbnail(200))])
    data = parsed(queries=[asked]).data
    (shown,) = data["queries"]
    kept = [data["images"][number]["thumbnail"] for number in (shown["image"], shown["results"][0][0])]
    assert [base64.b64decode(data["thumbnails"][number]) for number in kept] == [thumbnail(30), thumbnail(200)]


def test_page_reaches_for_nothing_outside_itself():
    text = render_search(searched())
    links = [
        value for _, attrs in Page(text).elements for name, value in attrs.items() if name in ("src", "href", "action")
    ]
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    assert "http" not in text.replace("http-equiv", "")


def test_policy_allows_the_pages_own_script_and_no_other():
    page = parsed()
    (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert len(page.scripts) == 2
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_text_adds_no_element_and_survives_whole():
    def with_names(names: tuple[str, ...]) -> Searched:
        images = [query(name, f"{number}{name}", results=[result(name, name)]) for number, name in enumerate(names)]
        return searched(
            title=names[0],
            queries=images,
            skipped=[Skipped(name, name, name) for name in names],
            warnings=list(names),
            settings={f"{number}{name}": name for number, name in enumerate(names)},
            summary={f"{number}{name}": name for number, name in enumerate(names)},
            strips=[strip(high=[Example(name, name, 1.0, None) for name in names], low=[])],
        )

    text = render_search(with_names(HOSTILE), limit=9)
    page = Page(text)
    plain = Page(render_search(with_names(tuple("abcde")), limit=9))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [page.data["images"][item["image"]]["name"] for item in page.data["queries"]] == list(HOSTILE)
    assert [page.data["images"][number]["label"] for number, _ in page.data["strips"][0]["high"]] == list(HOSTILE)
    assert HOSTILE[1] in page.text
    assert not re.search("[<>&]", page.scripts[0])


def test_same_search_gives_the_same_page():
    assert render_search(searched()) == render_search(searched())


def test_limit_prefers_queries_with_a_thumbnail_and_says_how_many_are_left():
    queries = [query(f"{number:04}.jpg", thumbnail=None if number % 2 else thumbnail(1)) for number in range(1200)]
    text = render_search(searched(queries=queries), limit=601)
    page = Page(text)
    names = [page.data["images"][item["image"]]["name"] for item in page.data["queries"]]
    assert names == ["0000.jpg", "0001.jpg", *(f"{number:04}.jpg" for number in range(2, 1200, 2))]
    assert "Showing 601 of 1,200 queries." in page.text
    assert page.tile("Queries") == "1,200"
    assert "Showing 2 of 1,200 queries." in Page(render_search(searched(queries=queries), limit=2)).text


def test_everything_is_shown_up_to_the_limit_without_a_word_about_it():
    assert "Showing" not in Page(render_search(searched(), limit=3)).text


def test_skipped_images_are_listed_up_to_the_limit():
    skipped = [Skipped(f"{number}.jpg", "", "truncated") for number in range(5)]
    page = Page(render_search(searched(skipped=skipped), limit=3))
    assert [row for row in page.rows if row[-1:] == ["truncated"]] == [[f"{n}.jpg", "truncated"] for n in range(3)]
    assert "2 more." in page.text


def test_search_of_nothing_makes_a_page():
    page = Page(render_search(Searched("nothing", {}, 0, [])))
    assert page.data == {"labels": [], "queries": [], "strips": [], "images": [], "thumbnails": []}
    assert page.tile("Queries") == "0"
    assert not page.rows


def test_numbers_that_are_not_finite_do_not_break_the_data():
    nan = float("nan")
    asked = query("a.jpg", box=(nan,) * 4, average_precision=nan, results=[result("b.jpg", score=np.float32("inf"))])
    page = parsed(queries=[dataclasses.replace(asked)], strips=[strip(share=nan)])
    (shown,) = page.data["queries"]
    assert (shown["precision"], shown["results"][0][1], page.data["strips"][0]["share"]) == (None, None, None)
    assert page.data["images"][shown["image"]]["box"] is None
