"""A function of arrays as an OpenVINO model, operation by operation from its jaxpr.

OpenVINO's own converter of JAX functions lacks operations of the masks, and computes ``select_n`` by gathering.

Values of four axes, which are NHWC in the function, are NCHW in the model, where OpenVINO fuses a convolution with its
bias and activation. An array that is broadcast keeps its axes of length 1 until an operation needs it whole.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import openvino
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal
from openvino import opset13 as ops
from openvino.op import Constant

from jaxloc.errors import UsageError

Node = Any
"""An array that is known, or the output of an operation of the model."""
_OIHW, _HWIO = (3, 2, 0, 1), (2, 3, 1, 0)
"""Orders of a kernel's axes: of one in HWIO that make it OIHW, and back."""


def model_of(function: Callable[..., Any], known: Any, *arguments: Any) -> openvino.Model:
    """The model of a function, whose outputs are the leaves of its result.

    Convolutions are of images NHWC with known kernels HWIO, one group and no dilation, as ``lax`` is called by the
    networks of ``jaxloc.models``.

    Args:
        function: of arrays. Integers that it divides are not negative.
        known: its first argument, a tree of NumPy's arrays that become constants. Kernels of ``shared_kernel`` are not
            copied.
        *arguments: an array, or its ``jax.ShapeDtypeStruct``, for each further argument.

    Raises:
        UsageError: an operation is not known here.
    """
    closed = jax.make_jaxpr(function)(known, *arguments)
    inputs = [ops.parameter(one.shape, one.dtype) for one in arguments]
    given = [_stored(one.output(0), len(one.shape)) for one in inputs]
    outputs = _run(closed, [*jax.tree.leaves(known), *given])
    results = [
        _plain(_constant(_whole(node, one.aval)), one.aval.ndim)
        for node, one in zip(outputs, closed.jaxpr.outvars, strict=True)
    ]
    return openvino.Model(results, inputs)


def shared_kernel(values: np.ndarray) -> np.ndarray:
    """An array whose memory, if it is a kernel HWIO, is in OpenVINO's order OIHW; all models can share it."""
    return values if values.ndim != 4 else np.array(values.transpose(_OIHW), order="C").transpose(_HWIO)


def _run(closed: ClosedJaxpr, arguments: Sequence[Node]) -> list[Node]:
    """Compute what is known, and add the rest to the model."""
    values = dict(zip(closed.jaxpr.constvars, map(np.asarray, closed.consts), strict=True))
    values |= zip(closed.jaxpr.invars, arguments, strict=True)

    def read(atom: Any) -> Node:
        return np.asarray(atom.val, jax.dtypes.result_type(atom.aval)) if isinstance(atom, Literal) else values[atom]

    for equation in closed.jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if isinstance(inner, ClosedJaxpr):
            found = _run(inner, given)
        elif all(isinstance(one, np.ndarray) for one in given):
            found = _known(equation, given)
        else:
            found = _operation(equation, given)
        values.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in closed.jaxpr.outvars]


def _known(equation: JaxprEqn, given: list[np.ndarray]) -> list[np.ndarray]:
    """The result of an operation on known arrays: by NumPy if it is frequent, as JAX compiles each shape of it."""
    if equation.primitive.name in _NUMPY:
        return [_NUMPY[equation.primitive.name](*given, result=equation.outvars[0].aval, **equation.params)]
    found = equation.primitive.bind(*given, **equation.params)
    return list(map(np.asarray, found if equation.primitive.multiple_results else [found]))


def _operation(equation: JaxprEqn, given: list[Node]) -> list[Node]:
    name, result = equation.primitive.name, equation.outvars[0].aval
    if name in _ELEMENTWISE:
        return [_ELEMENTWISE[name](*map(_narrow, given)).output(0)]
    if name not in _OTHERS:
        raise UsageError(f"OpenVINO computes no {name!r}, which this network needs: use --engine xla")
    if name != "broadcast_in_dim":
        given = [_whole(node, atom.aval) for node, atom in zip(given, equation.invars, strict=True)]
    found = _OTHERS[name](*given, result=result, **equation.params)
    return found if isinstance(found, list) else [found]


def _order(rank: int) -> list[int]:
    return [0, 3, 1, 2] if rank == 4 else list(range(rank))


