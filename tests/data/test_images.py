"""Every kind of file a folder of photographs may hold: read upright and RGB, or refused in one line."""

import os
import struct
import warnings
import zlib

import numpy as np
import PIL
import pytest
import skimage.data
from PIL import Image, ImageOps

from jaxloc.data import images, read_image, read_size
from jaxloc.errors import ImageError
from tests.data.encoded import attribute, save

ORIENTATION = 0x0112


def luma(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
        ("a.ppm", {}),
        ("no extension", {"format": "PNG"}),
        ("wrong extension.jpg", {"format": "PNG"}),
    ],
)
def test_a_lossless_image_comes_back_as_it_was(tmp_path, upright, name, options):
    image = read_image(save(tmp_path / name, upright, **options))
    np.testing.assert_array_equal(image.pixels, upright)
    assert image.pixels.dtype == np.uint8
    assert image.original_size == (48, 72)


def test_a_jpeg_comes_back_as_pillow_decodes_it(tmp_path, upright):
    path = save(tmp_path / "a.jpg", upright, quality=90)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path).pixels, np.asarray(image))


def test_grey_becomes_three_equal_channels(tmp_path, upright):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", upright, "L")).pixels, luma(upright))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = np.random.default_rng(0).random((8, 9)) < 0.5
    path = tmp_path / "a.png"
    Image.fromarray(bits).save(path)
    assert attribute(path, "mode") == "1"
    np.testing.assert_array_equal(read_image(path).pixels, np.repeat(bits[..., None] * np.uint8(255), 3, 2))


def test_cmyk_jpeg_becomes_rgb(tmp_path, upright):
    path = save(tmp_path / "a.jpg", upright, "CMYK", quality=98)
    assert attribute(path, "mode") == "CMYK"
    assert np.abs(read_image(path).pixels.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("transparency", [None, 7, bytes(range(256))])
def test_a_palette_becomes_its_colours(tmp_path, upright, transparency):
    palette = Image.fromarray(upright).quantize(256)
    options = {} if transparency is None else {"transparency": transparency}
    palette.save(tmp_path / "a.png", **options)
    assert attribute(tmp_path / "a.png", "mode") == "P"
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_and_the_colours_below_it_stay(tmp_path, upright, mode):
    image = Image.fromarray(upright).convert(mode)
    image.putalpha(Image.fromarray(np.tile(np.arange(72, dtype=np.uint8) * 3, (48, 1))))
    image.save(tmp_path / "a.png")
    assert attribute(tmp_path / "a.png", "mode") == mode
    expected = luma(upright) if mode == "LA" else upright
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, expected)


