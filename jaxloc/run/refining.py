"""Refine an object of one image from cells to pixels.

The image is shrunk to a bounded size and padded to one of a few shapes, so that few programs are compiled; the mask is
enlarged to the image's size. On one kind of device the mask is reproducible: on a GPU the programs sum in a fixed
order.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from jaxloc import refinement
from jaxloc.grids import upsample_nearest
from jaxloc.refiners import REFINEMENTS

Shape = tuple[int, int]

_CELLS, _PIXELS = 32, 64
"""Response maps are padded to multiples of ``_CELLS`` cells, shrunk images to multiples of ``_PIXELS`` pixels, so that
few programs are compiled."""


class RefinedMask(NamedTuple):
    """The object of one image, to the pixel.

    Attributes:
        box: ``x0, y0, x1, y1`` around the mask, half-open; ``None`` where it is empty.
        refined: False if the mask is the coarse one: nothing was found, the refinement left nothing, or none was asked
            for.
    """

    mask: np.ndarray
    box: tuple[float, float, float, float] | None
    refined: bool


class Refiner:
    """Refines images one by one, from any number of threads; compiles each padded shape once.

    Images are refined at ``side`` pixels of their longer side; smaller ones keep their size.
    """

    def __init__(self, method: str, *, side: int = 320, connectivity: int = 8) -> None:
        self._refinement = REFINEMENTS[method]
        self._refinement.check()
        self._side, self._connectivity = side, connectivity
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._compiling = threading.Lock()

    def refine(
        self, image: np.ndarray, response: ArrayLike, threshold: float, box: ArrayLike, cells: np.ndarray
    ) -> RefinedMask:
        """The object's mask in one image.

        Args:
            image: uint8 ``[h, w, 3]``, RGB, the whole image.
            response: float ``[fh, fw]``, the valid cells of the method's response map.
            threshold: what a cell must exceed to be object.
            box: ``x0, y0, x1, y1`` of the object in the image's pixels, around which GrabCut looks for it.
            cells: bool ``[fh, fw]``, the coarse mask.
        """
        shape = image.shape[:2]
        indicator = np.asarray(response, np.float32) - np.float32(threshold)
        refined = self._refine(image, indicator, cells, box) if cells.any() else None
        if refined is None:
            return whole_cells(cells, shape)
        if refined.shape != shape:
            refined = _resize(refined.astype(np.float32), shape) > 0.5
        return _boxed(refined, refined=True)

    def _refine(self, image: np.ndarray, indicator: np.ndarray, cells: np.ndarray, box: ArrayLike) -> np.ndarray | None:
        """The mask of the shrunk image; ``None`` if nothing is left."""
        chosen = self._refinement
        scale = min(1.0, self._side / max(image.shape[:2]))
        rows, columns = (max(1, round(scale * side)) for side in image.shape[:2])
        small = image if (rows, columns) == image.shape[:2] else _resize(image, (rows, columns))
        shape = _round_up((rows, columns), _PIXELS)
        target = np.array([rows, columns], np.int32)
        valid = np.array(indicator.shape, np.int32)
        probabilities, coarse = self._run(_start, *_padded(indicator, cells), valid, target, shape=shape)
        if chosen.on_host:
            box = np.asarray(box) * np.tile([columns / image.shape[1], rows / image.shape[0]], 2)
            cut = chosen.refine(small, np.asarray(probabilities)[:rows, :columns], box)
            mask = np.pad(cut, [(0, shape[0] - rows), (0, shape[1] - columns)])
        else:
            pixels = np.pad(small, [(0, shape[0] - rows), (0, shape[1] - columns), (0, 0)])
            mask = self._run(_padded_refine, pixels, probabilities, target, chosen=chosen.refine)
        selected = self._run(_select, mask, coarse, target, connectivity=self._connectivity)
        return np.asarray(selected.mask)[:rows, :columns] if selected.refined else None

    def _run(self, function: Callable[..., Any], *arrays: ArrayLike, **options: Any) -> Any:
        """Call a function, compiled once for each shape of its arguments, from any thread."""
        key = function, tuple(jax.typeof(array) for array in arrays), tuple(options.items())
        with self._compiling:
            if key not in self._programs:
                in_order = {"xla_gpu_deterministic_ops": True} if jax.default_backend() == "gpu" else None
                step = jax.jit(functools.partial(function, **options), compiler_options=in_order)
                self._programs[key] = step.lower(*arrays).compile()
        return self._programs[key](*arrays)


def whole_cells(cells: np.ndarray, size: Shape) -> RefinedMask:
    """The coarse mask over a whole image, as ``grids.upsample_nearest`` gives it on the device."""
    y, x = ((2 * np.arange(n) + 1) * k // (2 * n) for n, k in zip(size, cells.shape, strict=True))
    return _boxed(cells[y[:, None], x], refined=False)


def _start(
    indicator: jax.Array, cells: jax.Array, cell_size: jax.Array, size: jax.Array, *, shape: Shape
) -> tuple[jax.Array, jax.Array]:
    probabilities = refinement.object_probabilities(indicator, shape, mask=cells, size=cell_size, target_size=size)
    return probabilities, upsample_nearest(cells, shape, size=cell_size, target_size=size)


def _padded_refine(
    image: jax.Array, probabilities: jax.Array, size: jax.Array, *, chosen: Callable[..., jax.Array]
) -> jax.Array:
    return chosen(image, probabilities, size=size)


def _select(mask: jax.Array, coarse: jax.Array, size: jax.Array, *, connectivity: int) -> refinement.Refined:
    return refinement.select(mask, coarse, size=size, connectivity=connectivity, backend="device")


def _round_up(size: Sequence[int], step: int) -> Shape:
    return -(-size[0] // step) * step, -(-size[1] // step) * step


def _padded(*maps: np.ndarray) -> list[np.ndarray]:
    """Maps of one size, padded to multiples of ``_CELLS``."""
    rows, columns = _round_up(maps[0].shape, _CELLS)
    return [np.pad(one, [(0, rows - one.shape[0]), (0, columns - one.shape[1])]) for one in maps]


def _resize(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR))


def _boxed(mask: np.ndarray, *, refined: bool) -> RefinedMask:
    if not mask.any():
        return RefinedMask(mask, None, refined)
    (y0, y1), (x0, x1) = (np.flatnonzero(mask.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    return RefinedMask(mask, (float(x0), float(y0), float(x1 + 1), float(y1 + 1)), refined)
