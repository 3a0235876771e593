"""Public functions in the modes of JAX that a program may run in; they are traced, which compiles nothing."""

import functools

import jax
import jax.export
import numpy as np
import pytest

from jaxloc import encoding
from jaxloc._jit import standard_promotion
from jaxloc.graphs import Graph
from jaxloc.localizers import METHODS, Inputs
from tests.sharding.cases import CASES, Element
from tests.soaked import soaked

DOUBLE = {"float32": "float64", "int32": "int64"}
WHOLE = {"float32": "int64", "int32": "int64"}
KEEP_THE_TYPE = {"eiss.erase", "grids.flip_columns", "grids.upsample_nearest"}

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


@functools.cache
def arguments(name):
    """Shapes and types of a case's arguments."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), CASES[name].arguments(Element(0)))


def result(name, dtypes=None):
    """Shapes and types of a case's result, its arguments converted; what a fit gave is never of whole numbers."""

    def convert(argument):
        if dtypes is WHOLE and isinstance(argument, tuple) and not isinstance(argument, Graph):
            return argument
        return jax.tree.map(lambda x: x.update(dtype=(dtypes or {}).get(str(x.dtype), x.dtype)), argument)

    found = jax.eval_shape(CASES[name].function, *map(convert, arguments(name)))
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found)


documented = functools.cache(result)


@pytest.mark.parametrize("given", soaked(["32 bits", "64 bits"], ["64 bits"]))  # those of 32 bits: in strict modes
@pytest.mark.parametrize("name", soaked(CASES, CASES.keys() - {"svm.fit"}))
def test_results_are_of_the_documented_types_in_64_bits(name, given):
    for dtypes in ({},) if given == "32 bits" else (DOUBLE, WHOLE) if name not in KEEP_THE_TYPE else ():
        expected = documented(name)
        with enable_x64(True), standard_promotion():
            assert result(name, dtypes) == expected, dtypes


METHODS_AND_DESCRIPTORS = {"beam", "cam", "components", "crow", "ddt", "eiss", "encoding", "localization", "parts"}
METHODS_AND_DESCRIPTORS |= {"bilinear", "maskcnn", "piecewise", "pooling", "rmac", "scda", "spoc"}
LABEL_COMPONENTS = ("components.", "maskcnn.part_boxes", "localization.", ".localize", ".object_mask")
EXPORTED = [name for name in CASES if name.split(".")[0] in METHODS_AND_DESCRIPTORS]
WHOLE_METHODS = (".descriptor", ".fuse", ".fisher_vector", ".localize", ".of_peak", ".part_boxes", ".regions", ".vlad")
"""Functions that hold most of the others."""
HELD = {name for name in EXPORTED if not name.endswith((*WHOLE_METHODS, ".search"))}


@pytest.mark.parametrize("x64", soaked([False, True], [True]))  # every test is in these modes with 32 bits
@pytest.mark.parametrize("name", soaked(CASES, CASES.keys() - HELD))
def test_nothing_is_promoted_in_the_strict_modes(name, x64):
    expected = documented(name)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), enable_x64(x64):
        assert result(name) == expected


def exported(function, arguments, platforms):
    """Of any number of images; nothing is compiled."""
    (batch,) = jax.export.symbolic_shape("batch")
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((batch, *x.shape), x.dtype), arguments)
    return jax.export.export(jax.jit(jax.vmap(function)), platforms=platforms)(*shapes)


@pytest.mark.parametrize("name", soaked(EXPORTED, [name for name in EXPORTED if name.endswith(WHOLE_METHODS)]))
def test_methods_and_descriptors_are_exported_for_accelerators_by_a_process_on_a_cpu(name):
    case = CASES[name]
    platforms = ("cuda", "tpu") if any(part in name for part in LABEL_COMPONENTS) else ("cpu", "cuda", "tpu")
    assert exported(case.function, case.arguments(Element(0)), platforms).platforms == platforms


@pytest.mark.parametrize("name", ["ddt", "ddt+", "ddt-spread", "scda"])
def test_with_components_labelled_on_the_device_methods_are_exported_for_every_platform(name):
    e = Element(0)
    layers = 1 + METHODS[name].layers_below
    inputs = Inputs(((e.features(), e.size()),) * layers, e.image_size())
    localize = functools.partial(METHODS[name].localize, connectivity=8, backend="device")
    exported(localize, ((e.model(),) * layers, inputs), ("cpu", "cuda", "tpu"))


def test_arrays_of_other_libraries_are_taken():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.eye(3, dtype=np.float32)

    np.testing.assert_array_equal(encoding.signed_sqrt(Tensor()), np.eye(3))
