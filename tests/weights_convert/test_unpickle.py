import io
import os
import pickle
import subprocess
from collections import OrderedDict

import numpy as np
import pytest

from jaxloc.errors import WeightsError
from weights_convert import unpickle


class Calls:
    """Pickles as a call of ``function(*arguments)``, which is what hostile pickles are."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def load(data):
    return unpickle.load(io.BytesIO(data), "file")[0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, f"{os.system.__module__}.system"),
        (subprocess.check_call, r"(commands|subprocess)\.check_call"),
        (eval, r"(__builtin__|builtins)\.eval"),
        (getattr, r"(__builtin__|builtins)\.getattr"),
    ],
)
def test_a_pickle_that_calls_something_is_refused_by_name_and_nothing_runs(tmp_path, protocol, function, name):
    marker = tmp_path / "ran"
    data = pickle.dumps({"a": Calls(function, f"touch {marker}")}, protocol)
    with pytest.raises(WeightsError, match=rf"^file: refuses to run {name}, .*state_dict") as error:
        load(data)
    assert "\n" not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["cnumpy\nload\n", "cnumpy.core.multiarray\nscalar\n", "ctorch\nload\n"])
def test_even_the_modules_that_are_known_are_closed_but_for_a_few_names(name):
    with pytest.raises(WeightsError, match="refuses to run"):
        load(b"\x80\x02" + name.encode() + b"X\x01\x00\x00\x00a\x85R.")


@pytest.mark.parametrize("allowed", [name for name, value in unpickle.NAMES.items() if isinstance(value, type)])
def test_a_pickle_cannot_alter_what_names_stand_for(allowed):
    stand_in = unpickle.NAMES[allowed]
    before = dict(vars(stand_in))
    module, name = allowed.rsplit(".", 1)
    state = pickle.dumps((None, {"__setstate__": 1, "__new__": 2}), 2)[2:-1]  # what would set the class's attributes
    with pytest.raises(TypeError):
        load(b"\x80\x02" + f"c{module}\n{name}\n".encode() + state + b"b.")
    assert dict(vars(stand_in)) == before


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=np.float16),
        np.arange(4, dtype=">f4"),
        np.array(3.0, np.float32),
    ],
    ids=["float32", "columns first", "float16", "big-endian", "scalar"],
)
def test_arrays_come_back_as_numpy_wrote_them(array, protocol):
    np.testing.assert_array_equal(load(pickle.dumps(array, protocol)).value, array)


@pytest.mark.parametrize("kind", ["object", "datetime64[s]"])
def test_arrays_of_anything_but_floats_are_refused(kind):
    with pytest.raises(ValueError, match="arrays of type"):
        load(pickle.dumps(np.zeros(2, kind), 3))


def test_an_array_larger_than_its_bytes_is_refused():
    data = pickle.dumps(np.zeros((2, 3), np.float32), 3).replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")
    with pytest.raises(ValueError, match="reshape"):
        load(data)


def test_plain_containers_come_back():
    tree = {"a": [1, 2.5, "three", None], "b": OrderedDict(c=(True, b"bytes"))}
    assert load(pickle.dumps(tree, 3)) == tree


def test_the_file_is_left_just_after_the_pickle():
    file = io.BytesIO(pickle.dumps(1) + pickle.dumps(2) + b"rest")
    assert [unpickle.load(file, "file")[0] for _ in range(2)] == [1, 2]
    assert file.read() == b"rest"
