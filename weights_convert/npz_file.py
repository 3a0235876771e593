"""big_vision's and google-research/vision_transformer's files: NumPy archives of Flax parameters.

``params/embedding/kernel``, ``params/Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel``, … behind any prefix.
"""

from pathlib import Path

import numpy as np

from weights_convert.mapping import Found
from weights_convert.vit_arrays import from_npz


def read(path: Path) -> Found:
    """Read a vision transformer with a class token."""
    with np.load(path, allow_pickle=False) as archive:
        return from_npz(dict(archive), f"NumPy file {path.name}", str(path))
