"""The page of groups: what it shows, that it is safe, and that groups come out of it as they were decided."""

import contextlib
import json

import numpy as np
import pytest

from jaxloc.report.groups import FORMAT, UNGROUPED, Groups, Member
from jaxloc.report.groups_page import choose_shown, render_groups
from jaxloc.report.overlays import make_thumbnail
from tests.report import chromium
from tests.report.examples import HOSTILE
from tests.report.parsed import Page

IMAGES = {"number": 9, "digest": "abc"}
THUMBNAIL = make_thumbnail(np.full((48, 64, 3), 90, np.uint8))


def member(name: str, group: str, found: str = "", **changes) -> Member:
    values = {"typical": 0.5, "width": 640, "height": 480, "box": (64.0, 48.0, 320.0, 240.0), "score": 0.75}
    return Member(name, group, found or group, **(values | changes))


MEMBERS = [
    *(member(f"{number}.jpg", "group-01") for number in range(4)),
    *(member(f"{number}.jpg", "group-02", box=None) for number in range(4, 7)),
    member("7.jpg", UNGROUPED),
    member("8.jpg", UNGROUPED, reason="damaged: it ends early", box=None),
]


def made(members=MEMBERS, renamed=(), **changes) -> Groups:
    values = {"images": IMAGES, "grouping": "def", "settings": {"groups": "auto"}, "notes": ["A note."]}
    return Groups(**(values | changes), members=members, renamed=dict(renamed))


def page(groups: Groups | None = None, limit: int = 100) -> str:
    groups = groups or made()
    shown = choose_shown(groups, limit)
    return render_groups(groups, shown, dict.fromkeys(shown, THUMBNAIL))


def test_counts_notes_and_skipped_images_are_told():
    read = Page(page())
    assert [read.tile(name) for name in ("Images", "Groups", "Ungrouped", "Skipped", "Changed by hand")] == [
        "8", "2", "1", "1", "0",
    ]  # fmt: skip
    assert "8 images in 2 groups. A note." in page()
    assert read.row("8.jpg") == ["8.jpg", "damaged: it ends early"]


def test_of_each_group_the_most_and_the_least_typical_are_shown():
    large = [member(f"a{number:02d}.jpg", "group-01") for number in range(40)]
    groups = made([*large, *(member(f"b{number}.jpg", "group-02") for number in range(3))])
    assert choose_shown(groups, 43) == list(range(43))
    assert choose_shown(groups, 11) == [0, 1, 2, 3, 4, 5, 38, 39, 40, 41, 42]
    assert choose_shown(groups, 0) == []
    assert "Showing 11 of 43 images, of each group the most and the least typical; groups.csv holds all." in page(
        groups, 11
    )


def test_data_hold_what_the_strips_and_the_download_need():
    groups = made([*MEMBERS, member("9.jpg", "mine", "group-02")], renamed={"group-01": "cats"})
    data = Page(page(groups, limit=2)).data
    assert data["file"] == [{"format": FORMAT, "images": IMAGES, "grouping": "def"}]
    assert dict(zip(data["sets"], data["names"], strict=True))["group-01"] == "cats"
    assert sum(data["left"]) + len(data["hidden"]) + len(data["images"]) == 9


@pytest.fixture
def browser(tmp_path):
    if chromium.BROWSER is None:
        pytest.skip("no Chromium to open the page with")
    with contextlib.ExitStack() as stack:
        try:
            one = stack.enter_context(chromium.Chromium(tmp_path))
        except (OSError, RuntimeError) as error:
            pytest.skip(f"{chromium.BROWSER} opens no page here: {error}")
        yield one


NAMES = "[...document.querySelectorAll('.strip')].map((strip) => [strip.querySelector('.group-name').value, strip.querySelectorAll('.card').length])"  # noqa: E501


def rename(browser, place: int, name: str) -> None:
    browser.evaluate(
        f"(() => {{ const input = document.querySelectorAll('.group-name')[{place}]; input.value = {json.dumps(name)}; "
        "input.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


def test_groups_are_renamed_merged_divided_taken_back_and_downloaded(browser, tmp_path):
    members = [*MEMBERS[:7], *(member(name, UNGROUPED) for name in HOSTILE)]
    (tmp_path / "groups.html").write_text(page(made(members)), encoding="utf-8")
    browser.open(tmp_path / "groups.html")
    alone = [UNGROUPED, len(HOSTILE)]
    assert browser.evaluate(NAMES) == [["group-01", 4], ["group-02", 3], alone]
    rename(browser, 0, "cats & <b>dogs</b>")
    assert browser.evaluate(NAMES) == [["cats & <b>dogs</b>", 4], ["group-02", 3], alone]
    rename(browser, 1, "cats & <b>dogs</b>")
    assert browser.evaluate(NAMES) == [["cats & <b>dogs</b>", 7], alone]
    browser.evaluate("document.querySelector('.undo').click()")
    assert browser.evaluate(NAMES) == [["cats & <b>dogs</b>", 4], ["group-02", 3], alone]
    browser.evaluate(
        "[...document.querySelectorAll('.strip:nth-child(2) .pick input')].slice(0, 2).forEach((one) => one.click())"
    )
    assert browser.evaluate("document.querySelector('.chosen b').textContent") == "2 chosen"
    browser.evaluate("document.querySelector('[name=target]').value = 'birds'")
    browser.evaluate("document.querySelector('.move-chosen').click()")
    assert browser.evaluate(NAMES) == [["cats & <b>dogs</b>", 4], ["birds", 2], ["group-02", 1], alone]
    assert browser.evaluate("document.querySelector('.chosen').hidden")
    assert browser.evaluate("document.querySelectorAll('.tiles dd')[4].textContent") == "6"
    browser.evaluate("document.querySelector('.download').click()")
    content = json.loads(browser.downloaded("groups-by-hand.json").read_text(encoding="utf-8"))
    assert content == {
        "format": FORMAT,
        "images": IMAGES,
        "grouping": "def",
        "groups": [{"group": "group-01", "name": "cats & <b>dogs</b>"}],
        "decisions": [{"name": name, "group": "birds"} for name in ("4.jpg", "5.jpg")],
    }
