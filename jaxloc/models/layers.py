"""Layers of padded batches of images of mixed sizes: convolutions, pools and averages that padding does not change.

Padding alone would corrupt features, because biases turn it non-zero and the next window reads it. What lies outside an
image's valid corner is therefore set to zero after every layer, which is the zero padding that the image alone would
have had. Each layer follows its own rule for the number of its cells, such as PyTorch's ``floor`` or ``ceil``.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from jaxloc._jit import standard_promotion
from jaxloc.models.backbone import FeatureMap
from jaxloc.models.convolution import Convolution, inside
from jaxloc.models.preparing import check_kernel

Activation = Callable[[jax.Array], jax.Array]
Padding = int | Literal["same"]
"""Zeros at each side; ``"same"`` is TensorFlow's: ``ceil(cells / stride)`` cells, and an odd zero at the end."""


class Cells(NamedTuple):
    """Activations of a padded batch.

    Attributes:
        features: ``[n, h, w, c]``, zero outside the valid corners.
        size: int32 ``[n, 2]``, valid rows and columns; NumPy's unless ``padded``.
        padded: whether an image may be smaller than the batch (static).
    """

    features: jax.Array
    size: Any
    padded: bool

    def masked(self, features: jax.Array, size: Any) -> "Cells":
        """Other activations of the same images, set to zero outside their valid corners."""
        return Cells(inside(features, size if self.padded else None), size, self.padded)


