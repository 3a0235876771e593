"""Connected components of small masks: labels and the largest one, on the host or on the device.

The host backend is scikit-image behind one ``jax.pure_callback``. Under ``vmap`` the whole batch travels in one
call: the masks are stacked with an empty row between them and labelled as one image. Masks cross to the host
packed eight cells to a byte, because large callback arguments can deadlock the CPU client; pass masks at
feature-map size, never images. A program with a callback cannot be exported nor kept in the persistent
compile cache; the device backend (neighbour minima and pointer jumping) has neither limit and gives the same result.

The default, ``"auto"``, labels masks of one CPU device on the host, and others on their devices. It decides when the
program is lowered, so that a CPU's process can export for GPU and TPU. To export for the CPU, choose ``"device"``.

A batch divided among devices is best labelled inside ``jax.shard_map``, with either backend: each device then labels
its own masks. Elsewhere the loop of the device backend asks all devices at every turn whether it is done, and the host
backend, which is for the masks of one device, refuses.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import skimage
from jax.typing import ArrayLike

from jaxloc._checks import as_array, check_choice
from jaxloc._jit import jitted

Backend = Literal["auto", "host", "device"]
_Labelling = Callable[[jax.Array], jax.Array]


@jitted("connectivity", "backend")
def label(mask: ArrayLike, *, connectivity: int = 8, backend: Backend = "auto") -> jax.Array:
    """Number the connected components of one mask in raster order of their first cell.

    Args:
        mask: bool ``[h, w]``.
        connectivity: 8 or 4 neighbours (static).
        backend: ``"host"`` (scikit-image in a callback), ``"device"``, or ``"auto"``: the host for masks of one
            CPU device (static).

    Returns:
        int32 ``[h, w]``: 0 outside the mask, components from 1.

    Raises:
        ValueError: ``mask`` is not one map, an unknown option, or ``"host"`` for masks divided among devices.
    """
    mask, on_host = _check(mask, connectivity, backend), _on_host(label_stack, jnp.int32, connectivity)

    def on_device(mask: jax.Array) -> jax.Array:
        roots = _roots(mask, connectivity)
        is_root = roots.ravel() == jnp.arange(mask.size)
        return jnp.where(mask, jnp.pad(jnp.cumsum(is_root), (0, 1))[roots], 0).astype(jnp.int32)

    return _where(backend, mask, on_host, on_device)


@jitted("connectivity", "backend")
def largest_component(mask: ArrayLike, *, connectivity: int = 8, backend: Backend = "auto") -> jax.Array:
    """The component with the most cells; ties go to the first in raster order.

    Arguments are those of ``label``.

    Returns:
        bool ``[h, w]``; empty where ``mask`` is.

    Raises:
        ValueError: ``mask`` is not one map, an unknown option, or ``"host"`` for masks divided among devices.
    """
    mask, on_host = _check(mask, connectivity, backend), _on_host(largest_stack, jnp.bool_, connectivity)

    def on_device(mask: jax.Array) -> jax.Array:
        roots = _roots(mask, connectivity)
        cells = jnp.zeros(mask.size + 1, jnp.int32).at[roots.ravel()].add(1)
        return mask & (roots == jnp.argmax(cells[:-1]))

    return _where(backend, mask, on_host, on_device)


@jitted("connectivity", "backend")
def component_with(mask: ArrayLike, cell: ArrayLike, *, connectivity: int = 8, backend: Backend = "auto") -> jax.Array:
    """The component that holds a cell.

    Args:
        mask: bool ``[h, w]``.
        cell: int ``[]``, the cell's number in raster order.
        connectivity: 8 or 4 neighbours (static).
        backend: ``"host"`` (scikit-image in a callback), ``"device"``, or ``"auto"``: the host for masks of one
            CPU device (static).

    Returns:
        bool ``[h, w]``; empty where the cell is not in ``mask``.

    Raises:
        ValueError: ``mask`` is not one map, an unknown option, or ``"host"`` for masks divided among devices.
    """
    labels = label(mask, connectivity=connectivity, backend=backend)
    return (labels > 0) & (labels == labels.ravel()[cell])


def _check(mask: ArrayLike, connectivity: int, backend: Backend) -> jax.Array:
    mask = as_array("mask", mask, "[h, w]")
    if mask.dtype != jnp.bool_:
        raise ValueError(f"mask must be bool, got {mask.dtype}; compare it with a threshold first")
    check_choice("connectivity", connectivity, (8, 4))
    check_choice("backend", backend, ("auto", "host", "device"))
    return mask


def _where(backend: Backend, mask: jax.Array, on_host: _Labelling, on_device: _Labelling) -> jax.Array:
    """The mask labelled on the host or the device; ``"auto"`` decides when the program is lowered for a platform.

    A callback serves masks of one device, which they all are inside ``shard_map``.
    """
    mesh = jax.typeof(mask).sharding.mesh
    if backend == "auto" and mesh.size <= 1 and not mesh.explicit_axes:
        return jax.lax.platform_dependent(mask, cpu=on_host, default=on_device)
    if backend == "host" and (mesh.explicit_axes or (mesh.size > 1 and mesh.auto_axes)):
        raise ValueError(
            "backend='host' labels the masks of one device, and these lie on a mesh; "
            "call it inside jax.shard_map, or leave it to backend='auto'"
        )
    return on_host(mask) if backend == "host" else on_device(mask)


# On the host: plain NumPy on stacks of masks.


def label_stack(masks: np.ndarray, connectivity: int = 8) -> np.ndarray:
    """Number the components of each mask of a stack ``[n, h, w]``, as ``label`` does, in one call of scikit-image."""
    n, h, w = masks.shape
    tall = np.pad(masks, ((0, 0), (0, 1), (0, 0))).reshape(n * (h + 1), w)
    if tall.size == 0:
        return np.zeros(masks.shape, np.int32)
    numbered = skimage.measure.label(tall, connectivity=2 if connectivity == 8 else 1)
    labels = numbered.reshape(n, h + 1, w)[:, :h].astype(np.int32)
    before = np.maximum.accumulate(np.concatenate([[0], labels.max((1, 2))[:-1]]))
    return np.where(labels > 0, labels - before[:, None, None], 0).astype(np.int32)


def largest_stack(masks: np.ndarray, connectivity: int = 8) -> np.ndarray:
    """The largest component of each mask of a stack ``[n, h, w]``, as ``largest_component`` does."""
    labels = label_stack(masks, connectivity)
    kinds = int(labels.max(initial=0)) + 1
    per_mask = labels + kinds * np.arange(len(labels))[:, None, None]
    cells = np.bincount(per_mask.ravel(), minlength=kinds * len(labels)).reshape(-1, kinds)
    cells[:, 0] = 0
    return (labels == cells.argmax(1)[:, None, None]) & (labels > 0)


def _on_host(function: Callable[[np.ndarray, int], np.ndarray], dtype: type, connectivity: int) -> _Labelling:
    """One callback for however many masks vmap has stacked up; leading axes are flattened to one."""

    def call(mask: jax.Array) -> jax.Array:
        def on_host(packed: np.ndarray) -> np.ndarray:
            masks = np.unpackbits(np.asarray(packed), axis=-1, count=mask.shape[1]).astype(bool)
            return function(masks.reshape(-1, *masks.shape[-2:]), connectivity).reshape(masks.shape)

        result = jax.ShapeDtypeStruct(mask.shape, dtype)
        return jax.pure_callback(on_host, result, jnp.packbits(mask, axis=-1), vmap_method="expand_dims")

    return call


# On the device.


def _roots(mask: jax.Array, connectivity: int) -> jax.Array:
    """The raster index of each cell's component's first cell; ``mask.size`` outside the mask.

    Every turn hooks each tree's root to the lowest label that any of its cells sees next to it, then shortens the
    paths. Labels only fall, and stop when no neighbour is lower: each component then shows its smallest index.
    """
    outside = mask.size
    start = jnp.where(mask, jnp.arange(outside).reshape(mask.shape), outside)

    def lowest_neighbour(labels: jax.Array) -> jax.Array:
        around = jnp.pad(labels, 1, constant_values=outside)
        vertical = jnp.minimum(jnp.minimum(around[:-2], around[2:]), around[1:-1])
        if connectivity == 8:
            low = jnp.minimum(jnp.minimum(vertical[:, :-2], vertical[:, 2:]), vertical[:, 1:-1])
        else:
            low = jnp.minimum(jnp.minimum(around[1:-1, :-2], around[1:-1, 2:]), vertical[:, 1:-1])
        return jnp.where(mask, low, outside)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        labels, lowest = state
        parents = jnp.arange(outside + 1).at[labels.ravel()].min(lowest.ravel())
        parents = parents[parents]
        labels = parents[parents[labels]]
        return labels, lowest_neighbour(labels)

    labels, _ = jax.lax.while_loop(lambda state: (state[0] != state[1]).any(), step, (start, lowest_neighbour(start)))
    return labels
