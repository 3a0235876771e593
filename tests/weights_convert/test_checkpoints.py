"""PyTorch files as training scripts leave them, written here without PyTorch."""

import itertools
import pickle
import zipfile

import numpy as np
import pytest

import weights_convert
from jaxloc.errors import WeightsError
from weights_convert import torch_file


def save(tree, path, **members):
    """What ``torch.save`` writes of nested dicts, with float32 arrays in place of tensors."""
    keys, storages = itertools.count(), {}

    def pickled(value):
        if isinstance(value, dict):
            return b"(" + b"".join(pickled(one) for item in value.items() for one in item) + b"d"
        if not isinstance(value, np.ndarray):
            return pickle.dumps(value, 2)[2:-1]
        key = str(next(keys))
        storages[key] = value.tobytes()
        strides = tuple(stride // 4 for stride in value.strides)
        storage = b"(" + pickled("storage") + b"ctorch\nFloatStorage\n"
        storage += b"".join(map(pickled, (key, "cpu", value.size))) + b"tQ"
        return (
            b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"".join(map(pickled, (0, value.shape, strides))) + b"tR"
        )

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + pickled(tree) + b".")
        for name, data in ({f"data/{key}": data for key, data in storages.items()} | members).items():
            archive.writestr(f"net/{name}", data)
    return path


@pytest.mark.parametrize(
    "keys", [(), ("state_dict",), ("model_state_dict",), ("net",), ("ema",), ("model", "weights")], ids=".".join
)
def test_the_state_dict_is_found_under_any_key(tmp_path, keys):
    tensors = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}
    tree = tensors
    for key in reversed(keys):
        tree = {
            "epoch": 3,
            "mean": np.zeros(3, np.float32),
            "optimizer": {"state": {0: {"step": np.zeros(1, np.float32)}}},
            key: tree,
        }
    found = torch_file.read_tensors(save(tree, tmp_path / "net.pth"))
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_file_without_tensors_names_its_keys_and_what_was_looked_for(tmp_path):
    path = save({"epoch": 3, "args": {}, "loss": 0.5, "seed": 1}, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=r"holds no state dict: .*model_state_dict.*its keys are epoch, args, loss and"
    ):
        weights_convert.read(path)


def test_torchscript_is_named_as_such(tmp_path):
    with pytest.raises(WeightsError, match=r"net\.pt: a TorchScript program: .*state_dict"):
        weights_convert.read(save({}, tmp_path / "net.pt", **{"constants.pkl": b"", "code/net.py": b""}))
