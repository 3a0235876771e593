"""Files are written whole or not at all, and the same content gives the same bytes."""

import contextlib
import weakref
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jaxloc._files import (
    HALVES,
    Spec,
    StoredArrays,
    atomic_path,
    fitting_path,
    renamed,
    write_parts,
    write_safetensors,
    write_safetensors_in_parts,
    write_text,
)
from tests.run import helpers

KINDS = {"b": np.float32, "a": np.float64, "long/name": np.int8, "c": np.int64}


def write_in_parts_of_text(path):
    write_parts(path, ["some text\n"] * 10)


def write_bytes_of_text(path):
    write_text(path, "some text\n" * 10)


def write_arrays(path):
    write_safetensors(path, {"array": np.zeros(10)}, {})


def specs_of(parts):
    return [{name: Spec.of(array) for name, array in arrays.items()} for arrays in parts]


def test_arrays_that_lie_otherwise_in_memory_are_written_as_they_read(tmp_path):
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    write_safetensors(tmp_path / "file", {"turned": turned, "strided": np.arange(10)[::3]}, {})
    read = safetensors.numpy.load_file(tmp_path / "file")
    np.testing.assert_array_equal(read["turned"], turned)
    np.testing.assert_array_equal(read["strided"], [0, 3, 6, 9])


def test_the_order_of_arrays_and_metadata_does_not_change_the_bytes(tmp_path):
    arrays = {"a": np.zeros(3), "b": np.ones((2, 2))}
    metadata = {"one": "1", "two": "2", "three": "3"}
    write_safetensors(tmp_path / "first", arrays, metadata)
    write_safetensors(tmp_path / "second", dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_arrays_that_come_in_several_mappings_are_read_as_if_in_one(tmp_path):
    arrays = {name: np.random.default_rng(0).random((len(name), 3)).astype(kind) for name, kind in KINDS.items()}
    write_safetensors(tmp_path / "whole", arrays, {"one": "1"})
    parts = [{name: array} for name, array in arrays.items()]
    write_safetensors_in_parts(tmp_path / "parts", specs_of(parts), iter(parts), {"one": "1"})
    for name in ("whole", "parts"):
        with safetensors.safe_open(tmp_path / name, "np") as file:
            assert file.metadata() == {"one": "1"}
        read = safetensors.numpy.load_file(tmp_path / name)
        assert set(read) == set(arrays)
        for key, array in arrays.items():
            assert read[key].dtype == array.dtype
            np.testing.assert_array_equal(read[key], array)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "parts"}


def test_of_several_mappings_only_one_is_held_at_a_time(tmp_path):
    held = []

    def parts():
        for number in range(5):
            array = np.full(1000, number)
            held.append(weakref.ref(array))
            assert sum(one() is not None for one in held) <= 2  # the one that was written last goes when this is read
            yield {str(number): array}
            del array

    specs = [{str(number): Spec(np.dtype(int), (1000,))} for number in range(5)]
    write_safetensors_in_parts(tmp_path / "file", specs, parts(), {})
    assert len(safetensors.numpy.load_file(tmp_path / "file")) == 5


def test_no_mappings_at_all_are_a_file_without_arrays(tmp_path):
    write_safetensors_in_parts(tmp_path / "file", [], [], {"one": "1"})
    assert safetensors.numpy.load_file(tmp_path / "file") == {}


@pytest.mark.parametrize("kind", [bool, "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (2, 3, 4)])
def test_arrays_of_each_kind_are_read_by_the_library_and_one_by_one(tmp_path, kind, shape):
    arrays = {name: np.random.default_rng(seed).integers(0, 9, shape).astype(kind) for seed, name in enumerate("ab")}
    arrays["byte"] = np.array([7], np.uint8)
    write_safetensors(tmp_path / "file", arrays, {"one": "é"})
    stored = StoredArrays(tmp_path / "file")
    assert stored.metadata == {"one": "é"}
    for read in (safetensors.numpy.load_file(tmp_path / "file"), stored):
        for name, array in arrays.items():
            assert name in read
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)


def test_what_is_written_is_written_once(tmp_path, monkeypatch):
    parts = [{str(number): np.full(1 << 16, number, np.uint8)} for number in range(4)]
    written: list[int] = []
    monkeypatch.setattr(Path, "open", counting(Path.open, written))
    write_safetensors_in_parts(tmp_path / "file", specs_of(parts), parts, {})
    assert sum(written) == (tmp_path / "file").stat().st_size


def counting(open_file, written):
    """``Path.open``, with the bytes of each write noted."""

    def opened(*arguments):
        file = open_file(*arguments)
        if "w" not in arguments[1]:
            return file
        counted = mock.MagicMock(wraps=file)
        counted.__enter__.return_value = counted
        counted.__exit__.side_effect = lambda *_: file.close()
        counted.write.side_effect = lambda data: written.append(file.write(data))
        return counted

    return opened


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": np.zeros(3)}, "arrays other than expected: a"),
        ({"a": np.zeros(4, np.int64)}, "arrays other than expected: a"),
        ({"b": np.zeros(4)}, "arrays other than expected: b"),
        ({"a": np.zeros(4), "b": np.zeros(4)}, "arrays other than expected: a, b"),
    ],
)
def test_arrays_that_are_not_those_of_the_header_are_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        write_safetensors_in_parts(tmp_path / "file", [{"a": Spec(np.dtype(float), (4,))}], [given], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 2])
def test_more_or_fewer_mappings_than_the_header_has_are_refused(tmp_path, number):
    specs = [{"a": Spec(np.dtype(float), (4,))}]
    with pytest.raises(ValueError, match="argument 2 is"):
        write_safetensors_in_parts(tmp_path / "file", specs, [{"a": np.zeros(4)}] * number, {})
    assert list(tmp_path.iterdir()) == []


