"""What recognition may not be told."""

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import ClassifyOptions, IndexOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tune": "tail"}, "tune must be one of none, head, last, whole, not 'tail'"),
        ({"test_share": 0.0}, r"share to test on must be above 0 and below 1, not 0\.0"),
        ({"test_share": 1.0}, r"share to test on must be above 0 and below 1, not 1\.0"),
        ({"test_share": float("nan")}, "share to test on must be above 0 and below 1, not nan"),
        ({"regularization": 0.0}, r"C must be above 0, not 0\.0"),
        ({"regularization": float("nan")}, "C must be above 0, not nan"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"describing": IndexOptions(whiten="svd-4")}, "reads vectors as they are described: leave out .* svd-4"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        ClassifyOptions(**wrong)
