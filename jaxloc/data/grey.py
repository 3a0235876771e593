"""Grey values of more than 8 bits as bytes."""

import numpy as np

from jaxloc.errors import ImageError

_BITS = (8, 10, 12, 14, 16)
_LARGEST = (1 << _BITS[-1]) - 1


def to_bytes(values: np.ndarray, *, missing: float | None = None) -> np.ndarray:
    """Scale grey values to uint8 by the smallest usual range that holds them, else by their own.

    The usual ranges are 0 to 1 and those of 8, 10, 12, 14 and 16 bits. Missing values become black and count for no
    range: values that are not finite, and the value that the file says is missing.

    Args:
        values: ``[h, w]``, integers or floats.
        missing: value of missing pixels.

    Raises:
        ImageError: no value is a number.
    """
    there = np.isfinite(values)
    if missing is not None:
        there &= values != values.dtype.type(missing)
    if not there.any():
        raise ImageError("holds values that are not numbers")
    low, high = float(values[there].min()), float(values[there].max())
    if low < 0 or high > _LARGEST:
        start, scale = low, 255 / (high - low) if high > low else 0.0
    elif high <= 1:
        start, scale = 0.0, 255.0
    else:
        start, scale = 0.0, 255 / next((1 << bits) - 1 for bits in _BITS if high < 1 << bits)
    scaled = (np.where(there, values, start).astype(np.float64) - start) * scale
    return np.rint(scaled).astype(np.uint8)
