"""Grey values of more than 8 bits as bytes."""

import numpy as np

from jaxloc.errors import ImageError

_BITS = (8, 10, 12, 14, 16)
_LARGEST = (1 << _BITS[-1]) - 1


def to_bytes(values: np.ndarray, *, missing: float | None = None) -> np.ndarray:
    """Scale grey values to uint8 by the smallest usual range that holds them, else by their own.

    The usual ranges are 0 to 1 and those of 8, 10, 12, 14 and 16 bits. Missing values become black and count for no
    range: values that are not finite, the value that the file says is missing, and one that is set apart.
    A value is set apart if it is the lowest or highest, several pixels have it, and no other value is as near to it as
    the others are to one another; it is looked for where the others fit a usual range better.

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
    low, high = _range(values, there)
    is_float = np.issubdtype(values.dtype, np.floating)
    while low < 0 or high > _LARGEST or (is_float and high > 1):
        apart = _set_apart(values[there], any_range=low < 0 or high > _LARGEST)
        if apart is None:
            break
        there &= values != apart
        low, high = _range(values, there)
    if low < 0 or high > _LARGEST:
        start, scale = low, 255 / (high - low) if high > low else 0.0
    elif high <= 1:
        start, scale = 0.0, 255.0
    else:
        start, scale = 0.0, 255 / next((1 << bits) - 1 for bits in _BITS if high < 1 << bits)
    scaled = (np.where(there, values, start).astype(np.float64) - start) * scale
    return np.rint(scaled).astype(np.uint8)


def _range(values: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    some = values[there]
    return float(some.min()), float(some.max())


def _set_apart(values: np.ndarray, *, any_range: bool) -> float | None:
    """The value that stands for missing pixels, if there is one.

    Unless ``any_range``, the others must lie from 0 to 1.
    """
    for value, gap in (
        (values.min(), lambda others: others.min() - values.min()),
        (values.max(), lambda others: values.max() - others.max()),
    ):
        others = values[values != value].astype(np.float64)
        if 0 < others.size < values.size - 1 and others.max() > others.min():
            fits = any_range or (others.min() >= 0 and others.max() <= 1)
            if fits and gap(others) > others.max() - others.min():
                return value
    return None
