"""Images that are bytes of a record give what the same bytes in a file give."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import Record, read_image, read_size

ORIENTATION = 0x0112


class Kept(Record):
    """Bytes as a record; counts how often all of them were read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.whole_reads = data, 0

    def read(self) -> bytes:
        self.whole_reads += 1
        return self.data

    def read_start(self, count: int) -> bytes:
        return self.data[:count]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.tif", "a.bmp"])
@pytest.mark.parametrize("limit", [None, 20])
def test_a_record_gives_what_its_file_gives(tmp_path, cat, name, limit):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / name
    Image.fromarray(cat).save(path, exif=exif)
    record = Kept(path.read_bytes())
    image, expected = read_image(record, shorter_side=limit), read_image(path, shorter_side=limit)
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert image.original_size == expected.original_size
    assert read_size(record, shorter_side=limit) == read_size(path, shorter_side=limit) == expected.pixels.shape[:2]


def test_the_size_of_a_jpeg_whose_header_is_long_is_found_in_the_whole(cat):
    file = io.BytesIO()
    Image.fromarray(cat).save(file, "JPEG")
    data = file.getvalue()
    comments = b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    long, short = Kept(data[:2] + 2 * comments + data[2:]), Kept(data + bytes(1 << 17))
    assert read_size(long) == read_size(short) == cat.shape[:2]
    assert (long.whole_reads, short.whole_reads) == (1, 0)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0"])
def test_the_size_of_a_record_that_is_no_image_is_none(content):
    assert read_size(Kept(content)) is None
