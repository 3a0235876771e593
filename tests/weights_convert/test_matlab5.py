"""On files that SciPy writes."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from weights_convert import matlab5

compressed = pytest.mark.parametrize("compressed", [True, False])


def cell(*values):
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def save(path, tree, compressed=False):
    scipy.io.savemat(path, tree, do_compression=compressed)
    return path


@compressed
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_numbers_come_back(tmp_path, compressed, dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    value = matlab5.load(save(tmp_path / "a.mat", {"numbers": array}, compressed))["numbers"]
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, array)


@compressed
def test_structs_cells_and_text_come_back(tmp_path, compressed):
    tree = {
        "net": {
            "layers": cell({"name": "conv1_1", "empty": cell()}, cell(np.ones((2, 1)), "x")),
            "é": "naïve",
        },
        "other": np.eye(2),
    }
    tree["net"]["second"] = tree["net"].pop("é")
    found = matlab5.load(save(tmp_path / "a.mat", tree, compressed))
    assert found.keys() == {"net", "other"}
    first, second = found["net"]["layers"]
    assert first == {"name": "conv1_1", "empty": []}
    np.testing.assert_array_equal(second[0], [[1], [1]])
    assert second[1] == "x"
    assert found["net"]["second"] == "naïve"


def test_of_several_structs_the_first_is_kept(tmp_path):
    several = np.array([(1.0, "a"), (2.0, "b")], [("number", object), ("text", object)])
    found = matlab5.load(save(tmp_path / "a.mat", {"several": several}))["several"]
    assert found["number"] == 1
    assert found["text"] == "a"


def test_text_of_two_bytes_a_letter_comes_back(tmp_path):
    path = save(tmp_path / "a.mat", {"text": "ab"})
    data = path.read_bytes()
    utf8, utf16 = struct.pack("<HH4s", 16, 2, b"ab"), struct.pack("<HH4s", 4, 4, "ab".encode("utf-16-le"))
    assert utf8 in data
    path.write_bytes(data.replace(utf8, utf16))
    assert matlab5.load(path) == {"text": "ab"}


def test_what_is_neither_is_left_out(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"sparse": scipy.sparse.eye_array(3).tocsc(), "one": 1.0})
    found = matlab5.load(tmp_path / "a.mat")
    assert found["sparse"] is None
    assert found["one"] == 1


def test_a_big_endian_file_is_refused(tmp_path):
    path = save(tmp_path / "a.mat", {"one": 1.0})
    data = path.read_bytes()
    path.write_bytes(data[:126] + b"MI" + data[128:])
    with pytest.raises(ValueError, match="little-endian"):
        matlab5.load(path)


def test_a_variable_that_grows_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab5, "LARGEST", 10**5)
    header = save(tmp_path / "a.mat", {"one": 1.0}).read_bytes()[:128]
    bomb = zlib.compress(struct.pack("<II", matlab5.MATRIX, 10**6) + bytes(10**6))
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", matlab5.COMPRESSED, len(bomb)) + bomb)
    with pytest.raises(ValueError, match="a variable of more than 100000 bytes"):
        matlab5.load(tmp_path / "a.mat")


@pytest.mark.parametrize("seed", range(20))
def test_damage_raises_and_does_not_crash(tmp_path, seed):
    rng = np.random.default_rng(seed)
    tree = {"layers": cell(*[{"name": f"conv{i}", "weights": cell(np.ones((3, 3)), "x")} for i in range(9)])}
    path = save(tmp_path / "a.mat", tree)
    data = bytearray(path.read_bytes())
    for at in rng.integers(128, len(data), 9):
        data[at] = rng.integers(256)
    path.write_bytes(data)
    with contextlib.suppress(Exception):  # any, for which weights_convert.read has one message
        matlab5.load(path)
