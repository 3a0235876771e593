"""Files are written whole or not at all, and the same content gives the same bytes."""

import contextlib

import numpy as np
import safetensors.numpy

from jaxloc._files import atomic_path, write_safetensors


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


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with contextlib.suppress(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
