import pickle
import struct
import zipfile

import numpy as np
import pytest

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import extract_features, find
from weights_convert import torch_file

torch = pytest.importorskip("torch", reason="PyTorch writes the files that these tests read")

KINDS = {"zip": {}, "plain": {"_use_new_zipfile_serialization": False}}
both = pytest.mark.parametrize("kind", KINDS)


def save(tree, path, kind):
    torch.save(tree, path, **KINDS[kind])
    return path


def expected(tensors):
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def assert_read(path, tensors):
    found = torch_file.read_tensors(path)
    assert found.keys() == tensors.keys()
    for name, array in expected(tensors).items():
        np.testing.assert_array_equal(found[name].astype(np.float32), array, err_msg=name)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w')",)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64"])
def test_every_number_type_of_a_state_dict_is_read(tmp_path, kind, dtype):
    tensors = {"a": torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype)), "b": torch.tensor(3.5)}
    assert_read(save(tensors, tmp_path / "net.pth", kind), tensors)


@both
def test_views_and_shared_storages_are_read(tmp_path, kind):
    base = torch.arange(60.0).reshape(3, 4, 5)
    tensors = {
        "whole": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1:, ::2, 3],
        "last": base[2, 3, 4],
        "channels last": base[None].contiguous(memory_format=torch.channels_last),
        "empty": base[:0],
    }
    assert_read(save(tensors, tmp_path / "net.pth", kind), tensors)


@both
def test_a_modules_own_state_dict_is_read(tmp_path, kind):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    assert_read(save(module.state_dict(), tmp_path / "net.pth", kind), module.state_dict())
    assert_read(save(dict(module.named_parameters()), tmp_path / "net.pth", kind), dict(module.named_parameters()))


@both
@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_checkpoint_gives_up_its_state_dict(tmp_path, kind, wrapper):
    tensors = {"a": torch.ones(2)}
    checkpoint = {"epoch": 3, "optimizer": {"state": {0: torch.zeros(5).double()}}, wrapper: tensors}
    assert_read(save(checkpoint, tmp_path / "net.pth", kind), tensors)


def test_parameters_pickled_whole_by_early_versions_are_read(tmp_path):
    """Until 0.4, state dicts held ``Parameter``s, pickled as new objects with a state of flags."""
    numbers = np.arange(6, dtype="<f4")
    tree = (
        b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00actorch.nn.parameter\nParameter\n"
        b"ctorch._utils\n_rebuild_tensor\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06NtQK\x00K\x02K\x03\x86K\x03K\x01\x86tR\x85\x81"
        b"\x88\x89ccollections\nOrderedDict\n)R\x87bu."
    )
    head = [pickle.dumps(part, 2) for part in (119547037146038801333356, 1001, {"little_endian": True})]
    path = tmp_path / "early.pth"
    path.write_bytes(b"".join([*head, tree, pickle.dumps(["7"], 2), struct.pack("<q", 6), numbers.tobytes()]))
    assert weights_convert.reading.recognise(path) == "torch"
    np.testing.assert_array_equal(torch_file.read_tensors(path)["a"], numbers.reshape(2, 3))


@both
@pytest.mark.parametrize("tree", [{}, [torch.ones(2)], {"state_dict": {}}, {"epoch": 3}])
def test_a_file_without_a_state_dict_says_what_to_save(tmp_path, kind, tree):
    with pytest.raises(WeightsError, match=r"net\.pth: holds no state dict: save model\.state_dict\(\)"):
        weights_convert.read(save(tree, tmp_path / "net.pth", kind))


@both
def test_a_whole_model_is_refused_by_the_class_it_names(tmp_path, kind):
    with pytest.raises(WeightsError, match=r"net\.pth: refuses to run torch\.nn\.modules\..*state_dict"):
        weights_convert.read(save(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), tmp_path / "net.pth", kind))


def test_another_zip_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpg", b"")
    with pytest.raises(WeightsError, match=r"photos\.zip: a zip archive, but not PyTorch's"):
        weights_convert.read(tmp_path / "photos.zip")


