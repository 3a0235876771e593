"""Hashes of a collection: kept shard by shard."""

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import find_sets
from jaxloc.run.cleaning import hashing
from jaxloc.run.plan import Images


@pytest.fixture
def images(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no image")
    monkeypatch.setattr(hashing, "SHARD", 2)
    return Images(find_sets([folder]))


def counted(monkeypatch) -> list[str]:
    read = []
    whole = hashing._look
    monkeypatch.setattr(hashing, "_look", lambda source, how: read.append(source.name) or whole(source, how))
    return read


def test_hashes_are_read_again_and_unreadable_images_have_none(images, tmp_path, monkeypatch):
    made = hashing.hash_images(images, tmp_path, digest="a", workers=2)
    assert [one is None for one in made] == [False, False, False, True, False]
    read = counted(monkeypatch)
    assert hashing.hash_images(images, tmp_path, digest="a", workers=2) == made
    assert read == []


def test_only_what_is_missing_damaged_or_of_other_images_is_done_again(images, tmp_path, monkeypatch):
    made = hashing.hash_images(images, tmp_path, digest="a", workers=1)
    (tmp_path / "hashes-00001.safetensors").unlink()
    (tmp_path / "hashes-00002.safetensors").write_bytes(b"half")
    read = counted(monkeypatch)
    assert hashing.hash_images(images, tmp_path, digest="a", workers=1) == made
    assert read == ["2.png", "3.png", "4.png"]
    read.clear()
    hashing.hash_images(images, tmp_path, digest="b", workers=1)
    assert len(read) == 5
    hashing.hash_images(images, tmp_path, digest="b", workers=1, how={"alpha": "white"})
    assert len(read) == 10
