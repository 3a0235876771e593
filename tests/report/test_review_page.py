"""The page to review: what it shows, that it is safe, and that decisions come out of it."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest

from jaxloc.report.decisions import FORMAT, Decision, Decisions, Threshold
from jaxloc.report.overlays import make_thumbnail
from jaxloc.report.review_page import choose_shown, render_review
from tests.report import chromium
from tests.report.examples import HOSTILE
from tests.report.parsed import Page

IMAGES = {"number": 7, "digest": "abc"}
TILES = ("Kept", "Dropped", "Skipped", "Changed by hand")
THUMBNAIL = make_thumbnail(np.full((48, 64, 3), 90, np.uint8))


def kept(name: str, category: str = "cat", **changes) -> Decision:
    values = {
        "keep": True,
        "why": "kept",
        "reason": "above",
        "width": 640,
        "height": 480,
        "box": (64.0, 48.0, 320.0, 240.0),
        "score": 0.75,
        "noise_score": 0.25,
        "doubt": 0.25,
    }
    return Decision(name, category, **values | changes)


ITEMS = [
    kept("cat/1.jpg"),
    kept("cat/2.jpg", noise_score=0.02, doubt=0.02),
    kept("cat/3.jpg", keep=False, why="noise", noise_score=0.0, box=None, score=0.0, doubt=0.01),
    kept("cat/4.jpg", keep=False, why="duplicate", other="cat/1.jpg", bits=2, doubt=2 / 64, width=320, height=240),
    kept("cat/5.jpg", keep=False, why="contradiction", other="dog/1.jpg", bits=1, doubt=0.0),
    kept("dog/1.jpg", "dog", keep=False, why="contradiction", other="cat/5.jpg", bits=1, doubt=0.0),
    Decision("dog/2.jpg", "dog", False, "broken", "not an image"),
]


def decided(items=ITEMS, **changes) -> Decisions:
    classes = {item.category for item in items}
    values = {
        "title": "cat, dog",
        "images": IMAGES,
        "settings": {"noise": "0"},
        "thresholds": {name: Threshold(0.0, "given") for name in sorted(classes)},
        "items": items,
    }
    return Decisions(**values | changes)


def page(decisions: Decisions | None = None, limit: int = 100) -> str:
    decisions = decisions or decided()
    shown = choose_shown(decisions.items, limit)
    return render_review(decisions, shown, dict.fromkeys(shown, THUMBNAIL))


def test_counts_are_of_each_class():
    read = Page(page())
    assert [read.tile(name) for name in TILES] == ["2", "4", "1", "0"]
    assert read.row("Class") == [
        "Class", "Images", "Noise", "Duplicates", "Contradictions", "Broken", "Dropped by hand", "Kept",
        "Of them by hand", "Noise threshold",
    ]  # fmt: skip
    assert read.row("cat") == ["cat", "5", "1", "1", "1", "0", "0", "2", "0", "0.0 % (given)"]
    assert read.row("dog") == ["dog", "2", "0", "0", "1", "1", "0", "0", "0", "0.0 % (given)"]
    assert read.row("dog/2.jpg") == ["dog/2.jpg", "dog", "not an image"]
    assert read.row("noise") == ["noise", "0"]


def test_a_reason_counts_where_the_image_is_dropped_for_it_so_that_the_counts_add_up():
    items = list(ITEMS)
    items[2] = dataclasses.replace(items[2], keep=True, by_hand=True)
    items[0] = dataclasses.replace(items[0], keep=False, by_hand=True)
    read = Page(page(decided(items)))
    assert read.row("cat") == ["cat", "5", "0", "1", "1", "0", "1", "2", "1", "0.0 % (given)"]
    assert [read.tile(name) for name in TILES] == ["2", "4", "1", "2"]
    for own in decided(items).counts().values():
        assert own["images"] == sum(own.values()) - own["images"] - own["kept by hand"]


def test_what_is_shown_in_words_is_explained():
    text = page()
    for word in ("Object share", "No box", "Skipped"):
        assert f"<b>{word}</b>: " in text
    assert "<code>--with-empty</code>" in text


def test_data_hold_what_the_cards_and_the_download_need():
    data = Page(page()).data
    assert data["file"] == [{"format": FORMAT, "images": IMAGES}]
    assert [one["key"] for one in data["images"]] == [item.name for item in ITEMS[:6]]
    assert [one["other"] for one in data["images"]] == [None, None, None, 0, 5, 4]
    assert [one["rule"] for one in data["images"]] == [True, True, False, False, False, False]
    assert data["images"][0]["box"] == [64, 48, 320, 240]
    assert data["thresholds"] == [0, 0]
    assert [(own["kept"], own["noise"], own["broken"]) for own in data["counts"]] == [(2, 1, 0), (0, 0, 1)]
    assert data["hidden"] == []


def test_the_most_doubtful_are_shown_with_what_they_repeat():
    assert choose_shown(ITEMS, 100) == [0, 1, 2, 3, 4, 5]
    assert choose_shown(ITEMS, 2) == [4, 5]
    assert choose_shown(ITEMS, 4) == [1, 2, 4, 5]
    assert choose_shown(ITEMS, 3) == [2, 4, 5]
    assert choose_shown(ITEMS, 0) == []


def test_the_limit_is_told_and_decisions_by_hand_come_first_or_are_carried_along():
    by_hand = dataclasses.replace(ITEMS[0], keep=False, by_hand=True)
    items = [by_hand, *ITEMS[1:]]
    assert choose_shown(items, 1) == [0]
    read = Page(page(decided(items), 1))
    assert "Showing 1 of 6 images, the most doubtful; decisions.json holds all." in read.text
    assert read.data["hidden"] == []
    hidden = Page(page(decided(items), 0)).data["hidden"]
    assert hidden == [{"name": "cat/1.jpg", "class": "cat", "keep": False}]


def test_hostile_text_adds_no_element_and_names_survive_whole():
    items = [kept(name, reason=name) for name in HOSTILE]
    broken = [Decision(f"x{name}", "cat", False, "broken", name) for name in HOSTILE]
    text = page(decided([*items, *broken], title=HOSTILE[0], warnings=HOSTILE, settings=dict.fromkeys(HOSTILE, "v")))
    text.encode()
    plain = [kept(f"{number}", reason="r") for number in range(len(HOSTILE))]
    plain += [Decision(f"x{number}", "cat", False, "broken", "r") for number in range(len(HOSTILE))]
    settings = {str(number): "v" for number in range(len(HOSTILE))}
    same = page(decided(plain, warnings=["w"] * len(HOSTILE), settings=settings))
    assert [tag for tag, _ in Page(text).elements] == [tag for tag, _ in Page(same).elements]
    assert [one["key"] for one in Page(text).data["images"]] == list(HOSTILE)


def test_same_decisions_give_the_same_page_and_it_reaches_for_nothing():
    text = page()
    assert text == page()
    links = [value for _, attrs in Page(text).elements for name, value in attrs.items() if name in ("src", "href")]
    assert links == ["data:,"]


@pytest.fixture
def browser(tmp_path):
    """A browser with the page of ``ITEMS`` open."""
    if chromium.BROWSER is None:
        pytest.skip("no Chromium to open the page with")
    (tmp_path / "review.html").write_text(page(), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        try:
            one = stack.enter_context(chromium.Chromium(tmp_path))
            one.open(tmp_path / "review.html")
        except (OSError, RuntimeError) as error:
            pytest.skip(f"{chromium.BROWSER} opens no page here: {error}")
        yield one


def names(browser) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('.grid > .card')].map((card) => card.image.name)")


def tiles(browser) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('.tiles dd')].map((tile) => tile.textContent)")


def tabs(browser) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('.tabs span')].map((tab) => tab.textContent)")


def row(browser, number: int) -> list[str]:
    """The counts of a class."""
    cells = f"document.querySelectorAll('[data-count][data-set=\"{number}\"]')"
    return browser.evaluate(f"[...{cells}].map((cell) => cell.textContent)")


def test_the_object_share_is_a_percentage_and_an_image_without_a_box_says_so(browser):
    scores = "[...document.querySelectorAll('.grid > .card')].map((card) => card.querySelector('.scores').textContent)"
    shown = dict(zip(names(browser), browser.evaluate(scores), strict=True))
    assert shown["cat/1.jpg"].split("score")[0] == "object share 25 % "
    assert shown["cat/2.jpg"].split("score")[0] == "object share 2.0 % "
    assert shown["cat/3.jpg"].strip() == "object share 0.0 % no box"


def test_a_decision_is_flipped_undone_and_downloaded(browser):
    doubtful = ["cat/5.jpg", "dog/1.jpg", "cat/3.jpg", "cat/2.jpg", "cat/4.jpg", "cat/1.jpg"]
    assert names(browser) == doubtful
    browser.evaluate("document.querySelector('.grid .open').focus()")
    browser.press("ArrowRight")
    browser.press("k")  # dog/1.jpg
    browser.press("ArrowRight")
    browser.press("k")  # cat/3.jpg
    assert tiles(browser) == ["4", "2", "1", "2"]
    assert row(browser, 0) == ["5", "0", "1", "1", "0", "0", "3", "1"]
    assert row(browser, 1) == ["2", "0", "0", "0", "1", "0", "1", "1"]
    browser.press("u")
    assert tiles(browser) == ["3", "3", "1", "1"]
    browser.evaluate("document.querySelectorAll('.grid .flip')[3].click()")  # cat/2.jpg
    assert tiles(browser) == ["2", "4", "1", "2"]
    assert row(browser, 0) == ["5", "1", "1", "1", "0", "1", "1", "0"]
    assert tabs(browser) == ["All 6", "Kept 2", "Dropped 4", "Changed 2"]
    assert browser.evaluate("document.querySelector('.download').textContent") == "Download 2 decisions"
    browser.evaluate("document.querySelector('.download').click()")
    content = json.loads(browser.downloaded("decisions-by-hand.json").read_text(encoding="utf-8"))
    assert content == {
        "format": FORMAT,
        "images": IMAGES,
        "decisions": [
            {"name": "cat/2.jpg", "class": "cat", "keep": False},
            {"name": "dog/1.jpg", "class": "dog", "keep": True},
        ],
    }


def test_filters_show_what_they_say_and_the_large_view_what_is_repeated(browser):
    def choose(control: str, value: str) -> list[str]:
        browser.evaluate(
            f"controls.{control}.value = '{value}'; form.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        )
        return names(browser)

    assert choose("why", "duplicate") == ["cat/4.jpg"]
    assert choose("why", "near") == ["cat/3.jpg", "cat/2.jpg"]
    assert choose("show", "kept") == ["cat/2.jpg"]
    browser.evaluate("document.querySelector('.clear').click()")
    assert len(names(browser)) == 6
    assert choose("sort", "group")[:4] == ["cat/1.jpg", "cat/4.jpg", "cat/5.jpg", "dog/1.jpg"]
    browser.evaluate("document.querySelectorAll('.grid .open')[1].click()")
    beside = "document.querySelector('.beside').textContent"
    assert "cat/1.jpg: kept, 640 × 480" in browser.evaluate(beside)
    browser.press("k")
    assert "Drop it" in browser.evaluate(beside)
    assert tiles(browser) == ["3", "3", "1", "1"]