@both
def test_a_hostile_file_is_refused_and_nothing_runs(tmp_path, kind):
    marker = tmp_path / "ran"
    path = save({"state_dict": {"a": torch.ones(2)}, "extra": Evil(marker)}, tmp_path / "net.pth", kind)
    with pytest.raises(WeightsError, match=r"net\.pth: refuses to run builtins\.exec|__builtin__\.exec"):
        weights_convert.read(path)
    assert not marker.exists()


@both
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.999])
def test_a_truncated_file_says_to_get_it_again(tmp_path, kind, share):
    path = save({f"features.{i}.weight": torch.ones(4, 4, 3, 3) for i in range(13)}, tmp_path / "net.pth", kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"net\.pth: damaged or incomplete \(.*\): download or copy it again$"):
        weights_convert.read(path)


def test_a_flipped_bit_is_noticed_in_the_zip_format(tmp_path):
    path = save({"a": torch.ones(1000)}, tmp_path / "net.pth", "zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"net\.pth: damaged or incomplete \(BadZipFile: Bad CRC-32"):
        weights_convert.read(path)


def test_a_zip_bomb_is_refused_before_anything_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", pickle.dumps({}))
        archive.writestr("net/data/0", bytes(10**6))
    with pytest.raises(WeightsError, match=r"net\.pth: a compressed archive, .*: get the original"):
        weights_convert.read(tmp_path / "net.pth")


@pytest.mark.parametrize("size", [-1, 7, 2**40, 2**62])
def test_a_storage_that_claims_more_than_the_file_holds_is_refused(tmp_path, size):
    path = save({"a": torch.arange(6.0)}, tmp_path / "net.pth", "plain")
    path.write_bytes(path.read_bytes()[:-32] + struct.pack("<q", size) + bytes(24))
    with pytest.raises(WeightsError, match=r"net\.pth: damaged or incomplete \(ValueError: -?\d+ bytes wanted"):
        weights_convert.read(path)


def test_a_tensor_that_claims_more_than_its_storage_is_refused(tmp_path):
    source = save({"a": torch.arange(6.0)}, tmp_path / "good.pth", "zip")
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["good/data.pkl"] = members["good/data.pkl"].replace(b"K\x00K\x06\x85", b"K\x00K\x09\x85")
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(WeightsError, match=r"net\.pth: damaged or incomplete \(ValueError: a tensor of shape \(9,\)"):
        weights_convert.read(tmp_path / "net.pth")


def vgg16(wide, normalized):
    """torchvision's ``vgg16().features`` or ``vgg16_bn().features`` with our numbers."""
    modules = []
    for block, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(1, convolutions + 1):
            kernel, bias = (torch.tensor(wide[f"conv{block}_{i}/{kind}"]) for kind in ("kernel", "bias"))
            convolution = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
            convolution.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
            modules.append(convolution)
            if normalized:
                modules.append(torch.nn.BatchNorm2d(len(bias)))
            modules.append(torch.nn.ReLU())
        modules.append(torch.nn.MaxPool2d(2))
    torch.manual_seed(0)
    for module in modules:
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    return torch.nn.ModuleDict({"features": torch.nn.Sequential(*modules)}).eval()


@pytest.mark.parametrize(("kind", "normalized"), [("zip", False), ("plain", True)])
def test_features_are_those_of_pytorch(tmp_path, wide, kind, normalized):
    model = vgg16(wide, normalized)
    weights = weights_convert.read(save(model.state_dict(), tmp_path / "vgg16.pth", kind))
    assert weights.backbone == find("vgg16")
    image = np.random.default_rng(2).random((48, 64, 3), np.float32)
    ours = extract_features(weights.params, image, backbone=weights.backbone, layers=["pool5"])["pool5"].features
    with torch.no_grad():
        theirs = model["features"](
            torch.tensor(np.asarray(weights.backbone.preprocessing(image))).permute(2, 0, 1)[None]
        )
    theirs = theirs[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * theirs.max())
    assert theirs.max() > 0