@pytest.mark.parametrize(("alpha", "below"), [("white", 255), ("grey", 128)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_images_are_put_on_a_colour_if_asked_for(tmp_path, upright, mode, alpha, below):
    share = np.tile(np.linspace(0, 1, 72).round(), (48, 1)) if mode == "P" else np.tile(np.linspace(0, 1, 72), (48, 1))
    image = Image.fromarray(upright).convert("LA" if mode == "LA" else "RGBA")
    image.putalpha(Image.fromarray(np.rint(255 * share).astype(np.uint8)))
    image = image.quantize(255) if mode == "P" else image
    image.save(tmp_path / "a.png")
    colours = np.asarray(image.convert("RGBA"))[..., :3]
    expected = colours * share[..., None] + below * (1 - share[..., None])
    np.testing.assert_allclose(read_image(tmp_path / "a.png", alpha=alpha).pixels, expected, atol=2.5)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_colour_spaces_become_rgb(tmp_path, upright, mode):
    if mode == "YCbCr" and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip(f"Pillow {PIL.__version__} cannot read the YCbCr it writes; 13 can")
    path = tmp_path / "a.tif"
    Image.fromarray(upright).convert("YCbCr").save(path) if mode == "YCbCr" else Image.new("LAB", (72, 48)).save(path)
    assert attribute(path, "mode") == mode
    pixels = read_image(path).pixels
    assert pixels.shape == (48, 72, 3)
    if mode == "YCbCr":
        np.testing.assert_allclose(pixels.astype(int), upright, atol=4)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_of_several_frames_the_first_is_taken(tmp_path, name):
    frames = [Image.new("RGB", (20, 30), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"a.webp": {"lossless": True}}.get(name, {})
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    assert attribute(tmp_path / name, "n_frames") == 3
    image = read_image(tmp_path / name)
    assert image.original_size == (30, 20)
    np.testing.assert_array_equal(image.pixels, np.asarray(frames[0]))


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (1, 300), (300, 1)])
@pytest.mark.parametrize("limit", [None, 1, 800])
def test_the_smallest_images_are_read(tmp_path, size, limit):
    image = read_image(save(tmp_path / "a.png", np.zeros((*size, 3), np.uint8)), shorter_side=limit)
    assert image.original_size == size
    assert image.pixels.shape[:2] == ((1, 1) if limit == 1 and size == (5, 5) else size)


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((300, 451), 100, (100, 150)),
        ((451, 300), 100, (150, 100)),
        ((300, 300), 299, (299, 299)),
        ((301, 1000), 77, (77, 256)),
        ((300, 451), 300, (300, 451)),
        ((300, 451), 301, (300, 451)),
        ((300, 451), None, (300, 451)),
        ((10, 3000), 5, (5, 1500)),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_shorter_side_is_shrunk_to_the_limit_and_nothing_is_enlarged(tmp_path, name, size, limit, expected):
    image = read_image(save(tmp_path / name, np.zeros((*size, 3), np.uint8)), shorter_side=limit)
    assert image.pixels.shape[:2] == expected
    assert image.original_size == size
    assert read_size(tmp_path / name, shorter_side=limit) == expected


@pytest.mark.parametrize("limit", [90, 200, 450, 700])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_decoded_at_a_fraction_equals_one_decoded_whole_and_shrunk(tmp_path, limit, orientation):
    large = Image.fromarray(skimage.data.astronaut()).resize((1700, 1400), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    large.save(tmp_path / "a.jpg", quality=92, exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = ImageOps.exif_transpose(image)
    scale = limit / 1400
    expected = whole.resize([round(side * scale) for side in whole.size], Image.Resampling.BILINEAR)
    photo = read_image(tmp_path / "a.jpg", shorter_side=limit)
    assert photo.original_size == whole.size[::-1]
    difference = np.abs(photo.pixels.astype(int) - np.asarray(expected))
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.9) < 25


def test_shrinking_does_not_alias(tmp_path):
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = read_image(save(tmp_path / "a.png", stripes), shorter_side=50).pixels
    np.testing.assert_allclose(pixels.astype(int), 127.5, atol=8)


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match=r"^empty file \(0 bytes\)$"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"some text", bytes(1000), b"\xff\xd8", b"GIF8"])
def test_a_file_that_is_no_image_says_so(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"^not an image, or of a kind that Pillow does not know$"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", "not an image that is read: web pages; fetch the images again"),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "not an image that is read: HDF5 data"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that is read: drawings or documents"),
        (b"\0\0\x01\xb3" + bytes(99), "not an image that is read: videos of a format that is not read"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "not an image that is read: MP4 or MOV videos"),
        (b"\xff\xd8\xff\xe0", "damaged: it starts as an image, and Pillow cannot read its header"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is_whatever_its_ending(tmp_path, content, reason):
    """Pillow takes HDF5 and the like for images of 0 × 0 pixels, and has Ghostscript draw EPS."""
    for name in ("a.jpg", "a"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=reason):
            read_image(tmp_path / name, shorter_side=20)
        assert read_size(tmp_path / name, shorter_side=20) is None


def test_an_image_without_pixels_is_refused():
    for size in ((0, 5), (5, 0)):
        with pytest.raises(ImageError, match=f"damaged: its header says {size[0]}×{size[1]} pixels"):
            read_image(Image.new("RGB", size), shorter_side=3)
        assert read_size(Image.new("RGB", size), shorter_side=3) is None


def test_heic_is_read_as_displayed(tmp_path, upright):
    pytest.importorskip("pillow_heif")
    path = tmp_path / "IMG_0.HEIC"
    read_size(path)  # which registers the format
    Image.fromarray(upright).save(path, format="HEIF", quality=95)
    found = read_image(path)
    assert found.original_size == read_size(path) == (48, 72)
    assert np.abs(found.pixels.astype(int) - upright).mean() < 8


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.tif", "a.bmp"])
@pytest.mark.parametrize("limit", [None, 20])
def test_a_truncated_image_is_refused(tmp_path, upright, name, limit):
    data = save(tmp_path / name, upright).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError):
        read_image(tmp_path / name, shorter_side=limit)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("limit", [None, 100])
