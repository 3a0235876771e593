"""The pages in a real browser, where there is one."""

import re
import shutil
import subprocess

import pytest

from jaxloc.report.html import render_page
from jaxloc.report.search_page import render_search
from tests.report.examples import HOSTILE, ddt, image, noisy
from tests.report.examples_search import query, searched, without_object
from tests.report.test_counted_page import image as counted_image
from tests.report.test_counted_page import page as counted

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def opened(folder, text: str, address: str = "") -> str:
    """The page's document after its script ran; empty if the browser fails."""
    (folder / "report.html").write_text(text, encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", "--dump-dom",
        f"file://{folder / 'report.html'}{address}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose pages the browser can open."""
    if BROWSER is None:
        pytest.skip("no Chromium to open the page with")
    place = tmp_path_factory.mktemp("pages")
    if "a blank page" not in opened(place, "<p>a blank page"):
        pytest.skip(f"{BROWSER} opens no page here")
    return place


def test_cards_and_the_large_view_are_drawn_and_names_stay_text(folder):
    images = [*(image(name) for name in HOSTILE), noisy("cat/none.jpg")]
    document = opened(folder, render_page(ddt(images=images)), "#image-2")
    body = document.split("<script", 1)[0]
    assert body.count('<li class="card"') == len(images) + 1  # and the template
    assert body.count('src="data:image/jpeg;base64,') == len(images) + 1  # and the large view
    assert "<title>cat, dog" in document
    assert "left: 10%; top: 10%; width: 40%; height: 40%;" in body
    assert re.search(r'<dialog[^>]* open=""', body)
    assert "&lt;img src=x" in re.search(r'<h2 id="large-name"[^>]*>(.*?)</h2>', body)[1]
    assert re.search(r'class="place">\d of 6<', body)


def test_controls_follow_what_the_findings_have(folder):
    without = [image(f"cat/{number}.jpg", heat=None, noise_score=None) for number in range(2)]
    body = opened(folder, render_page(ddt(method="scda", images=without, skipped=[]))).split("<script", 1)[0]
    assert 'data-toggle="box"' in body
    assert 'data-toggle="heat"' not in body
    assert 'value="share down"' not in body
    assert re.search(r'class="choose-set" hidden=""', body)


def test_queries_results_and_dimensions_are_drawn_and_names_stay_text(folder):
    queries = [*(query(name) for name in HOSTILE), without_object("none.jpg")]
    document = opened(folder, render_search(searched(queries=queries)), "#query-2-result-2")
    body = document.split("<script", 1)[0]
    assert body.count('<li class="query"') == len(queries) + 1  # and the template
    assert body.count('<li class="dimension"') == 1 + 1
    assert body.count('<li class="card relevant"') == body.count('<li class="card irrelevant"') == len(HOSTILE)
    assert body.count('<span class="hidden">relevant</span>✓') == len(HOSTILE)
    assert "No object was found in this image" in body
    assert ">−2.00<" in body  # the low end of the dimension
    assert "<title>flowers" in document
    assert re.search(r'<dialog[^>]* open=""', body)
    assert re.search(r'<h2 id="large-name"[^>]*>gallery/2.jpg</h2>', body)
    assert "<dt>Relevant</dt><dd>✗ no</dd>" in body
    assert "Query: cat/\"quoted\" &amp; 'single' &lt;img src=x" in body
    assert 'class="place">Result 2 of 2<' in body


def test_search_controls_follow_what_there_is(folder):
    bare = query("a.jpg", None, mask=None, box=None, average_precision=None, results=[])
    body = opened(folder, render_search(searched(queries=[bare], strips=[]))).split("<script", 1)[0]
    assert "No results." in body
    for part in ('data-toggle="mask"', 'data-toggle="box"', 'value="precision up"', '<li class="dimension"><h3>'):
        assert part not in body
    assert re.search(r'class="choose-label" hidden=""', body)


def test_page_of_dimensions_alone_hides_the_queries(folder):
    body = opened(folder, render_search(searched(queries=[])), "#dimension-0-low-1").split("<script", 1)[0]
    assert re.search(r'<section id="queries"[^>]* hidden=""', body)
    assert 'class="place">Low end, 1 of 1<' in body
    assert "<dt>Value</dt><dd>−2.00</dd>" in body


def test_a_search_shows_its_regions_and_curves(folder):
    regions = tuple((8.0 * t, 6.0 * t, 640 - 8.0 * t, 480 - 6.0 * t, 0.5 + 0.1 * t, 0.02 * t) for t in range(4))
    asked = image("1.jpg", noise_score=None, class_name="cat", probability=0.71, passes=308, regions=regions)
    document = opened(folder, render_page(ddt(images=[asked], skipped=[])), "#image-1").split("<script", 1)[0]
    assert document.count('class="step"') == 4  # two in the card, two in the large view
    assert 'class="cropped" points="34.0,' in document
    assert re.search(
        r"<dt>Probability</dt><dd>71 %</dd><dt>Passes</dt><dd>308</dd><dt>Iterations</dt><dd>3</dd>", document
    )


def test_counted_images_show_their_counts_and_names_stay_text(folder):
    names = [f"{name}.jpg" for name in HOSTILE]
    text = counted(*(counted_image(name, HOSTILE[0], "tea", "tea", score=0.5) for name in names))
    body = opened(folder, text, "#image-1").split("<script", 1)[0]
    assert body.count('<li class="card"') == len(names) + 1  # and the template
    assert body.count('class="item"') >= 3 * 2  # of the first card, which is near the window, and of the large view
    assert "<b>2 ×</b> tea" in body
    assert "tea, score 0.50" in body
    assert "<img src=x" not in body
