"""What computes feature maps: the choice, and OpenVINO's features beside XLA's."""

import functools
import importlib.util
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc.data import Batch
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights, Extractor, engines
from tests.models import narrow, vits
from tests.models.test_networks import NARROW
from tests.soaked import soaked

with_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs OpenVINO: pip install 'jaxloc[openvino]'"
)
VGG = narrow.BACKBONE
SIZES = np.array([[71, 90], [84, 77]], np.int32)
PADDED = (88, 96)


@functools.cache
def batch(number: int = 2) -> Batch:
    """Images whose padding is white, so that a network that reads it is caught."""
    images = np.full((number, *PADDED, 3), 255, np.uint8)
    sizes = np.resize(SIZES, (number, 2))
    for slot, (rows, columns) in zip(images, sizes, strict=True):
        slot[:rows, :columns] = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3))
    return Batch(images, sizes, sizes, np.arange(number))


def features(weights, layers, given, **options):
    options = {"devices": 1, "engine": "openvino"} | options
    return jax.device_get(Extractor(DeviceWeights(weights, **options), layers).features(given))


def same(found, expected, *, tolerance):
    assert list(found) == list(expected)
    for layer, (values, size) in expected.items():
        np.testing.assert_array_equal(found[layer].size, size, err_msg=layer)
        assert found[layer].features.shape == values.shape
        assert found[layer].features.dtype == values.dtype
        values, ours = np.float32(values), np.float32(found[layer].features)
        np.testing.assert_allclose(ours, values, atol=tolerance * np.abs(values).max(), err_msg=layer)


@with_openvino
@pytest.mark.parametrize("name", soaked([VGG.name, *NARROW], [VGG.name, "alexnet-narrow", "lite-narrow"]))
def test_openvino_computes_what_xla_computes_at_every_layer_of_a_padded_batch(name):
    backbone = NARROW.get(name, VGG)
    weights = narrow.weights(backbone, top=True)
    layers = [layer.name for layer in backbone.layers[::-1] if layer.minimum_side <= SIZES.min()]
    same(*(features(weights, layers, batch(), engine=engine) for engine in ("openvino", "xla")), tolerance=1e-5)


@with_openvino
@pytest.mark.parametrize("family", soaked(["dinov2", "dinov3", "clip"], ["dinov3"]))
def test_openvino_computes_vision_transformers(family):
    weights = vits.weights(family)
    layers = weights.backbone.layer_names[-2:]
    same(*(features(weights, layers, batch(), engine=engine) for engine in ("openvino", "xla")), tolerance=1e-4)


@with_openvino
def test_an_image_in_a_padded_batch_has_the_features_it_has_alone():
    together = features(narrow.weights(), ["relu5_3", "relu3_1"], batch())
    for number, (rows, columns) in enumerate(SIZES):
        images = batch().images[number : number + 1, :rows, :columns]
        size = SIZES[number : number + 1]
        alone = features(narrow.weights(), ["relu5_3", "relu3_1"], Batch(images, size, size, np.arange(1)))
        for layer, (values, (height, width)) in {
            name: (one.features[0], one.size[0]) for name, one in alone.items()
        }.items():
            found = together[layer].features[number]
            atol = 1e-5 * values.max()
            np.testing.assert_allclose(found[:height, :width], values[:height, :width], atol=atol)
            assert not found[height:].any()
            assert not found[:, width:].any()


@with_openvino
def test_bfloat16_rounds_and_comes_as_bfloat16():
    both = [
        features(narrow.weights(), ["relu5_3"], batch(), dtype="bfloat16", engine=engine)
        for engine in ("openvino", "xla")
    ]
    same(*both, tolerance=0.03)


@with_openvino
def test_features_have_the_same_bytes_on_one_device_and_on_two():
    one = [features(narrow.weights(), ["relu5_3"], Batch(*(part[:2] for part in batch(4))))["relu5_3"].features]
    one += [features(narrow.weights(), ["relu5_3"], Batch(*(part[2:] for part in batch(4))))["relu5_3"].features]
    two = features(narrow.weights(), ["relu5_3"], batch(4), devices=2)["relu5_3"].features
    np.testing.assert_array_equal(two, np.concatenate(one))


@with_openvino
def test_networks_of_one_kind_and_other_parameters_do_not_share_programs():
    one, other = (features(narrow.weights(seed=seed), ["relu5_3"], batch())["relu5_3"].features for seed in (4, 5))
    assert not np.array_equal(one, other)


@with_openvino
def test_an_operation_that_is_not_known_is_named_with_the_cure():
    from jaxloc.inference.openvino.graph import model_of

    with pytest.raises(UsageError, match="OpenVINO computes no 'cumsum', which this network needs: use --engine xla"):
        model_of(lambda known, x: jnp.cumsum(x), (), jax.ShapeDtypeStruct((3,), np.float32))


def test_openvino_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=re.escape("--engine openvino needs OpenVINO: pip install 'jaxloc[openvino]'")):
        DeviceWeights(narrow.weights(), engine="openvino")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"engine": "onnx"}, "engine must be one of auto, xla, openvino, not 'onnx'"),
        ({"engine": "openvino", "conv": "winograd"}, "--conv winograd is a choice of XLA's: use it without --engine"),
    ],
)
def test_choices_that_do_not_go_together(engine, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(UsageError, match=message):
        DeviceWeights(narrow.weights(), **engine)


def test_auto_is_openvino_in_bfloat16_where_the_processor_gains_by_it(monkeypatch):
    def auto(dtype="bfloat16", backbone=VGG):
        return engines.resolve("auto", backbone, dtype)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(engines, "_gains_by_bfloat16", lambda: True)
    assert auto() == "openvino"
    assert auto("float32") == auto(backbone=NARROW["lite-narrow"]) == "xla"
    monkeypatch.setattr(engines, "_gains_by_bfloat16", lambda: False)
    assert auto() == "xla"
    monkeypatch.setattr(engines, "_gains_by_bfloat16", lambda: pytest.fail("asked without OpenVINO"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert auto() == "xla"


@pytest.mark.parametrize(
    ("processor", "fast"),
    [
        ("vendor_id: GenuineIntel\nflags: avx512_bf16 amx_bf16", True),
        ("vendor_id: GenuineIntel\nflags: avx512_bf16", False),
        ("vendor_id: AuthenticAMD\nflags: avx512_bf16", True),
        ("", True),
    ],
)
def test_bfloat16_without_amx_is_slow_on_intel(processor, fast):
    assert engines._is_fast(processor) == fast


@with_openvino
def test_openvino_is_imported_without_a_fork_that_reports_its_use():
    code = "import os; os.register_at_fork(before=lambda: os._exit(3)); import jaxloc.inference.openvino.programs, time"
    code += "; time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
