"""Grey of more than 8 bits: seen, whatever its depth, and whatever stands for missing pixels."""

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import read_image
from jaxloc.errors import ImageError
from tests.data.encoded import attribute


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_of_grey_are_scaled_to_8(tmp_path, name):
    values = np.linspace(0, 65535, 24 * 30).round().astype(np.uint16).reshape(24, 30)
    Image.fromarray(values).save(tmp_path / name)
    assert attribute(tmp_path / name, "mode").startswith("I;16")
    expected = np.rint(values / 257).astype(np.uint8)
    assert expected.min() == 0
    assert expected.max() == 255
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize(
    ("low", "high", "to_bytes"),
    [
        (0, 1, lambda x: x * 255),
        (0, 200, lambda x: x),
        (0, 60000, lambda x: x / 257),
        (-1000, 3000, lambda x: (x + 1000) * 255 / 4000),
        (0, 1 << 20, lambda x: x * 255 / (1 << 20)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bits_of_grey_are_scaled_by_the_smallest_usual_range_that_holds_them(tmp_path, dtype, low, high, to_bytes):
    values = np.linspace(low, high, 20 * 30).reshape(20, 30).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert attribute(tmp_path / "a.tif", "mode") == ("F" if dtype == np.float32 else "I")
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.shape == (20, 30, 3)
    np.testing.assert_allclose(pixels[..., 1], to_bytes(values.astype(float)), atol=0.51)


@pytest.mark.parametrize("value", [-5, 0, 0.5, 300, 1e6])
def test_32_bits_of_one_constant_grey_are_a_constant_image(tmp_path, value):
    Image.fromarray(np.full((20, 30), value, np.float32)).save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.shape == (20, 30, 3)
    assert np.ptp(pixels) == 0


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_grey_of_any_depth_in_more_bits_is_scaled_by_the_depth_that_holds_it(tmp_path, bits, dtype):
    values = np.linspace(0, 2**bits - 1, 20 * 30).round().astype(dtype).reshape(20, 30)
    Image.fromarray(values).save(tmp_path / "a.tif")
    expected = np.rint(values * (255 / (2**bits - 1))).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[..., 0], expected)


@pytest.mark.parametrize("shift", [(0, 1), (-1000, 3000), (0, 200)])
@pytest.mark.parametrize("missing", [-9999, -32768, -3.4028235e38, 1e20, np.nan, np.inf, -np.inf])
def test_missing_values_take_no_part_of_the_range(tmp_path, missing, shift):
    values = np.linspace(*shift, 20 * 30, dtype=np.float32).reshape(20, 30)
    whole = values.copy()
    values[:3], values[7, 8] = missing, missing
    Image.fromarray(values).save(tmp_path / "a.tif")
    found, there = read_image(tmp_path / "a.tif").pixels[..., 0], values == whole
    assert not found[~there].any()
    low, high = (values[there].min(), 3000) if shift[0] < 0 else (0, 255 if shift[1] == 200 else 1)
    np.testing.assert_allclose(found[there], (values[there] - low) * 255 / (high - low), atol=0.51)


def test_the_missing_value_that_a_tiff_names_takes_no_part_of_the_range(tmp_path):
    values = np.tile(np.linspace(0, 1, 30, dtype=np.float32), (20, 1))
    values[3, 4] = 1.5
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={42113: "1.5"})
    found = read_image(tmp_path / "a.tif").pixels[..., 0]
    assert (found[3, 4], found[0, 0], found[0, -1]) == (0, 0, 255)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_any_number_is_refused(tmp_path, value):
    Image.fromarray(np.full((20, 30), value, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="holds values that are not numbers"):
        read_image(tmp_path / "a.tif")
