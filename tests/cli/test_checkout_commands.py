"""The commands of a checkout: compose, train, count."""

import json

import pytest

from jaxloc.data import annotations
from tests.cli import cli
from tests.products import write_products
from tests.run.retrieval import small


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return write_products(tmp_path_factory.mktemp("shop") / "products", kinds=5, views=1)


def test_a_set_is_composed_as_asked(products, tmp_path):
    given = ("--level", "easy", "--images", "4", "--side", "128", "--format", "voc", "--split", "train=0.5,val=0.5")
    status, text, _ = cli.invoke("checkout", "compose", products, "--out", tmp_path / "out", *given)
    assert status == 0
    assert "4 images with" in text
    assert "items of 5 kinds, from 5 products cut out" in text
    found = annotations.read(tmp_path / "out" / "dataset")
    assert len(found.images) == 4
    assert all(name.startswith("easy-") for name in found.images)
    assert (tmp_path / "out" / "report.html").exists()


def test_images_that_were_not_used_end_a_strict_command_with_3(products, tmp_path):
    (products / "kind-0" / "broken.jpg").write_bytes(b"nothing")
    given = ("--level", "easy", "--images", "1", "--side", "128", "--strict")
    status, text, _ = cli.invoke("checkout", "compose", products, "--out", tmp_path / "out", *given)
    assert status == 3
    assert "Not used:\n  kind-0/broken.jpg: " in text
    (products / "kind-0" / "broken.jpg").unlink()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--level", "hard"],
            "hard needs 8 kinds of product, and there are 5: add folders, one for each kind, or choose",
        ),
        (
            ["--level", "easy", "--side", "64"],
            "a canvas of 64 pixels is too small for easy: products would be 15 pixels",
        ),
        (["--level", "easy", "--level", "easy"], "name one or more levels, each once"),
    ],
    ids=cli.spelt,
)
def test_what_makes_no_sense_is_told_in_one_line(products, tmp_path, given, message):
    status, out, err = cli.invoke("checkout", "compose", products, "--out", tmp_path / "out", *given)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)


def test_a_counter_is_trained_counts_and_is_measured(products, tmp_path):
    weights = small.write_weights(tmp_path / "small.safetensors")
    composed = ("--level", "easy", "--images", "6", "--side", "96", "--product-side", "0.3", "--out", tmp_path / "set")
    assert cli.invoke("checkout", "compose", products, *composed)[0] == 0
    dataset = tmp_path / "set" / "dataset"
    short = ("--weights", weights, "--side", "96", "--steps", "4", "--every", "2", "--learning-rate", "0.01")
    status, text, _ = cli.invoke("checkout", "train", dataset, *short, "--out", tmp_path / "model")
    assert status == 0
    assert "Learnt 5 kinds from 5 images; of 1 held out, " in text
    named = ("--weights", weights, "--out", tmp_path / "counted")
    status, text, _ = cli.invoke("checkout", "count", tmp_path / "model", dataset / "images", *named, "--json")
    assert status == 0
    assert len(json.loads(text)["images"]) == 6
    status, text, _ = cli.invoke("evaluate", tmp_path / "counted", dataset, "--counts")
    assert status == 0
    assert "averaged" in text
    status, out, err = cli.invoke("checkout", "count", tmp_path / "set", dataset / "images", "--out", tmp_path / "no")
    assert (status, out) == (2, "")
    assert "missing or damaged counter" in cli.one_line(err)
