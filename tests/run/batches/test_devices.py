"""One device or eight, full batches or not, enough memory or not: the same result."""

import math

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxloc.inference import Extractor, memory
from jaxloc.run import Options, steps
from jaxloc.run.steps import Steps
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small
from tests.sharding.test_collectives import COLLECTIVE
from tests.soaked import soaked

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 devices: XLA_FLAGS was set beforehand")


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """Eight images in two sets: four of one shape, four of another."""
    folder = tmp_path_factory.mktemp("more") / "images"
    for kind in ("cat", "coffee"):
        (folder / kind).mkdir(parents=True)
        for number in range(4):
            small.crop(kind, number).save(folder / kind / f"{number}.png")
    return folder


@pytest.fixture
def full_batches(monkeypatch):
    """Full batches and a shape for every size, even for so few images."""
    helpers.compile_full_batches(monkeypatch, compilation=0)


@pytest.mark.usefixtures("full_batches")
def test_any_number_of_devices_gives_the_same_bytes(more, weights, tmp_path):
    settings = {"batch": 2, "shard_size": 8, "report_limit": 3, **runs.SETTINGS["minority"]}
    found = {}
    for devices in (1, 8):
        out = tmp_path / str(devices) / "out"
        runs.run(more, out, weights, devices=devices, **settings)
        found[devices] = helpers.every_file(out)
    assert found[8] == found[1]


@pytest.mark.parametrize("kind", soaked(["ddt+", "scda"], ["scda"]))
def test_fewer_images_than_devices(images, weights, unbroken, tmp_path, kind):
    expected = unbroken(**runs.SETTINGS[kind])
    runs.run(images, tmp_path / "out", weights, devices=8, **runs.SETTINGS[kind])
    found = helpers.every_file(tmp_path / "out")
    if kind == "ddt+":  # moments across both layers, of which the sign alone counts, are rounded as each program has it
        arrays, others = (safetensors.numpy.load(files.pop("model.safetensors")) for files in (found, expected))
        for name in arrays.keys() | others.keys():
            tolerance = 1e-6 * np.abs(others[name]).max() if "+" in name else 0
            np.testing.assert_allclose(arrays[name], others[name], rtol=0, atol=tolerance, err_msg=name)
    assert found == expected


def test_more_devices_than_there_are_is_an_error(images, weights, tmp_path):
    number = jax.local_device_count()
    message = runs.complaint(images, tmp_path / "out", weights, devices=number + 1)
    assert message == f"{number + 1} devices asked for, and this host has {number}"


@pytest.fixture
def memory_for(monkeypatch):
    """Devices whose memory holds so many images a batch; returns the numbers that were tried."""
    run = Extractor._run
    tried = []

    def limit(images):
        def running(self, batch):
            tried.append(len(batch.indices) // self.devices)
            if tried[-1] > images:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
            return run(self, batch)

        monkeypatch.setattr(Extractor, "_run", running)
        return tried

    return limit


@pytest.mark.parametrize("devices", soaked([1, 8], [1]))
@pytest.mark.usefixtures("full_batches")
def test_a_batch_too_large_for_the_memory_is_halved_once(more, weights, tmp_path, memory_for, capsys, devices):
    settings = {"batch": 4, "shard_size": 8, "devices": devices}
    runs.run(more, tmp_path / "enough" / "out", weights, **settings)
    tried = memory_for(2)
    runs.run(more, tmp_path / "halved" / "out", weights, **settings)
    assert tried.count(4) == 1
    assert (
        "The device's memory is too small for this batch size; continuing with half of it." in capsys.readouterr().err
    )
    one, other = (helpers.boxes_of(tmp_path / name / "out") for name in ("enough", "halved"))
    assert one == other


@pytest.mark.parametrize(("batch", "enough_for", "expected"), [(4, 1, [4, 2]), (1, 0, [1])])
@pytest.mark.usefixtures("full_batches")
def test_half_a_batch_or_one_image_too_large_is_an_error(
    more, weights, tmp_path, memory_for, batch, enough_for, expected
):
    tried = memory_for(enough_for)
    assert runs.complaint(more, tmp_path / "out", weights, batch=batch, shard_size=8) == (
        "the device's memory is too small for images of 128×96 pixels: use a smaller --batch or a smaller "
        "--max-side, or take such images out"
    )
    assert tried == expected


def test_an_image_that_needs_more_memory_than_the_system_has_left_is_named(images, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    assert runs.complaint(images, tmp_path / "out", weights) == (
        "the device's memory is too small for images of 128×128 pixels: use a smaller --batch or a smaller "
        "--max-side, or take such images out"
    )
    monkeypatch.setattr(memory, "available", lambda: math.inf)
    assert runs.run(images, tmp_path / "out", weights).images


def test_another_failure_of_the_device_is_not_taken_for_too_little_memory(images, weights, tmp_path, monkeypatch):
    def failing(self, batch):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(Extractor, "_run", failing)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: something else"):
        runs.run(images, tmp_path / "out", weights)


def test_no_step_of_a_run_needs_a_collective(weights):
    made = Steps(Options(weights=weights, devices=8, method="ddt+"))
    images, sizes = np.zeros((8, 32, 48, 3), np.uint8), np.full((8, 2), 32, np.int32)
    program = made._programs.compile(made.params, images.shape)
    assert COLLECTIVE.findall(program.as_text()) == []
    maps = program(made.params, *made.put((images, sizes)))
    moments, _ = made.moments(maps, np.zeros(8, int))
    fitted = made.fit({layer: jax.tree.map(lambda x: x[0], values) for layer, values in moments.items()})
    models = made._stack([fitted.models] * 8)
    owners = made.put(np.zeros(8, np.int32))
    localize = steps._compiled_localize(made.method, made.layers, 8, made.backend, 0, (), None, made.mesh)
    programs = [
        (steps._compiled_moments(made.layers, 1, made.mesh), (maps, owners)),
        (steps._compiled_evidence("minority", (), made.layers, made.mesh), (models, maps)),
        (localize, (models, maps, made.put(sizes), None, None, None, None)),
    ]
    for step, arguments in programs:
        assert COLLECTIVE.findall(step.lower(*arguments).compile().as_text()) == []
