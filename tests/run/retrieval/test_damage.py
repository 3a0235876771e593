"""Galleries with a damaged file: found, told in one line, and mended by what the line says."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.run.retrieval.evaluation import evaluate_retrieval
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import default_options, index, remove
from jaxloc.run.retrieval.search import search
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 16
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


SHARD = "vectors/00000002.safetensors"


def the_table(folder: Path) -> Path:
    return next((folder / "table").glob("00000002-*.parquet"))


DAMAGES = {
    "vectors flipped": lambda folder: flip(folder / SHARD, -7),
    "vectors cut": lambda folder: truncate(folder / SHARD),
    "vectors emptied": lambda folder: (folder / SHARD).write_bytes(b""),
    "header flipped": lambda folder: flip(folder / SHARD, 3),
    "vectors of something else": lambda folder: shutil.copy(folder / "whitening.safetensors", folder / SHARD),
    "table flipped": lambda folder: flip(the_table(folder), 100),
    "table cut": lambda folder: truncate(the_table(folder)),
    "table missing": lambda folder: the_table(folder).unlink(),
}


REGULAR = DAMAGES.keys() - {"vectors cut", "vectors emptied", "table cut"}
"""Files cut short are met as those of something else and flipped ones are."""


@pytest.mark.parametrize("damage", soaked(DAMAGES, REGULAR))
def test_a_corrupt_shard_is_found_and_its_cure_works(made, weights, images, query, tmp_path, damage):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    DAMAGES[damage](folder)
    # Whitened vectors are searched; whoever wants the others, or the rows, meets the damage.
    jobs = [lambda: index([images], folder, small.index_options(weights, whiten="svd-5", refit=True))]
    if "table" in damage or "header" in damage or "cut" in damage or "else" in damage or "emptied" in damage:
        jobs += [lambda: search(folder, query, small.reading(weights)), lambda: evaluate_retrieval(folder)]
        jobs += [lambda: remove(folder, ["cat/0.png"])]
    for job in jobs:
        said = small.complaint(job)
        assert "damaged (" in said
        found = re.search(
            r"delete (\S+) and run the same `jaxloc index` again; the other shards stay as they are", said
        )
        assert found[1] == str(folder / SHARD)
    Path(found[1]).unlink()
    index([images], folder, small.index_options(weights, whiten="svd-5"))
    assert sorted(small.names(folder)) == sorted(small.names(made()))
    assert len(search(folder, query, small.reading(weights)).queries[0].results) == 10


def test_a_corrupt_shard_is_found_by_a_search(gallery, weights, query):
    flip(gallery / SHARD, -7)
    for said in (
        small.complaint(search, gallery, query, small.reading(weights)),
        small.complaint(evaluate_retrieval, gallery),
        small.complaint(index, [query[0]], gallery, small.index_options(weights, whiten="svd-3")),
    ):
        assert f"{SHARD}: damaged (its checksum is wrong): delete " in said


def test_every_flipped_bit_of_a_header_is_met_in_one_line(made, weights, images, query, tmp_path):
    folder = tmp_path / "g"
    photos = shutil.copytree(images / "cat", tmp_path / "cat")
    (photos / "z.png").write_bytes(b"no image")
    index([photos], folder, small.index_options(weights, shard_size=100))
    path = folder / "vectors" / "00000000.safetensors"
    good = path.read_bytes()
    end = 8 + int.from_bytes(good[:8], "little")
    for place in np.random.default_rng(0).choice(end, 150, replace=False).tolist():
        flip(path, place)
        opened = Gallery.open(folder)
        with contextlib.suppress(UsageError):
            opened.whole_table()
            opened.vectors(0)
            opened.skipped()
        path.write_bytes(good)


@pytest.mark.parametrize("place", [-7, 3], ids=["vectors", "header"])
def test_corrupt_whitened_vectors_are_found_and_made_again(made, weights, images, query, tmp_path, place):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    before = helpers.every_file(folder)
    path = folder / "whitened" / "00000002.safetensors"
    flip(path, place)
    said = small.complaint(search, folder, query, small.reading(weights))
    assert f"{path}: damaged (" in said
    assert f"delete {path} and run the same `jaxloc index` again" in said
    path.unlink()
    index([images], folder, small.index_options(weights, whiten="svd-5"))
    assert helpers.every_file(folder) == before


@pytest.mark.parametrize("damage", [lambda path: flip(path, -7), truncate, lambda path: path.write_bytes(b"")])
def test_a_corrupt_whitening_is_found_and_made_again(made, weights, images, query, tmp_path, damage):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    before = helpers.every_file(folder)
    damage(folder / "whitening.safetensors")
    for said in (
        small.complaint(search, folder, query, small.reading(weights)),
        small.complaint(index, [images], folder, small.index_options(weights, whiten="svd-5")),
    ):
        assert re.search(r"whitening\.safetensors: damaged or missing \(.*\): delete it and run `jaxloc index`", said)
    (folder / "whitening.safetensors").unlink()
    index([images], folder, small.index_options(weights, whiten="svd-5"))
    assert helpers.every_file(folder) == before


@pytest.mark.parametrize("damage", [lambda path: flip(path, -7), truncate, lambda path: path.unlink()])
def test_corrupt_codebooks_are_found(made, weights, query, tmp_path, damage):
    folder = small.copy(made(descriptor="vlad"), tmp_path / "g")
    damage(folder / "codebooks.safetensors")
    said = small.complaint(search, folder, query, small.reading(weights))
    assert re.search(r"codebooks\.safetensors: damaged or missing \(.*\): index again into a new folder", said)


def rewritten(change):
    def write(path: Path) -> None:
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return write


DESCRIPTIONS = {
    "empty": lambda path: path.write_text(""),
    "cut": truncate,
    "no text": lambda path: path.write_bytes(b"\xff\xfe{"),
    "a list": lambda path: path.write_text("[1]"),
    "other format": rewritten(lambda values: values.update(format="jaxloc-gallery-9")),
    "no format": rewritten(lambda values: values.pop("format")),
    "a value missing": rewritten(lambda values: values.pop("whiten")),
    "a value too many": rewritten(lambda values: values.update(more=1)),
    "settings no mapping": rewritten(lambda values: values.update(settings="pool5")),
    "no settings": rewritten(lambda values: values.update(settings={})),
    "unknown descriptor": rewritten(lambda values: values.update(descriptor="sift")),
    "descriptor no text": rewritten(lambda values: values.update(descriptor=["scda"])),
    "unknown whitening": rewritten(lambda values: values.update(whiten="zca-3")),
    "no shard": rewritten(lambda values: values.update(shard_size="3")),
    "no checksum": rewritten(lambda values: values.update(weights_checksum=None)),
}


@pytest.mark.parametrize("damage", DESCRIPTIONS)
def test_a_damaged_description_is_named(gallery, weights, images, query, damage):
    DESCRIPTIONS[damage](gallery / "gallery.json")
    for said in (
        small.complaint(search, gallery, query, small.reading(weights)),
        small.complaint(evaluate_retrieval, gallery),
        small.complaint(index, [images], gallery, small.index_options(weights)),
        small.complaint(default_options, gallery),
    ):
        assert re.search(r"gallery\.json: damaged \(.*\): index again into a new folder", said)