def _stored(node: Node, rank: int) -> Node:
    """A node whose axes are as in the function, as the model keeps it."""
    return ops.transpose(node, np.array(_order(rank))).output(0) if rank == 4 else node


def _plain(node: Node, rank: int) -> Node:
    """The reverse of ``_stored``."""
    return ops.transpose(node, np.array(np.argsort(_order(rank)))).output(0) if rank == 4 else node


def _constant(node: Node) -> Node:
    """A known array as a node; other nodes as they are."""
    if not isinstance(node, np.ndarray):
        return node
    return ops.constant(np.asarray(node.transpose(_order(node.ndim)), order="C")).output(0)


def _narrow(node: Node) -> Node:
    """A node that OpenVINO broadcasts: a known array without what ``np.broadcast_to`` repeats in it."""
    if isinstance(node, np.ndarray):
        node = node[(..., *(slice(None) if stride else slice(1) for stride in node.strides))]
    return _constant(node)


def _maximum(x: Node, y: Node) -> Node:
    """OpenVINO fuses a convolution with a ReLU, not with a maximum."""
    constant = y.get_node()
    is_zero = isinstance(constant, Constant) and constant.get_element_type().is_real() and not constant.data.any()
    return ops.relu(x) if is_zero else ops.maximum(x, y)


def _whole(node: Node, aval: Any) -> Node:
    """A node, known or not, with all cells of its shape in the function."""
    shape = [aval.shape[axis] for axis in _order(aval.ndim)]
    if isinstance(node, np.ndarray) or list(node.shape) == shape:
        return node
    return ops.broadcast(node, np.array(shape)).output(0)


def _reshape(x: Node, *, result: Any, **_: Any) -> Node:
    return _stored(ops.reshape(_plain(x, len(x.shape)), np.array(result.shape), False).output(0), result.ndim)


def _broadcast(x: Node, *, result: Any, broadcast_dimensions: tuple[int, ...], **_: Any) -> Node:
    if len(x.shape) == result.ndim:
        return x
    shape = np.ones(result.ndim, int)
    shape[list(broadcast_dimensions)] = _plain(x, len(x.shape)).shape
    return _stored(ops.reshape(_plain(x, len(x.shape)), shape, False).output(0), result.ndim)


def _transpose(x: Node, *, result: Any, permutation: tuple[int, ...]) -> Node:
    return _stored(ops.transpose(_plain(x, result.ndim), np.array(permutation)).output(0), result.ndim)


def _slice(x: Node, *, result: Any, start_indices: Any, limit_indices: Any, strides: Any) -> Node:
    ends = [np.array(one)[_order(result.ndim)] for one in (start_indices, limit_indices, strides or [1] * result.ndim)]
    return ops.slice(x, *ends).output(0)


def _pad(x: Node, value: Node, *, result: Any, padding_config: Any) -> Node:
    before, after, _ = np.array(padding_config)[_order(result.ndim)].T
    return ops.pad(x, before, after, "constant", _constant(value)).output(0)


def _concatenate(*parts: Node, result: Any, dimension: int) -> Node:
    return ops.concat(list(map(_constant, parts)), _order(result.ndim).index(dimension)).output(0)


def _stack(*parts: Node, result: Any, axis: int) -> Node:
    rows = [ops.unsqueeze(_plain(_constant(part), result.ndim - 1), axis) for part in parts]
    return _stored(ops.concat(rows, axis).output(0), result.ndim)


def _split(x: Node, *, result: Any, sizes: tuple[int, ...], axis: int) -> list[Node]:
    return ops.variadic_split(x, _order(result.ndim).index(axis), np.array(sizes)).outputs()


def _reduce(operation: Callable[..., Any], x: Node, *, result: Any, axes: tuple[int, ...], **_: Any) -> Node:
    return _stored(operation(_plain(x, len(x.shape)), np.array(axes), False).output(0), result.ndim)


def _convolve(
    x: Node,
    kernel: np.ndarray,
    *,
    window_strides: Sequence[int] = (1, 1),
    padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0)),
    **_: Any,
) -> Node:
    """A convolution NHWC with a known kernel HWIO."""
    before, after = zip(*padding, strict=True)
    constant = ops.constant(np.require(kernel.transpose(_OIHW), requirements=["C", "W"]), shared_memory=True)
    return ops.convolution(x, constant, list(window_strides), list(before), list(after), [1, 1]).output(0)


