import json

import numpy as np
import pytest
import safetensors.numpy

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import find
from weights_convert import reading, state_dict


def test_timms_file_is_read(tmp_path, narrow, pytorch):
    safetensors.numpy.save_file(pytorch(narrow(), style="timm"), tmp_path / "model.safetensors", {"format": "pt"})
    found = state_dict.read(tmp_path / "model.safetensors")
    assert found.arrays.keys() == narrow().keys()
    for name, array in narrow().items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    assert found.source == "safetensors file model.safetensors"


def test_half_precision_becomes_single(tmp_path, wide, pytorch):
    half = {name: array.astype(np.float16) for name, array in pytorch(wide).items()}
    safetensors.numpy.save_file(half, tmp_path / "half")
    weights = weights_convert.read(tmp_path / "half")
    assert weights.backbone == find("vgg16")
    np.testing.assert_array_equal(
        weights.params["conv5_3"]["kernel"], wide["conv5_3/kernel"].astype(np.float16).astype(np.float32)
    )


def test_a_file_of_our_own_needs_no_conversion(tmp_path):
    safetensors.numpy.save_file({}, tmp_path / "ours.safetensors", {"format": "jaxloc-weights-1"})
    with pytest.raises(WeightsError, match=r"ours\.safetensors: already in jaxloc's own format: use it as it is$"):
        weights_convert.read(tmp_path / "ours.safetensors")


@pytest.mark.parametrize("begin", [b"\x80\x02", b"PK"])
def test_a_header_whose_length_begins_as_another_format_is_recognised(tmp_path, begin):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    header = header.ljust(int.from_bytes(begin, "little")).encode()
    (tmp_path / "net").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert reading.recognise(tmp_path / "net") == "safetensors"
    assert safetensors.numpy.load_file(tmp_path / "net")["a"] == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, narrow, pytorch, share):
    data = safetensors.numpy.save(pytorch(narrow()))
    (tmp_path / "model.safetensors").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"model\.safetensors: not a readable safetensors file .*get it again"):
        weights_convert.read(tmp_path / "model.safetensors")
