"""Every public function of arrays outside jit, where each operation is a program of its own, equals the compiled one.

Other tests of values compile their calls, see ``tests.compiled``.
"""

import jax
import numpy as np
import pytest

from tests.sharding.cases import CASES, Element


@pytest.mark.parametrize("name", CASES)
def test_eager_equals_jit(name):
    function, make = CASES[name]
    arguments = make(Element(0))
    eager, compiled = function(*arguments), jax.jit(function)(*arguments)
    assert jax.tree.structure(eager) == jax.tree.structure(compiled)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), eager, compiled)
