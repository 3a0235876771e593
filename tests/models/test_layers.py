"""Layers of padded batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxloc._jit import standard_promotion
from jaxloc.models.convolution import Convolution
from jaxloc.models.layers import Cells, depthwise
from tests.compiled import jitted


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (5, 2, 2), (3, 2, "same")])
def test_gradients_of_a_depthwise_convolution_are_those_of_a_grouped_one(kernel, stride, padding):
    rng = np.random.default_rng(0)
    size = np.array([[12, 13]] * 2)
    given = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 12, 13, 4), (kernel, kernel, 1, 4), (4,))]

    @standard_promotion()
    def own(x, weights, bias):
        cells = Cells(x, size, padded=False)
        return depthwise(cells, Convolution(weights, bias), stride=stride, padding=padding, activation=jnp.sin).features

    @standard_promotion()
    def grouped(x, weights, bias):
        sides = "SAME" if padding == "same" else [(padding, padding)] * 2
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        x = lax.conv_general_dilated(x, weights, strides, sides, dimension_numbers=numbers, feature_group_count=4)
        return jnp.sin(x + bias)

    weigh = rng.normal(size=jax.eval_shape(own, *given).shape).astype(np.float32)
    found, expected = (
        jitted(jax.value_and_grad(lambda *all_of, f=f: (f(*all_of) * weigh).sum(), (0, 1, 2)))(*given)
        for f in (own, grouped)
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
