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

from jaxloc import boxes, components, refinement
from jaxloc._checks import check_rank
from jaxloc.errors import UsageError
from jaxloc.grids import upsample_nearest
from jaxloc.refiners import REFINEMENTS, Refinement

Shape = tuple[int, int]

_CELLS, _PIXELS, _WHOLE = 32, 64, 512
"""Response maps are padded to multiples of ``_CELLS`` cells, shrunk images to multiples of ``_PIXELS`` pixels, and the
masks of whole images to multiples of ``_WHOLE`` pixels, so that few programs are compiled."""


class RefinedMask(NamedTuple):
    """The object of one image, to the pixel.

    Attributes:
        mask: bool ``[h, w]``.
        box: ``x0, y0, x1, y1`` around the mask, half-open; ``None`` where it is empty.
        refined: False if the mask is the coarse one: nothing was found, the refinement left nothing, or none was asked
            for.
    """

    mask: np.ndarray
    box: tuple[float, float, float, float] | None
    refined: bool


class Refiner:
    """Refines images one by one, from any number of threads; compiles each padded shape once.

    Args:
        method: ``"crf"``, ``"guided"`` or ``"grabcut"``; ``"none"`` only enlarges the coarse mask.
        side: pixels of an image's longer side at which it is refined; smaller images keep their size.
        connectivity: 8 or 4, of the object's cells and pixels.
        sharpness: of ``refinement.object_probabilities``.
        **options: of the method's function in ``jaxloc.refinement``, in place of its defaults; lengths are in pixels of
            the shrunk image.

    Raises:
        UsageError: an unknown method, a side below 32, or OpenCV is missing.
    """

    def __init__(
        self,
        method: str,
        *,
        side: int = 320,
        connectivity: int = 8,
        sharpness: float = 2.0,
        **options: Any,
    ) -> None:
        if method not in ("none", *REFINEMENTS):
            raise UsageError(f"refine must be one of {', '.join(('none', *REFINEMENTS))}, not {method!r}")
        if side < 32:
            raise UsageError(f"the side for refinement must be at least 32 pixels, not {side}")
        self._refinement = REFINEMENTS.get(method)
        if self._refinement is not None:
            self._refinement.check()
        self.method = method
        self.side = side
        self.connectivity = connectivity
        self._sharpness = sharpness
        self._options = options
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._compiling = threading.Lock()

    def refine(
        self,
        image: np.ndarray,
        response: ArrayLike,
        threshold: float,
        box: ArrayLike | None = None,
        *,
        cells: ArrayLike | None = None,
    ) -> RefinedMask:
        """The object's mask in one image.

        Args:
            image: uint8 ``[h, w, 3]``, RGB, the whole image.
            response: float ``[fh, fw]``, the valid cells of the method's response map.
            threshold: what a cell must exceed to be object: 0 for DDT, the map's mean for SCDA.
            box: ``x0, y0, x1, y1`` of the object in the image's pixels, around which GrabCut looks for it; by
                default the box of the coarse mask.
            cells: bool ``[fh, fw]``, the coarse mask where the method has another than the largest component of
                ``response > threshold`` (DDT+).

        Raises:
            ValueError: not one RGB image of bytes, not one map, or a coarse mask of another size.
        """
        image, indicator = np.asarray(image), np.asarray(response, np.float32) - np.float32(threshold)
        check_rank("response", indicator, 2, "[fh, fw]")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"image must be uint8 [h, w, 3], got {image.dtype} of shape {image.shape}")
        if cells is None:
            cells = components.largest_stack((indicator > 0)[None], self.connectivity)[0]
        cells = np.asarray(cells, bool)
        if cells.shape != indicator.shape:
            raise ValueError(f"cells must be of the response's size {indicator.shape}, got shape {cells.shape}")
        shape = image.shape[:2]
        chosen = self._refinement
        refined = None if chosen is None or not cells.any() else self._refine(chosen, image, indicator, cells, box)
        if refined is None:
            return _result(self._enlarge(cells, shape), refined=False)
        if refined.shape != shape:
            refined = _resize(refined.astype(np.float32), shape) > 0.5
        return _result(refined, refined=True)

    def _refine(
        self, chosen: Refinement, image: np.ndarray, indicator: np.ndarray, cells: np.ndarray, box: ArrayLike | None
    ) -> np.ndarray | None:
        """The mask of the shrunk image; ``None`` if nothing is left."""
        scale = min(1.0, self.side / max(image.shape[:2]))
        rows, columns = (max(1, round(scale * side)) for side in image.shape[:2])
        small = image if (rows, columns) == image.shape[:2] else _resize(image, (rows, columns))
        shape = _round_up((rows, columns), _PIXELS)
        target = np.array([rows, columns], np.int32)
        probabilities, coarse = self._run(
            _start,
            *_padded(indicator, cells),
            np.array(indicator.shape, np.int32),
            target,
            shape=shape,
            sharpness=self._sharpness,
        )
        if chosen.on_host:
            if box is None:
                box = boxes.mask_to_box(coarse)
            else:
                box = np.asarray(box) * np.tile([columns / image.shape[1], rows / image.shape[0]], 2)
            cut = chosen.refine(small, np.asarray(probabilities)[:rows, :columns], box, **self._options)
            mask = np.pad(cut, [(0, shape[0] - rows), (0, shape[1] - columns)])
        else:
            pixels = np.pad(small, [(0, shape[0] - rows), (0, shape[1] - columns), (0, 0)])
            mask = self._run(_padded_refine, pixels, probabilities, target, chosen=chosen, **self._options)
        selected = self._run(_select, mask, coarse, target, connectivity=self.connectivity)
        return np.asarray(selected.mask)[:rows, :columns] if selected.refined else None

    def _enlarge(self, cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The coarse mask over the whole image."""
        target = np.array(size, np.int32)
        valid = np.array(cells.shape, np.int32)
        whole = self._run(_nearest, *_padded(cells), valid, target, shape=_round_up(size, _WHOLE))
        return np.asarray(whole)[: size[0], : size[1]]

    def _run(self, function: Callable[..., Any], *arrays: ArrayLike, **options: Any) -> Any:
        """Call a function, compiled once for each shape of its arguments, from any thread."""
        key = function, tuple(jax.typeof(array) for array in arrays), tuple(options.items())
        with self._compiling:
            if key not in self._programs:
                step = jax.jit(functools.partial(function, **options), compiler_options=_compiler_options())
                self._programs[key] = step.lower(*arrays).compile()
        return self._programs[key](*arrays)


def _compiler_options() -> dict[str, bool] | None:
    """Options that make GPUs sum in a fixed order."""
    return {"xla_gpu_deterministic_ops": True} if jax.default_backend() == "gpu" else None


def _start(
    indicator: jax.Array, cells: jax.Array, cell_size: jax.Array, size: jax.Array, *, shape: Shape, sharpness: float
) -> tuple[jax.Array, jax.Array]:
    probabilities = refinement.object_probabilities(
        indicator, shape, mask=cells, size=cell_size, target_size=size, sharpness=sharpness
    )
    return probabilities, _nearest(cells, cell_size, size, shape=shape)


def _nearest(cells: jax.Array, cell_size: jax.Array, size: jax.Array, *, shape: Shape) -> jax.Array:
    return upsample_nearest(cells, shape, size=cell_size, target_size=size)


def _padded_refine(
    image: jax.Array, probabilities: jax.Array, size: jax.Array, *, chosen: Refinement, **options: Any
) -> jax.Array:
    return chosen.refine(image, probabilities, size=size, **options)


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


def _result(mask: np.ndarray, *, refined: bool) -> RefinedMask:
    if not mask.any():
        return RefinedMask(mask, None, refined)
    (y0, y1), (x0, x1) = (np.flatnonzero(mask.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    return RefinedMask(mask, (float(x0), float(y0), float(x1 + 1), float(y1 + 1)), refined)