def test_an_array_of_numbers_that_such_files_do_not_hold_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"file: odd: arrays of <U3 are not written"):
        write_safetensors(tmp_path / "file", {"odd": np.array(["abc"])}, {})


def test_of_stored_arrays_one_that_is_not_there_or_was_cut_off_is_an_error(tmp_path):
    path = tmp_path / "file"
    write_safetensors(path, {"a": np.arange(4), "b": np.arange(4)}, {})
    stored = StoredArrays(path)
    assert "c" not in stored
    with pytest.raises(KeyError):
        stored["c"]
    path.write_bytes(path.read_bytes()[:-8])
    np.testing.assert_array_equal(stored["a"], np.arange(4))
    with pytest.raises(ValueError, match="cannot reshape"):
        stored["b"]
    with pytest.raises(safetensors.SafetensorError):
        StoredArrays(path)


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with contextlib.suppress(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 255, "語" * 85], ids=["letters", "three bytes each"])
def test_a_file_with_the_longest_name_there_is_can_be_written_in_one_step(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_text("new")
        assert temporary.match(HALVES)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "new")]


@pytest.mark.parametrize("name", ["a.jpg", "sub/b.jpg", "a b?*:.jpg", "n" * 251, "語" * 83, f"{'d' * 255}/a"], ids=len)
def test_a_path_that_fits_stays_as_it_is(name):
    assert fitting_path(name, ".png") == f"{name}.png"


@pytest.mark.parametrize(
    "name",
    [
        "n" * 252,
        "語" * 84,
        "語" * 83 + ".jpg",
        f"{'d' * 256}/a.jpg",
        "/".join(["语" * 80] * 5),
        "/".join("d" * 2000),
        "a\0b.jpg",
    ],
    ids=lambda name: f"{len(name)} {name[0]!a}",
)
def test_a_path_that_does_not_fit_is_cut_and_still_tells_names_apart(tmp_path, name):
    place = fitting_path(name, ".png")
    write_text(tmp_path / place, "x")
    assert place.endswith(".png")
    assert place == fitting_path(name, ".png")
    first, others = name[0], (name + "x", "x" + name, name.replace(name[0], "x", 1))
    assert place.startswith(first)
    assert len({place, *(fitting_path(other, ".png") for other in others)}) == len({name, *others})


def test_images_of_a_folder_whose_name_is_cut_stay_together():
    one, two = (fitting_path(f"{'d' * 300}/{name}", ".png").split("/") for name in ("a.jpg", "b.jpg"))
    assert one[0] == two[0]
    assert (one[1], two[1]) == ("a.jpg.png", "b.jpg.png")


@pytest.mark.parametrize("write", [write_in_parts_of_text, write_bytes_of_text, write_arrays])
def test_what_fails_to_be_written_is_named_and_not_the_temporary_file(tmp_path, write):
    with helpers.file_size_limit(50), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path / "file")
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_on_the_way_is_named_itself(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "file"):
        (tmp_path / "gone").read_bytes()
    assert caught.value.filename == str(tmp_path / "gone")


def test_parts_are_written_one_after_another_as_they_are(tmp_path):
    write_parts(tmp_path / "file", (f"é{number}\n" for number in range(3)))
    assert (tmp_path / "file").read_bytes() == "é0\né1\né2\n".encode()


def test_parts_that_fail_halfway_leave_the_old_file(tmp_path):
    def parts():
        yield "new"
        raise RuntimeError("halfway")

    write_parts(tmp_path / "file", ["old"])
    with contextlib.suppress(RuntimeError):
        write_parts(tmp_path / "file", parts())
    assert (tmp_path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_of_an_earlier_version_may_call_images_pictures():
    assert renamed({"pictures": {"number": 2}, "format": "a"}) == {"images": {"number": 2}, "format": "a"}
