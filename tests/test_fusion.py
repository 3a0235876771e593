"""Late fusion of streams."""

import jax
import numpy as np
import pytest

from jaxloc import fusion
from tests.compiled import compiled

fusion = compiled(fusion)

VISION, LANGUAGE = np.float32([[2, 0, 0], [0, 1, 0]]), np.float32([[0, 0, 3], [0, 500, 0]])


def test_probabilities_are_added_with_their_weights():
    shares = [np.asarray(jax.nn.softmax(scores)) for scores in (VISION, LANGUAGE)]
    np.testing.assert_allclose(fusion.late_fusion([VISION, LANGUAGE]), sum(shares) / 2, rtol=1e-6)
    weighted = fusion.late_fusion([VISION, LANGUAGE], weights=np.array([3, 1]))
    np.testing.assert_allclose(weighted, (3 * shares[0] + shares[1]) / 4, rtol=1e-6)


def test_no_stream_outweighs_another_by_the_scale_of_its_scores():
    certain, opposed = np.float32([900, 0]), np.float32([0, 3])
    assert fusion.late_fusion([certain, opposed])[0] == pytest.approx(0.5 + 0.5 / (1 + np.exp(3)), rel=1e-5)


def test_a_weight_for_each_stream_is_needed():
    with pytest.raises(ValueError, match=r"weights must be \[2\], one for each stream, got shape \(3,\)"):
        fusion.late_fusion([VISION, LANGUAGE], weights=np.ones(3))