class Parameters(nn.Module):
    """The parameters of one convolution: stored in float32, used in ``dtype``."""

    kernel_size: int
    channels: int
    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self) -> Convolution:
        """The kernel ``[kernel_size, kernel_size, channels, width]``, or a prepared one, and the bias ``[width]``."""
        shape = (self.kernel_size, self.kernel_size, self.channels, self.width)
        if self.is_initializing():
            self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        kernel = self.get_variable("params", "kernel")  # a prepared one has another shape
        check_kernel(kernel, shape, self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        return Convolution(kernel.astype(self.dtype), bias.astype(self.dtype))


class Network(nn.Module):
    """A network whose ``steps`` yield the cells of each layer, from the image upwards.

    ``init`` gives zeros of the parameters' shapes, for their values are a weights file's: see ``models.load``.

    Attributes:
        layers: names of the activations to return; nothing deeper is computed.
        dtype: what it computes in.
    """

    layers: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    def steps(self, cells: Cells, parameters: Callable[..., Convolution]) -> Iterator[tuple[str, Cells]]:
        """Yield each layer's name and cells; ``parameters(name, kernel_size, channels, width)`` are a convolution's."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array | None = None) -> dict[str, FeatureMap]:
        """Run preprocessed images ``[n, h, w, 3]`` through the network.

        Args:
            x: preprocessed images; values outside ``sizes`` are ignored.
            sizes: int ``[n, 2]``, valid rows and columns of each image; ``None`` means all of them.

        Returns:
            ``{layer: FeatureMap}`` in the order asked for.
        """

        def parameters(name: str, *shape: int) -> Convolution:
            return Parameters(*shape, self.dtype, name=name)()

        size = np.array([x.shape[1:3]] * x.shape[0], np.int32) if sizes is None else jnp.asarray(sizes, jnp.int32)
        first = Cells(inside(x.astype(self.dtype), sizes), size, sizes is not None)
        found: dict[str, FeatureMap] = {}
        for name, cells in self.steps(first, parameters):
            if name in self.layers:
                found[name] = FeatureMap(cells.features, jnp.asarray(cells.size))
            if len(found) == len(set(self.layers)):
                break
        return {name: found[name] for name in self.layers}


def identity(x: jax.Array) -> jax.Array:
    """No activation."""
    return x


def number_of_cells(cells: Any, kernel: int, stride: int, padding: Padding, *, ceil: bool = False) -> Any:
    """Cells along one side, or sides, after a window has moved over ``cells``; none if they are too few."""
    reach = cells - 1 if padding == "same" else cells + 2 * padding - kernel
    reach = reach + stride + (stride - 1 if ceil else 0)
    if isinstance(reach, jax.Array):
        return lax.div(jnp.maximum(reach, 0), jnp.full_like(reach, stride))
    return np.maximum(reach, 0) // stride


def smallest_side(cells: int, windows: list[tuple[int, int, int]]) -> int:
    """Smallest side that has this number of cells after windows ``(kernel, stride, padding)``, in their order."""
    for kernel, stride, padding in reversed(windows):
        cells = max(1, (cells - 1) * stride + kernel - 2 * padding)
    return cells


def convolve(
    cells: Cells, layer: Convolution, *, stride: int = 1, padding: Padding = 0, activation: Activation = nn.relu
) -> Cells:
    """A convolution with bias and activation."""
    kernel = layer.kernel.shape[0]
    size = number_of_cells(cells.size, kernel, stride, padding)
    if kernel == stride == 1:
        return cells.masked(activation(cells.features @ layer.kernel[0, 0] + layer.bias), size)
    x, sides = _padded(cells, kernel, stride, padding)
    x = lax.conv_general_dilated(x, layer.kernel, (stride, stride), sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return cells.masked(activation(x + layer.bias), size)


def depthwise(
    cells: Cells, layer: Convolution, *, stride: int = 1, padding: Padding = 0, activation: Activation = nn.relu
) -> Cells:
    """A convolution of each channel by itself, with a kernel ``[k, k, 1, c]``, bias and activation.

    On the CPU, XLA's own grouped convolution takes 4.5 to 10 times as long as this sum of k² shifted products.
    """
    kernel = layer.kernel.shape[0]
    size = number_of_cells(cells.size, kernel, stride, padding)
    x, sides = _padded(cells, kernel, stride, padding)
    if jax.default_backend() != "cpu":
        numbers, channels = ("NHWC", "HWIO", "NHWC"), x.shape[-1]
        x = lax.conv_general_dilated(
            x, layer.kernel, (stride, stride), sides, dimension_numbers=numbers, feature_group_count=channels
        )
        return cells.masked(activation(x + layer.bias), size)
    x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    total = _shifted_products(x, layer.kernel[:, :, 0], stride) + layer.bias.astype(jnp.float32)
    return cells.masked(activation(total.astype(x.dtype)), size)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shifted_products(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The sum, in float32, of windows of padded features ``[n, h, w, c]`` times a kernel ``[k, k, c]``.

    Its own derivative is far smaller than that of k² slices, each of which would be padded back to the whole.
    """
    rows, columns = (number_of_cells(side, len(kernel), stride, 0) for side in x.shape[1:3])
    total = jnp.float32(0)
    for i, j in np.ndindex(kernel.shape[:2]):
        last = (x.shape[0], i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1, x.shape[3])
        total = total + lax.slice(x, (0, i, j, 0), last, (1, stride, stride, 1)) * kernel[i, j]
    return total


def _forward(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _shifted_products(x, kernel, stride), (x, kernel)


@standard_promotion()  # it is traced after the function that asks for it
def _backward(stride: int, saved: tuple[jax.Array, jax.Array], change: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    n, rows, columns, channels = change.shape
    side = len(kernel)
    around = [(0, 0, 0)] * 4
    for axis in (1, 2):
        above = side - 1
        below = x.shape[axis] - (change.shape[axis] - 1) * stride - 1
        around[axis] = (above, below, stride - 1)
    of_features = _shifted_products(lax.pad(change, jnp.zeros_like(change[0, 0, 0, 0]), around), kernel[::-1, ::-1], 1)

    def of_place(place: jax.Array) -> jax.Array:
        sizes = (n, (rows - 1) * stride + 1, (columns - 1) * stride + 1, channels)
        seen = lax.dynamic_slice(x, (0, place // side, place % side, 0), sizes)[:, ::stride, ::stride]
        return (seen * change).sum((0, 1, 2), dtype=jnp.float32)

    of_kernel = lax.map(of_place, jnp.arange(side * side)).reshape(kernel.shape)
    return of_features.astype(x.dtype), of_kernel.astype(kernel.dtype)


_shifted_products.defvjp(_forward, _backward)


def max_pool(cells: Cells, kernel: int, stride: int, *, padding: int = 0, ceil: bool = False) -> Cells:
    """The largest of each window of activations that are not negative: cells outside the image count as zero."""
    sides = []
    for side in cells.features.shape[1:3]:
        reach = (number_of_cells(side, kernel, stride, padding, ceil=ceil) - 1) * stride + kernel
        sides.append((padding, max(0, reach - side - padding)))
    x = nn.max_pool(cells.features, (kernel, kernel), (stride, stride), sides)
    return cells.masked(x, number_of_cells(cells.size, kernel, stride, padding, ceil=ceil))


def average(cells: Cells) -> Cells:
    """The mean over each image's cells, as one cell."""
    number = jnp.maximum(cells.size.prod(1), 1)[:, None, None, None]
    total = cells.features.sum((1, 2), keepdims=True, dtype=jnp.float32)
    return Cells((total / number).astype(cells.features.dtype), np.ones(cells.size.shape, np.int32), padded=False)


def add(cells: Cells, other: Cells, *, activation: Activation = nn.relu) -> Cells:
    """The sum of two activations of one size; the activation maps zero to zero."""
    return cells._replace(features=activation(cells.features + other.features))


def join(cells: Cells, other: Cells) -> Cells:
    """The channels of two activations of one size, one after the other."""
    return cells._replace(features=jnp.concatenate([cells.features, other.features], -1))


def _padded(cells: Cells, kernel: int, stride: int, padding: Padding) -> tuple[jax.Array, list[tuple[int, int]]]:
    """Features, and the zeros that are still to be put before and after their rows and columns."""
    x = cells.features
    if padding != "same":
        return x, [(padding, padding)] * 2
    sides = []
    for axis in (1, 2):
        side = x.shape[axis]
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        if stride == 1 or not cells.padded:
            sides.append((total // 2, total - total // 2))
            continue
        # TensorFlow puts one zero less before an even number of cells, so each image is shifted by its own size.
        if stride != 2 or not kernel % 2:
            raise ValueError(f"'same' padding of stride {stride} and kernel {kernel} is not known")
        length = (-(-side // 2) - 1) * 2 + kernel
        zeros = [(0, 0)] * 4
        zeros[axis] = (kernel // 2, kernel)
        wide = jnp.pad(x, zeros)
        odd, even = (lax.slice_in_dim(wide, start, start + length, axis=axis) for start in (0, 1))
        x = jnp.where((cells.size[:, axis - 1] % 2 == 1)[:, None, None, None], odd, even)
        sides.append((0, 0))
    return x, sides
