"""Both backends against a flood fill, under every transformation that users apply."""

import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from skimage.measure import label as skimage_label

from jaxloc import components
from tests.compiled import compiled, jitted
from tests.reference import scda_ddt as reference

components = compiled(components, eager=("label_stack", "largest_stack"))

BACKENDS = ("host", "device")


@jitted
def labels_and_largest(mask, connectivity, backend):
    label, largest = components.eager.label, components.eager.largest_component
    return tuple(f(mask, connectivity=connectivity, backend=backend) for f in (label, largest))


def spiral(side: int) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    y, x, dy, dx = 0, 0, 0, 1
    mask[0, 0] = True
    turns = 0
    while turns < 2:
        ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
        inside = 0 <= ahead[0] < side and 0 <= ahead[1] < side
        open_beyond = not (0 <= beyond[0] < side and 0 <= beyond[1] < side) or not mask[beyond]
        if inside and open_beyond and not mask[ahead]:
            y, x = ahead
            mask[y, x] = True
            turns = 0
        else:
            dy, dx = dx, -dy
            turns += 1
    return mask


def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (21, 31)
    curled, tie, padded = np.zeros((3, *shape), bool)
    curled[:, 10:] = spiral(21)
    tie[1:3, 1:3] = tie[4:6, 5:7] = True
    padded[:9, :11] = rng.random((9, 11)) < 0.5
    return {
        "sparse": rng.random(shape) < 0.2,
        "half": rng.random(shape) < 0.5,
        "dense": rng.random(shape) < 0.8,
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
        "checkerboard": np.indices(shape).sum(0) % 2 == 0,
        "spiral": curled,
        "tie": tie,
        "padded": padded,
    }


def thin_masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"one cell": np.ones((1, 1), bool), "row": rng.random((1, 17)) < 0.6, "column": rng.random((17, 1)) < 0.6}


def assert_equals_a_flood_fill(mask, connectivity, backend):
    label, largest = labels_and_largest(mask, connectivity, backend)
    expected = reference.components(mask, connectivity)
    np.testing.assert_array_equal(label, expected)
    np.testing.assert_array_equal(largest, reference.largest(mask, connectivity))
    np.testing.assert_array_equal(expected, skimage_label(mask, connectivity=2 if connectivity == 8 else 1))


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("connectivity", [8, 4])
def test_equals_a_flood_fill(name, backend, connectivity):
    assert_equals_a_flood_fill(masks()[name], connectivity, backend)


@pytest.mark.parametrize("name", thin_masks())
@pytest.mark.parametrize("backend", BACKENDS)
def test_thin_masks_equal_a_flood_fill(name, backend):
    assert_equals_a_flood_fill(thin_masks()[name], 4 if name == "column" else 8, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_go_to_the_first_in_raster_order(backend):
    found = labels_and_largest(masks()["tie"], 8, backend)[1]
    assert found[1, 1]
    assert not found[4, 5]


@pytest.mark.parametrize("backend", BACKENDS)
def test_vmap_changes_nothing(backend):
    rng = np.random.default_rng(1)
    stack = rng.random((9, 13, 17)) < rng.random((9, 1, 1))
    label, largest = jitted(jax.vmap(lambda mask: labels_and_largest(mask, 8, backend)))(stack)
    np.testing.assert_array_equal(label, np.stack([reference.components(mask) for mask in stack]))
    np.testing.assert_array_equal(largest, np.stack([reference.largest(mask) for mask in stack]))


@pytest.fixture
def on_host(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of the stacks that cross to the host."""
    shapes = []
    largest_stack = components.eager.largest_stack
    monkeypatch.setattr(components.eager, "largest_stack", lambda m, c: shapes.append(m.shape) or largest_stack(m, c))
    return shapes


def test_vmap_crosses_to_the_host_once(on_host):
    stack = np.random.default_rng(0).random((50, 8, 8)) < 0.5
    jitted(jax.vmap(lambda mask: components.eager.largest_component(mask, backend="host")))(stack)
    assert on_host == [(50, 8, 8)]


def test_by_default_the_host_labels_on_the_cpu(on_host):
    mask = masks()["half"]
    found = jitted(lambda mask: components.eager.largest_component(mask))(mask)
    np.testing.assert_array_equal(found, reference.largest(mask))
    assert on_host == [(1, *mask.shape)]


def test_by_default_explicit_axes_of_one_device_work_too():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:1])
    stack = np.random.default_rng(0).random((3, 8, 8)) < 0.5
    divided = jax.device_put(stack, NamedSharding(mesh, PartitionSpec("data")))
    found = jax.jit(jax.vmap(components.eager.largest_component))(divided)
    np.testing.assert_array_equal(found, np.stack([reference.largest(mask) for mask in stack]))


def test_nested_vmap():
    stack = np.random.default_rng(0).random((3, 4, 8, 9)) < 0.5
    found = jitted(jax.vmap(jax.vmap(components.label)))(stack)
    np.testing.assert_array_equal(found[2, 3], reference.components(stack[2, 3]))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sharded_over_two_devices(backend):
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    stack = np.random.default_rng(2).random((8, 14, 14)) < 0.5
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    spec = PartitionSpec("data")
    function = jax.vmap(lambda mask: components.largest_component(mask, backend=backend))
    sharded = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    np.testing.assert_array_equal(sharded(stack), np.stack([reference.largest(mask) for mask in stack]))


ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, numpy as np
from jaxloc import components
step = jax.jit(lambda stack: jax.vmap(components.largest_component)(stack).sum())
print(int(step(np.random.default_rng(0).random((4000, 28, 28)) < 0.5)))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="no processor affinity on this system")
def test_no_deadlock_on_one_core():
    environment = {key: value for key, value in __import__("os").environ.items() if key != "NPROC"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_CORE], capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    assert int(done.stdout) > 0


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    def test_same_in_every_variant(self):
        mask = masks()["half"]
        found = self.variant(lambda m: components.eager.largest_component(m, backend="device"))(mask)
        np.testing.assert_array_equal(found, reference.largest(mask))


@pytest.mark.parametrize("function", [components.label, components.largest_component])
def test_wrong_arguments_say_what_is_wrong(function):
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\).*jax\.vmap"):
        function(np.ones((2, 3, 4), bool))
    with pytest.raises(ValueError, match="bool"):
        function(np.ones((3, 4)))
    with pytest.raises(ValueError, match="connectivity must be one of 8, 4"):
        function(np.ones((3, 4), bool), connectivity=6)
    with pytest.raises(ValueError, match="'host', 'device'"):
        function(np.ones((3, 4), bool), backend="gpu")
