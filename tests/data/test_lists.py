"""Lists of images with labels, and from other systems."""

import pytest

from jaxloc.data import find_sets
from tests.data.encoded import plant


@pytest.mark.parametrize(
    ("line", "name", "label"),
    [
        ("img/a.jpg 3", "img/a.jpg", "3"),
        ("img/a.jpg   dog", "img/a.jpg", "dog"),
        ("img/b c.jpg 3", "img/b c.jpg", "3"),
        ("img/a.jpg,dog", "img/a.jpg", "dog"),
        ("img/a.jpg\t3", "img/a.jpg", "3"),
        ("big dog\timg/a.jpg", "img/a.jpg", "big dog"),
        ("0\t3.000000\timg/a.jpg", "img/a.jpg", "3"),
        ("0\t3.0\t4.0\timg/a.jpg", "img/a.jpg", None),
        ("img/a.jpg 1 0 1", "img/a.jpg", None),
        ("img/a.jpg masks/a.png", "img/a.jpg", None),
        ("img\\a.jpg", "img/a.jpg", None),
        ("IMG/A.JPG 3", "img/a.jpg", "3"),
        ("img/d.jpg 4", "img/d.jpg 4", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_line_is_a_path_and_perhaps_a_label(tmp_path, line, name, label, encoding):
    plant(tmp_path, "img/a.jpg", "img/b c.jpg", "img/d.jpg 4")
    (tmp_path / "list.txt").write_bytes(f"{line}\r\n".encode(encoding))
    (found,) = find_sets([tmp_path / "list.txt"])[0].sources
    assert (found.path, found.name, found.label) == (tmp_path / name, name, label)


def test_labels_of_a_list_make_sets(tmp_path):
    plant(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "list.txt").write_text("a.jpg dog\nb.jpg cat\nc.jpg dog\n")
    sets = find_sets([tmp_path / "list.txt"], per_label=True)
    assert {images.name: [source.name for source in images.sources] for images in sets} == {
        "cat": ["b.jpg"],
        "dog": ["a.jpg", "c.jpg"],
    }
