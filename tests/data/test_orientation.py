"""Images that are stored turned: read upright whatever else their EXIF says, and known by their headers."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from jaxloc.data import read_image, read_size
from tests.data.encoded import attribute, save

ORIENTATION = 0x0112
STORED_AS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""What a camera stores of an upright image under each EXIF orientation."""


@pytest.mark.parametrize("limit", [None, 24, 4000])
@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg"])
def test_every_exif_orientation_is_read_upright(tmp_path, upright, name, orientation, limit):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 98, "subsampling": 0}}.get(name, {})
    path = save(tmp_path / name, np.ascontiguousarray(STORED_AS[orientation](upright)), exif=exif, **options)
    image = read_image(path, shorter_side=limit)
    expected = Image.fromarray(upright)
    if limit == 24:
        expected = expected.resize((36, 24), Image.Resampling.BILINEAR)
    assert image.original_size == (48, 72)
    assert image.pixels.shape[:2] == expected.size[::-1]
    assert read_size(path, shorter_side=limit) == expected.size[::-1]
    tolerance = 20 if name == "a.jpg" else 1 if limit == 24 else 0
    np.testing.assert_allclose(image.pixels.astype(int), np.asarray(expected), atol=tolerance)


@pytest.mark.parametrize(
    ("name", "mode"),
    [*(("a.png", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")), ("a.jpg", "CMYK"), ("a.jpg", "L")],
)
def test_images_of_every_mode_are_turned(tmp_path, upright, name, mode):
    path = tmp_path / name
    image = Image.fromarray(upright).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    options = {"transparency": 7} if mode == "P" else {}
    image.save(path, **options)
    assert attribute(path, "mode") == mode
    stored = read_image(path).pixels
    for orientation, store in STORED_AS.items():
        image.save(path, exif=one_tag(ORIENTATION, 3, 1, struct.pack("<H", orientation)), **options)
        photo = read_image(path)
        np.testing.assert_array_equal(store(photo.pixels), stored)
        assert read_size(path) == photo.original_size == photo.pixels.shape[:2]


def one_tag(tag: int, kind: int, count: int, value: bytes, *, orientation: int | None = None) -> bytes:
    """An EXIF block with one entry of at most four bytes, and with an orientation if one is given."""
    entries = [(tag, kind, count, value)]
    if orientation is not None:
        entries.append((ORIENTATION, 3, 1, struct.pack("<H", orientation)))
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in sorted(entries))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


@pytest.mark.parametrize(
    ("tag", "kind", "count", "value"),
    [
        (0x011A, 2, 3, b"72"),
        (0x0100, 2, 4, b"160"),
        (0x0100, 11, 1, struct.pack("<f", 160)),
        (0x0128, 4, 1, struct.pack("<I", 70000)),
        (0x8298, 11, 1, struct.pack("<f", 1)),
        (0x010F, 3, 2, struct.pack("<HH", 5, 6)),
        (0x8769, 4, 1, struct.pack("<I", 99999)),
        (0x8825, 9, 1, struct.pack("<i", -1)),
    ],
    ids=["resolution", "width", "fractional width", "unit", "copyright", "make", "pointer", "negative pointer"],
)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_odd_entry_of_exif_does_not_cost_a_turned_image(tmp_path, upright, tag, kind, count, value, orientation):
    stored = np.ascontiguousarray(STORED_AS[orientation](upright))
    exif = one_tag(tag, kind, count, value, orientation=orientation)
    path = save(tmp_path / "a.webp", stored, exif=exif, lossless=True)
    np.testing.assert_array_equal(read_image(path).pixels, upright)
    assert read_size(path) == (48, 72)
    path = save(tmp_path / "a.jpg", stored, exif=exif)
    assert read_image(path).pixels.shape == (48, 72, 3)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The kind and content of each chunk."""
    found, position = [], 8
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += length + 12
    return found


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The file that consists of them."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


EXIF = one_tag(ORIENTATION, 3, 1, b"\x06\0")
PROFILE = b"\nexif\n%8d\n%s\n" % (len(EXIF), EXIF.hex().encode())
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
TURNING = {
    "EXIF": (b"eXIf", EXIF.removeprefix(b"Exif\0\0")),
    "XMP": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    "text": (b"tEXt", b"Raw profile type exif\0" + PROFILE),
    "compressed text": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)),
}
"""Chunks that say that a PNG is stored as orientation 6 has it."""


@pytest.mark.parametrize("how", TURNING)
def test_a_png_is_turned_as_it_says_before_its_pixels_and_its_header_knows(tmp_path, upright, how):
    stored = save(tmp_path / "a.png", np.ascontiguousarray(STORED_AS[6](upright))).read_bytes()
    chunks = png_chunks(stored)
    chunks.insert(1, TURNING[how])
    (tmp_path / "a.png").write_bytes(png(chunks))
    assert read_size(tmp_path / "a.png") == (48, 72)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, upright)


@pytest.fixture
def decoded(monkeypatch):
    """The images whose pixels were decoded from here on."""
    found = []
    load = ImageFile.ImageFile.load

    def watched(image):
        found.append(image)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    return found


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.tif", "a.bmp"])
def test_the_size_is_read_without_decoding(tmp_path, upright, name, decoded):
    path = save(tmp_path / name, upright)
    decoded.clear()
    assert read_size(path) == (48, 72)
    assert not decoded
    read_image(path)
    assert decoded


def test_an_orientation_that_does_not_exist_is_left_alone(tmp_path, upright):
    exif = Image.Exif()
    exif[ORIENTATION] = 99
    image = read_image(save(tmp_path / "a.png", upright, exif=exif))
    np.testing.assert_array_equal(image.pixels, upright)
    assert image.original_size == (48, 72)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "block", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0XXXXXXXX", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_damaged_exif_block_does_not_cost_the_image(tmp_path, upright, block):
    path = tmp_path / "a.jpg"
    Image.fromarray(upright).save(path, quality=98, subsampling=0, exif=block)
    assert read_image(path).pixels.shape == (48, 72, 3)
    assert read_size(path) == (48, 72)
