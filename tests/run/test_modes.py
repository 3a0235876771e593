"""Jobs in other modes of JAX: what they write does not change."""

import jax
import numpy as np
import pytest

from jaxloc import ddt, moments, scda
from jaxloc.options import DescribeOptions
from jaxloc.run import Options, colocalize, model_file
from jaxloc.run.cleaning import clean
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.steps import Steps
from tests.run.cleaning.examples import write_collection

NOTHING = np.zeros((2, 4, 4, 10), np.float32)
SIZES = np.full((2, 2), 4, np.int32)


@pytest.fixture
def mode(request):
    """A flag of JAX, set for all threads."""
    before = getattr(jax.config, request.param)
    jax.config.update(request.param, True)
    yield
    jax.config.update(request.param, before)


in_64_bits = pytest.mark.parametrize("mode", ["jax_enable_x64"], indirect=True)
without_nan = pytest.mark.parametrize("mode", ["jax_debug_nans"], indirect=True)


@in_64_bits
def test_a_job_in_64_bits_writes_the_same_bytes(photos, job, mode, tmp_path):
    model_file._empty.cache_clear()  # else those of a job in 32 bits are found
    colocalize([photos], tmp_path, Options(method="ddt+", overlays=True))
    for name in ("model.safetensors", "annotations.json"):
        assert (tmp_path / name).read_bytes() == (job("ddt+").folder / name).read_bytes()


@in_64_bits
def test_cleaning_in_64_bits(mode, tmp_path):
    cleaned = clean(write_collection(tmp_path / "web"), tmp_path / "out")
    assert {item.why for item in cleaned.decisions.items if not item.keep} >= {"broken", "duplicate"}


@without_nan
def test_an_image_without_an_object_is_no_error_where_nan_is_one(mode):
    alone = scda.localize(NOTHING[0], (64, 64))
    assert not alone.found
    model = ddt.fit(moments.of(NOTHING))
    assert not ddt.localize(model, NOTHING[0], (64, 64)).found
    steps = Steps(Options(method="scda"))
    found, _ = steps.localize([None, None], {steps.layers[0]: (NOTHING, SIZES)}, 16 * SIZES)
    assert not found.found.any()
    describer = Describer(DescribeOptions(), ["scda"])
    described = describer.describe_features({describer.layer: (NOTHING, SIZES)}, None, 16 * SIZES, ["scda"])
    assert not described.found.any()
