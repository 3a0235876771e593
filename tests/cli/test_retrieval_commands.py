"""index, search, compare, attributes, remove and ``evaluate --retrieval`` as a person types them."""

import json
import re
import shutil

import pytest

from jaxloc.run.retrieval.gallery import Gallery
from tests.cli import cli
from tests.data.datasets import trees
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked

OPTIONS = {
    "index": "--out --descriptor --whiten --labels --split --weights --layer --lower-layer --weight --gem-power "
    "--levels --region-global --region-whiten --clusters --seed --max-side --refit --shard-size --batch --components "
    "--dtype --workers --strict --download",
    "search": "--top --expand --expand-with --alpha --rerank --candidates --json --html --attributes --labels --split "
    "--weights --batch --components --workers --strict --download",
    "compare": "--descriptor --whiten --labels --queries --query-split --json --weights --layer --lower-layer --weight "
    "--region-whiten --clusters --seed --max-side --feature-cache --batch --components --dtype --workers --download",
    "attributes": "--html --dimensions --count",
    "evaluate": "--retrieval --queries --labels --split --json --weights",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return small.write_images(tmp_path_factory.mktemp("images") / "birds", range(0, 10, 2))


@pytest.fixture(scope="module")
def made(weights, images, tmp_path_factory):
    """A finished gallery, and what was printed; nothing may be written to it."""
    folder = tmp_path_factory.mktemp("made") / "gallery"
    status, out, err = cli.invoke(
        "index", images, "--out", folder, "-w", weights, "--whiten", "svd-5", "--shard-size", 4
    )
    assert (status, err) == (0, "")
    return folder, out


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option_with_what_it_does(command):
    out = cli.help_of(command)
    for option in OPTIONS[command].split():
        assert re.search(rf"{option}\b.*[A-Za-z]{{3,}}", out), option


def test_index_tells_what_it_made_and_what_to_do_next(made, weights, images):
    assert re.search(
        r"gallery: 16 vectors of 5 dimensions; 16 added in [\d.]+ s, 0 were there\.\nIn 1 images nothing was "
        r"selected: they rank last, and the table says so\.\nWarning: svd-5 is fitted on 16 images only: .*, which "
        r"does not whiten\nNow: jaxloc search \S+gallery QUERY\.jpg\n$",
        made[1],
    )


def test_index_goes_on_with_the_gallerys_own_settings(made, weights, images, tmp_path):
    folder = small.copy(made[0], tmp_path / "g")
    before = helpers.every_file(folder)
    status, out, err = cli.invoke("index", images, "--out", folder, "--weights", weights)
    assert (status, err) == (0, "")
    assert "0 added in" in out
    assert "16 were there" in out
    assert helpers.every_file(folder) == before
    status, out, err = cli.invoke("index", images, "--out", folder, "--weights", weights, "-d", "vlad")
    assert (status, out) == (2, "")
    assert "made with other settings than asked for (descriptor scda and vlad)" in cli.one_line(err)
    status, out, _ = cli.invoke("index", images, "--out", folder, "--weights", weights, "--whiten", "none")
    assert status == 0
    assert "16 vectors of 20 dimensions" in out
    assert Gallery.open(folder).description.whiten == "none"


def test_every_option_of_index_reaches_the_gallery(weights, images, tmp_path):
    given = {
        "descriptor": "rmac", "layer": "relu5_3", "lower-layer": "relu5_1", "weight": 0.25, "gem-power": 2.5,
        "levels": 2, "region-whiten": 4, "clusters": 3, "seed": 5, "max-side": 64, "shard-size": 7, "dtype": "bfloat16",
    }  # fmt: skip
    options = [text for name, value in given.items() for text in (f"--{name}", value)]
    status, _, err = cli.invoke(
        "index", images / "cat", "-o", tmp_path / "g", "-w", weights, *options, "--region-global"
    )
    assert (status, err) == (0, "")
    description = Gallery.open(tmp_path / "g").description
    values = {"descriptor": description.descriptor, "shard_size": description.shard_size, **description.settings}
    for name, value in given.items():
        assert values[name.replace("-", "_").replace("gem_", "")] == value, name
    assert values["region_global"] is True


def test_search_prints_a_table_and_says_what_was_not_found(made, weights, images):
    status, out, err = cli.invoke("search", made[0], images / "coffee" / "4.png", "--weights", weights, "-k", 16)
    assert (status, err) == (0, "")
    assert re.search(r"^ *1 +1\.0000 +coffee/4\.png +coffee +✓ *$", out, re.M)
    assert re.search(r"^ *16 +– +face/zz_small\.png +face +✗ *$", out, re.M)
    assert "Warning: in 1 images of the gallery nothing was selected: they rank last" in out


RANKED = ["--expand --expand-with 3", "--rerank diffusion"]


@pytest.mark.parametrize("given", soaked([*RANKED, "", "--rerank reciprocal"], RANKED))
def test_search_prints_json_that_any_parser_reads(made, weights, images, given):
    status, out, err = cli.invoke("search", made[0], images / "face", "-w", weights, "-k", 16, "--json", *given.split())
    assert (status, err) == (0, "")
    values = json.loads(out, parse_constant=pytest.fail)
    assert [len(query["results"]) for query in values["queries"]] == [16] * 6
    assert all(query["results"][-1]["name"] == small.EMPTY for query in values["queries"])
    assert [query["found"] for query in values["queries"]] == [True] * 5 + [False]


def test_search_writes_a_page(made, weights, images, tmp_path):
    page = tmp_path / "found.html"
    arguments = ["search", made[0], images / "cat", "-w", weights, "--html", page, "--attributes", 2]
    status, out, err = cli.invoke(*arguments)
    assert (status, err) == (0, "")
    assert f"Look at {page}" in out
    text = page.read_text()
    assert "cat/0.png" in text
    assert "Dimensions" in text
    status, out, _ = cli.invoke(*arguments, "--json")
    assert json.loads(out)["queries"]
    status, out, err = cli.invoke(
        "search", made[0], images / "cat", "-w", weights, "--html", tmp_path / "no" / "p.html"
    )
    assert status == 0
    (tmp_path / "file").touch()
    status, out, err = cli.invoke("search", made[0], images, "-w", weights, "--html", tmp_path / "file" / "p.html")
    assert (status, out) == (2, "")
    assert "file" in cli.one_line(err)


def test_a_broken_query_is_skipped_and_strict_makes_it_exit_3(made, weights, images, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    queries = [images / "cat" / "2.png", tmp_path / "broken.jpg"]
    status, out, err = cli.invoke("search", made[0], *queries, "-w", weights)
    assert (status, err) == (0, "")
    assert re.search(r"Skipped:\n +\S*broken\.jpg: not an image", out)
    assert re.search(r"^ *1 +1\.0000 +cat/2\.png", out, re.M)
    status, out, err = cli.invoke("search", made[0], *queries, "-w", weights, "--strict")
    assert (status, err) == (3, "")
    status, out, err = cli.invoke("search", made[0], tmp_path / "broken.jpg", "-w", weights, "--strict")
    assert (status, out) == (2, "")
    assert "no query can be read: broken.jpg: not an image" in cli.one_line(err)


def test_strict_makes_index_exit_3(weights, images, tmp_path):
    photos = shutil.copytree(images, tmp_path / "photos")
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    for strict, expected in (((), 0), (("--strict",), 3)):
        status, out, err = cli.invoke("index", photos, "-o", tmp_path / "g", "-w", weights, *strict)
        assert (status, err) == (expected, "")
        assert "Skipped:\n  cat/broken.jpg: not an image" in out


def test_evaluate_prints_a_table_and_json(made, weights, images):
    status, out, err = cli.invoke("evaluate", "--retrieval", made[0])
    assert (status, err) == (0, "")
    for name in ("cat", "coffee", "face", "all"):
        assert re.search(rf"^{name} +\d+( +[\d.]+){{8}}$", out, re.M)
    assert "16 queries against the rest of 16 images, 5 dimensions." in out
    status, out, err = cli.invoke("evaluate", "--retrieval", made[0], "--json")
    values = json.loads(out, parse_constant=pytest.fail)
    assert (values["mean"]["queries"], values["leave_one_out"]) == (16, True)
    assert len(values["mean"]["recalls"]) == 4
    status, out, err = cli.invoke("evaluate", "--retrieval", made[0], "--queries", images / "cat", "-w", weights)
    assert (status, err) == (0, "")
    assert "5 queries against the gallery of 16 images" in out
    assert "Warning: 5 queries are in the gallery themselves" in out


def test_evaluate_of_a_kind_that_is_not_there_is_json_too(made, weights, images, tmp_path):
    folder = small.copy(made[0], tmp_path / "g")
    assert cli.invoke("remove", folder, *(f"face/{n}.png" for n in range(0, 10, 2)), small.EMPTY) == (
        0,
        "6 removed.\n",
        "",
    )
    status, out, _ = cli.invoke("evaluate", "--retrieval", folder, "--queries", images, "-w", weights, "--json")
    assert status == 0
    assert json.loads(out, parse_constant=pytest.fail)["classes"]["face"]["recalls"] == [None] * 4


def test_a_landmark_set_is_searched_with_its_own_queries(weights, tmp_path):
    root = trees.revisited(tmp_path / "set", size=(96, 128))
    options = "-w", weights, "--workers", 1
    cli.invoke("index", f"roxford5k:{root}", "--out", tmp_path / "g", *options)
    command = "evaluate", "--retrieval", tmp_path / "g", "--queries", f"roxford5k:{root}", *options
    status, out, _ = cli.invoke(*command)
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()[2:5]] == [["easy", "2"], ["medium", "2"], ["hard", "2"]]
    assert out.splitlines()[0].split() == ["setup", "queries", "mAP", "mP@1", "mP@5", "mP@10"]
    assert list(json.loads(cli.invoke(*command, "--json")[1])["setups"]) == ["easy", "medium", "hard"]
    assert "its queries are judged: leave" in cli.invoke(*command, "--split", "query")[2]


def test_compare_prints_the_papers_table_and_json(weights, images):
    given = ["compare", images, "-w", weights, "-d", "scda", "-d", "vlad", "--whiten", "none", "--whiten", "svd-19"]
    status, out, err = cli.invoke(*given)
    assert status == 0
    assert re.search(r"^SCDA, –: top1 [\d.]+$", err, re.M)
    assert re.search(r"^SCDA +– +20( +[\d.]+){8}$", out, re.M)
    assert re.search(r"^selectVLAD +– +20( +[\d.]+){8}$", out, re.M)
    assert "16 queries each against the rest." in out
    assert "Not made, because svd-19: dimension 19 is above the rank" in out
    status, out, _ = cli.invoke(*given, "--json")
    values = json.loads(out, parse_constant=pytest.fail)
    assert [line["descriptor"] for line in values["lines"]] == ["scda", "scda", "vlad", "vlad"]


def test_attributes_writes_a_page(made, tmp_path):
    status, out, err = cli.invoke("attributes", made[0], "--html", tmp_path / "a.html", "--dimensions", 5)
    assert (status, out, err) == (0, f"Look at {tmp_path / 'a.html'}\n", "")
    assert "cat/" in (tmp_path / "a.html").read_text()
    status, _, err = cli.invoke("attributes", made[0], "--html", tmp_path / "b.html", "--dimensions", 6)
    assert status == 2
    assert "there is no dimension 5: the vectors have 5, counted from 0" in cli.one_line(err)


def test_remove_tells_how_many(made, images, tmp_path):
    folder = small.copy(made[0], tmp_path / "g")
    assert cli.invoke("remove", folder, "cat/4.png", images / "face" / "2.png") == (0, "2 removed.\n", "")
    status, _, err = cli.invoke("remove", folder, "cat/4.png")
    assert status == 2
    assert "holds no image cat/4.png" in cli.one_line(err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["search", "GALLERY", "IMAGES", "--attributes", "2"],
            "--attributes are shown on the page: name it with --html",
        ),
        (
            ["search", "GALLERY", "IMAGES", "--attributes", "-2", "--html", "a"],
            "--attributes must be at least 0, not -2",
        ),
        (["search", "GALLERY", "IMAGES", "--top", "17"], "--top 17 is more than the gallery's 16 images"),
        (["search", "GALLERY", "IMAGES"], "made with other weights (vgg16-small, "),
        (["search", "IMAGES", "IMAGES"], "no gallery here; make one with `jaxloc index PHOTOS --out"),
        (["index", "IMAGES", "--out", "IMAGES"], "holds other files"),
        (["index", "IMAGES", "--out", "NEW", "--whiten", "svd"], "cannot read the whitening 'svd': write none,"),
        (["index", "IMAGES", "--out", "NEW", "--split", "test"], "a split needs --labels with a COCO file"),
        (["attributes", "GALLERY", "--html", "x", "--count", "0"], "--dimensions and --count must be at least 1"),
        (
            ["evaluate", "a.json", "--retrieval", "GALLERY"],
            "--retrieval measures a gallery: leave the files of boxes out",
        ),
        (["evaluate", "--queries", "IMAGES"], "--queries and --labels go with --retrieval GALLERY"),
        (["evaluate"], "give predictions and the true boxes, or --retrieval GALLERY"),
        (
            ["evaluate", "--retrieval", "GALLERY", "--split", "test"],
            "labels and splits are those of images to search",
        ),
        (["compare", "IMAGES", "--whiten", "svd-0"], "cannot read the whitening 'svd-0'"),
        (["compare", "IMAGES", "--feature-cache", "-1"], "the feature cache must be a size in GB, 0 or more"),
        (["remove", "IMAGES", "a.png"], "no gallery here"),
    ],
    ids=cli.spelt,
)
def test_what_makes_no_sense_is_told_in_one_line(made, images, weights, tmp_path, arguments, message):
    places = {"GALLERY": made[0], "IMAGES": images, "NEW": tmp_path / "new"}
    own = ["-w", small.write_weights(tmp_path / "w.safetensors", seed=8)]
    if arguments == ["search", "GALLERY", "IMAGES", "--top", "17"]:
        own = ["-w", weights]
    if arguments[0] in ("attributes", "remove"):
        own = []
    status, out, err = cli.invoke(*(places.get(item, item) for item in arguments), *own)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)