def _dot(x: Node, y: Node, *, result: Any, dimension_numbers: Any, **_: Any) -> Node:
    (contracted, contracted_y), (batch, batch_y) = dimension_numbers
    ranks = len(x.shape), len(y.shape)
    if ranks == (4, 2) and isinstance(y, np.ndarray) and (contracted, contracted_y) == ((3,), (0,)):
        return _convolve(x, y[None, None])
    names = list(range(sum(ranks)))
    for axis, other in zip((*contracted, *batch), (*contracted_y, *batch_y), strict=True):
        names[ranks[0] + other] = axis
    first, second = names[: ranks[0]], names[ranks[0] :]
    shared = [first[axis] for axis in batch]
    left = [one for axis, one in enumerate(first) if axis not in (*contracted, *batch)]
    right = [one for axis, one in enumerate(second) if axis not in (*contracted_y, *batch_y)]
    sums = "->".join([",".join(map(_letters, (first, second))), _letters([*shared, *left, *right])])
    return _stored(ops.einsum([_plain(_constant(one), len(one.shape)) for one in (x, y)], sums).output(0), result.ndim)


def _letters(names: Sequence[int]) -> str:
    return "".join(chr(ord("a") + name) for name in names)


def _max_pool(x: Node, *, result: Any, window_dimensions: Any, window_strides: Any, padding: Any, **_: Any) -> Node:
    before, after = zip(*padding[1:3], strict=True)
    window, strides = list(window_dimensions[1:3]), list(window_strides[1:3])
    return ops.max_pool(x, strides, [1, 1], list(before), list(after), window).output(0)


def _iota(*, result: Any, dimension: int, **_: Any) -> np.ndarray:
    return np.broadcast_to(np.indices(result.shape, result.dtype, sparse=True)[dimension], result.shape)


def _repeat(x: np.ndarray, *, result: Any, broadcast_dimensions: tuple[int, ...], **_: Any) -> np.ndarray:
    shape = np.ones(result.ndim, int)
    shape[list(broadcast_dimensions)] = x.shape
    return np.broadcast_to(x.reshape(shape), result.shape)


_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "iota": _iota,
    "broadcast_in_dim": _repeat,
    "convert_element_type": lambda x, *, new_dtype, **_: x.astype(new_dtype, copy=False),
    "add": lambda x, y, **_: x + y,
    "ge": lambda x, y, **_: x >= y,
}
"""Operations on known arrays that masks and parameters need."""

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{"add": ops.add, "sub": ops.subtract, "mul": ops.multiply, "div": ops.divide, "rem": ops.mod},
    **{"max": _maximum, "min": ops.minimum, "and": ops.logical_and, "or": ops.logical_or},
    **{"lt": ops.less, "le": ops.less_equal, "eq": ops.equal, "ne": ops.not_equal},
    **{"abs": ops.abs, "neg": ops.negative, "sign": ops.sign, "exp": ops.exp, "logistic": ops.sigmoid},
    **{"cos": ops.cos, "sin": ops.sin, "square": lambda x: ops.multiply(x, x)},
    "rsqrt": lambda x: ops.divide(np.float32(1), ops.sqrt(x)),
    "erfc": lambda x: ops.subtract(np.float32(1), ops.erf(x)),
    "select_n": lambda which, no, yes: ops.select(which, yes, no),
}
"""Operations on equal shapes, which OpenVINO broadcasts."""

_OTHERS: dict[str, Callable[..., Any]] = {
    "convert_element_type": lambda x, *, new_dtype, **_: ops.convert(x, np.dtype(new_dtype)).output(0),
    "integer_pow": lambda x, *, y, **_: ops.power(x, np.float32(y)).output(0),
    "copy": lambda x, **_: x,
    "stop_gradient": lambda x, **_: x,
    "broadcast_in_dim": _broadcast,
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _reshape),
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "stack": _stack,
    "split": _split,
    "reduce_max": functools.partial(_reduce, ops.reduce_max),
    "reduce_sum": functools.partial(_reduce, ops.reduce_sum),
    "reduce_prod": functools.partial(_reduce, ops.reduce_prod),
    "reduce_and": functools.partial(_reduce, ops.reduce_logical_and),
    "conv_general_dilated": _convolve,
    "dot_general": _dot,
    "reduce_window_max": _max_pool,
}
