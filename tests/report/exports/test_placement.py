"""Images beside annotations: linked or copied byte for byte, but upright."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import read_image
from jaxloc.data.annotations import Annotated
from jaxloc.data.sources import Record
from jaxloc.report.exports import placement
from tests.report.exports import examples


@dataclasses.dataclass(frozen=True)
class Bytes(Record):
    data: bytes

    def read(self):
        return self.data


def image(path) -> Annotated:
    return Annotated("a.jpg", width=40, height=20, path=path)


def test_a_link_takes_no_space_and_a_copy_does(tmp_path):
    path = examples.draw(tmp_path / "a.jpg", 40, 20)
    assert placement.place(image(path), tmp_path / "link.jpg", "link", [])
    assert placement.place(image(path), tmp_path / "copy.jpg", "copy", [])
    assert placement.place(image(path), tmp_path / "none.jpg", "none", [])
    assert os.path.samefile(path, tmp_path / "link.jpg")
    assert not os.path.samefile(path, tmp_path / "copy.jpg")
    assert (tmp_path / "copy.jpg").read_bytes() == path.read_bytes()
    assert not (tmp_path / "none.jpg").exists()


def test_without_links_there_are_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = examples.draw(tmp_path / "a.jpg", 40, 20)
    assert placement.place(image(path), tmp_path / "link.jpg", "link", [])
    assert (tmp_path / "link.jpg").read_bytes() == path.read_bytes()
    assert not os.path.samefile(path, tmp_path / "link.jpg")


def test_a_symbolic_link_is_followed(tmp_path):
    path = examples.draw(tmp_path / "a.jpg", 40, 20)
    (tmp_path / "symbolic.jpg").symlink_to(path)
    placement.place(image(tmp_path / "symbolic.jpg"), tmp_path / "link.jpg", "link", [])
    assert not (tmp_path / "link.jpg").is_symlink()
    assert os.path.samefile(path, tmp_path / "link.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_turned_image_is_written_upright(tmp_path, suffix):
    path = examples.draw(tmp_path / f"a.{suffix}", 40, 20, turned=True)
    assert placement.place(image(path), tmp_path / f"out.{suffix}", "link", [])
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert written.size == (20, 40)
        assert written.getexif().get(0x0112, 1) == 1
        difference = np.abs(np.asarray(written).astype(int) - read_image(path).pixels)
    assert difference.max() <= (16 if suffix == "jpg" else 0)
    assert placement.with_right_suffix(dataclasses.replace(image(path), name=f"a.{suffix}")) == f"a.{suffix}"


def test_a_record_is_written_as_it_is_stored(tmp_path):
    data = examples.draw(tmp_path / "a.jpg", 40, 20).read_bytes()
    assert placement.place(image(Bytes(data)), tmp_path / "deep" / "out.jpg", "link", [])
    assert (tmp_path / "deep" / "out.jpg").read_bytes() == data


def test_a_record_is_read_once_to_be_written(tmp_path):
    reads = []

    class Counted(Bytes):
        def read(self):
            reads.append(self)
            return super().read()

    data = examples.draw(tmp_path / "a.png", 40, 20).read_bytes()
    assert placement.encode(image(Counted(data)), []) == data
    assert len(reads) == 1


def test_of_a_records_jpeg_the_beginning_tells_its_kind(tmp_path):
    class Long(Bytes):
        def read(self):
            raise AssertionError("read whole")

        def read_start(self, count):
            return self.data[:count]

    data = examples.draw(tmp_path / "a.jpg", 40, 20, turned=True).read_bytes() + bytes(100_000)
    assert placement.with_right_suffix(dataclasses.replace(image(Long(data)), name="a")) == "a.jpg"
    header = placement.read_stored(Long(data))
    assert (header.kind, header.mode, header.turned) == ("JPEG", "RGB", True)


@pytest.mark.parametrize(
    ("name", "right"),
    [("00000007", "00000007.png"), ("a.jpg", "a.png"), ("v1.2-final", "v1.2-final.png"), ("A.PNG", "A.PNG")],
)
def test_extensions_say_what_is_in_the_file(tmp_path, name, right):
    path = examples.draw(tmp_path / "a.png", 40, 20)
    assert placement.with_right_suffix(dataclasses.replace(image(path), name=name)) == right


def test_images_that_are_gone_or_damaged_are_told(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    found: list = []
    for path in (tmp_path / "a.jpg", tmp_path / "gone.jpg", None, Bytes(b"")):
        assert not placement.place(image(path), tmp_path / "out.jpg", "copy", found)
        assert placement.encode(image(path), found) is None
    assert len(found) == 8
    assert {problem.kind for problem in found} == {"unreadable image"}
    assert not (tmp_path / "out.jpg").exists()
