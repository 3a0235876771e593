import re

import numpy as np
import pytest

from jaxloc.errors import WeightsError
from jaxloc.models.preprocessing import TORCHVISION
from weights_convert import state_dict


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("style", ["torchvision", "timm"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module.net."])
@pytest.mark.parametrize("top", [True, False])
def test_every_array_comes_back_under_our_name(narrow, pytorch, architecture, style, prefix, top):
    flat = narrow(architecture, top=top)
    found = state_dict.from_state_dict(pytorch(flat, architecture, style, prefix), "a file", "file")
    assert found.arrays.keys() == flat.keys()
    for name, array in flat.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    assert found.preprocessing == TORCHVISION
    assert found.source == "a file"


@pytest.mark.parametrize("ours", ["features.module.", "module.backbone.features.", "", "encoder."])
def test_convolutions_are_found_whatever_stands_before_their_numbers(narrow, pytorch, ours):
    flat = narrow(top=False)
    tensors = {name.replace("features.", ours): array for name, array in pytorch(flat, "vgg16").items()}
    found = state_dict.from_state_dict(tensors, "a file", "file")
    assert found.arrays.keys() == flat.keys()
    np.testing.assert_array_equal(found.arrays["conv5_3/kernel"], flat["conv5_3/kernel"])


def test_arrays_outside_the_prefix_belong_to_others(narrow, pytorch):
    tensors = {f"backbone.{name}": array for name, array in pytorch(narrow(), "vgg16").items()}
    others = {"rpn.weight": np.zeros((2, 2, 3, 3)), "rpn.bias": np.zeros(2)}
    found = state_dict.from_state_dict(others | tensors, "a file", "file")
    assert found.arrays.keys() == narrow().keys()
    assert found.source == "a file, 2 arrays of other parts left out"


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_batch_normalisation_is_folded_into_the_convolution_before_it(narrow, pytorch, architecture):
    rng = np.random.default_rng(0)
    flat = narrow(architecture)
    tensors = pytorch(flat, architecture, normalized=True)
    positions = [int(name.split(".")[1]) for name in tensors if re.fullmatch(r"features.*weight", name)]
    for at in positions:
        width = len(tensors[f"features.{at}.bias"])
        tensors |= {
            f"features.{at + 1}.weight": rng.standard_normal(width, np.float32),
            f"features.{at + 1}.bias": rng.standard_normal(width, np.float32),
            f"features.{at + 1}.running_mean": rng.standard_normal(width, np.float32),
            f"features.{at + 1}.running_var": rng.uniform(0.1, 2, width).astype(np.float32),
            f"features.{at + 1}.num_batches_tracked": np.array(7),
        }
    found = state_dict.from_state_dict(tensors, "a file", "file")
    assert found.arrays.keys() == flat.keys()
    assert found.source == "a file, batch normalisation folded in"
    at, patch = positions[3], rng.standard_normal((3, 3, 3)).astype(np.float32)
    plain = np.tensordot(patch, flat["conv2_2/kernel"], 3) + flat["conv2_2/bias"]
    mean, variance, gamma, beta = (
        tensors[f"features.{at + 1}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
    )
    np.testing.assert_allclose(
        np.tensordot(patch, found.arrays["conv2_2/kernel"], 3) + found.arrays["conv2_2/bias"],
        (plain - mean) / np.sqrt(variance + 1e-5) * gamma + beta,
        rtol=1e-5,
        atol=1e-5,
    )


def test_half_a_batch_normalisation_is_refused(narrow, pytorch):
    tensors = pytorch(narrow(), "vgg16", normalized=True) | {"features.1.running_mean": np.zeros(2)}
    with pytest.raises(WeightsError, match=r"^file: incomplete batch normalisation features\.1 .*running_var"):
        state_dict.from_state_dict(tensors, "a file", "file")


def test_a_classifier_of_nan_marks_torchvisions_copy_of_caffes_convolutions(narrow, pytorch):
    tensors = pytorch(narrow(), "vgg16")
    for name, tensor in tensors.items():
        if name.startswith("classifier"):
            tensor[...] = np.nan
    found = state_dict.from_state_dict(tensors, "a file", "file")
    assert found.arrays.keys() == narrow(top=False).keys()
    assert found.source == "a file, Caffe's convolutions"
    grey = np.full(3, 0.5, np.float32)
    np.testing.assert_allclose(
        found.preprocessing(grey), (grey - np.array([0.48235, 0.45882, 0.40784])) * 255, atol=2e-3
    )


def test_names_nobody_knows_are_kept_for_the_check(narrow, pytorch):
    tensors = pytorch(narrow(top=False), "vgg16") | {"attention.weight": np.zeros(3)}
    assert "attention.weight" in state_dict.from_state_dict(tensors, "a file", "file").arrays


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], id="ResNet"),
        pytest.param(["features.conv0.weight", "features.denseblock1.conv1.weight"], id="DenseNet"),
        pytest.param(["features.0.0.weight", "features.1.conv.0.0.weight"], id="MobileNet"),
    ],
)
def test_other_networks_are_refused_in_one_line(names):
    with pytest.raises(WeightsError, match=r"^net\.pth: \d convolutions where vgg16 has 13") as error:
        state_dict.from_state_dict({name: np.zeros((2, 2, 3, 3)) for name in names}, "a file", "net.pth")
    assert "\n" not in str(error.value)
    assert names[0] in str(error.value)
    assert "looked for were features.0" in str(error.value)