def test_a_jpeg_without_its_last_bytes_is_kept_if_asked_for_and_says_so(tmp_path, progressive, limit):
    whole = Image.fromarray(skimage.data.chelsea())
    whole.save(tmp_path / "a.jpg", quality=90, progressive=progressive)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(ImageError, match="truncated"):
        read_image(tmp_path / "a.jpg", shorter_side=limit)
    found = read_image(tmp_path / "a.jpg", shorter_side=limit, truncated="keep")
    assert (found.truncated, found.original_size) == (True, (300, 451))
    half = found.pixels.shape[0] // 2
    size = found.pixels.shape[1::-1]
    expected = np.asarray(whole.resize(size, Image.Resampling.BILINEAR))
    assert np.abs(found.pixels[:half].astype(int) - expected[:half]).mean() < 6
    (tmp_path / "a.jpg").write_bytes(data)
    assert not read_image(tmp_path / "a.jpg", truncated="keep").truncated
    (tmp_path / "a.jpg").write_bytes(data[:100])
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.jpg", truncated="keep")


def test_a_jpeg_of_more_pixels_than_are_decoded_is_read_where_it_is_shrunk(tmp_path, monkeypatch):
    large = Image.fromarray(skimage.data.astronaut())
    for name in ("a.jpg", "a.png", "progressive.jpg"):
        large.save(tmp_path / name, **{"progressive": True} if name.startswith("p") else {})
    whole = read_image(tmp_path / "a.jpg", shorter_side=50)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 512 * 511 // 2)
    monkeypatch.setattr(images, "_MOST", 512 * 511)
    found = read_image(tmp_path / "a.jpg", shorter_side=50)
    assert found.original_size == (512, 512)
    np.testing.assert_array_equal(found.pixels, whole.pixels)
    assert read_size(tmp_path / "a.jpg", shorter_side=50) == (50, 50)
    for name, limit in (("a.jpg", None), ("a.jpg", 300), ("a.png", 50), ("progressive.jpg", 50)):
        with pytest.raises(ImageError, match=r"too many pixels.*save it smaller"):
            read_image(tmp_path / name, shorter_side=limit)
        assert read_size(tmp_path / name, shorter_side=limit) is None


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match="too many pixels, it may be a decompression bomb; save it smaller"):
        read_image(tmp_path / "a.png", shorter_side=800)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ImageError, match=r"^no such file$"):
        read_image(tmp_path / "a.jpg")


def test_a_folder_says_so(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(ImageError, match=r"^not a file$"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.timeout(30)
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.jpg")
    assert read_size(tmp_path / "a.jpg") is None


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path, upright):
    save(tmp_path / "a.png", upright).chmod(0)
    with pytest.raises(ImageError, match=r"^cannot be read: Permission denied$"):
        read_image(tmp_path / "a.png")


def test_running_out_of_memory_says_so(tmp_path, upright, monkeypatch):
    def load(image: Image.Image) -> None:
        raise MemoryError

    path = save(tmp_path / "a.png", upright)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ImageError, match="does not fit into memory; save it smaller"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif"])
def test_random_damage_gives_an_image_or_an_image_error_and_nothing_else(tmp_path, upright, name):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = save(tmp_path / name, upright, exif=exif).read_bytes()
    rng = np.random.default_rng(5)
    reasons = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(200):
            (tmp_path / name).write_bytes(damage(data, rng))
            try:
                pixels = read_image(tmp_path / name, shorter_side=30).pixels
            except ImageError as error:
                reasons.append(str(error))
                continue
            assert pixels.dtype == np.uint8
            assert pixels.shape[2:] == (3,)
            assert 1 <= min(pixels.shape[:2]) <= 30
    assert len(reasons) > 50
    assert all(len(reason.splitlines()) == 1 for reason in reasons)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes overwritten here and there, and then, by chance, the end cut off or the header moved."""
    damaged = bytearray(data)
    for position in rng.integers(len(data), size=rng.integers(1, 12)):
        damaged[position] = rng.integers(256)
    kind = rng.integers(3)
    if kind == 1:
        del damaged[rng.integers(len(damaged)) :]
    elif kind == 2:
        damaged[rng.integers(40) : rng.integers(40, 80)] = rng.bytes(20)
    return bytes(damaged)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0", bytes(500)])
def test_the_size_of_what_is_no_image_is_none(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_size(tmp_path / "a.jpg") is None
    assert read_size(tmp_path / "gone.jpg") is None
    assert read_size(tmp_path) is None
