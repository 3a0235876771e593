"""How the hosts of a run find one another: from a cluster's own variables, or from those that a person sets."""

import os
import re
import socket
import subprocess
import sys

import jax
import pytest

from jaxloc.errors import UsageError
from jaxloc.run import distributed, runtime
from tests.run import helpers
from tests.run.batches import commanded

DEVICES = 4
FIRST_PORT, PORTS = 61440, 4096
"""JAX takes one of these for the first process, by the number of the cluster's job."""


def job_number() -> int:
    """A job whose port is free."""
    for number in range(PORTS):
        with socket.socket() as one:
            if one.connect_ex(("localhost", FIRST_PORT + number)):
                return number
    raise OSError("no port is free")


def slurm(number: int, process: int) -> dict[str, str]:
    """What ``srun --ntasks=2`` sets on one machine."""
    shared = {"SLURM_JOB_ID": str(number), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    return shared | {"SLURM_PROCID": str(process), "SLURM_LOCALID": str(process)}


def open_mpi(number: int, process: int) -> dict[str, str]:
    """What ``mpirun -n 2`` of Open MPI 4 sets on one machine."""
    shared = {"OMPI_MCA_orte_hnp_uri": f"{number << 12}.0;tcp://127.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "2"}
    return shared | {"OMPI_COMM_WORLD_RANK": str(process), "OMPI_COMM_WORLD_LOCAL_RANK": str(process)}


def joining(program: str, environment: dict[str, str]) -> subprocess.Popen:
    """A process at work on a program in which it joins others."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.soak
def test_two_processes_of_slurm_end_with_the_bytes_of_one(unbroken, weights, images, programs, tmp_path):
    expected = unbroken()
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    devices = {"XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={DEVICES}".strip()}
    asked = ["--per-folder", "--shard-size", 3, "--workers", 1, "--weights", weights, "--distributed"]
    number = job_number()
    both = [
        commanded.start(
            "colocalize",
            images,
            "--out",
            tmp_path / "out",
            *asked,
            environment=programs | devices | slurm(number, process),
        )
        for process in range(2)
    ]
    ends = [commanded.finish(process) for process in both]
    assert [status for status, _ in ends] == [0, 0], ends
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.soak
def test_two_processes_of_open_mpi_find_one_another():
    say = "import sys; from jaxloc.run import distributed as d; d.join(); sys.exit(10 * d.count() + d.index())"
    number = job_number()
    both = [joining(say, open_mpi(number, process)) for process in range(2)]
    assert [commanded.finish(process)[0] for process in both] == [20, 21]


@pytest.mark.soak
def test_a_process_that_waits_for_the_others_says_so():
    say = "from jaxloc.run import distributed; distributed._PATIENCE = 0.1; distributed.join()"
    process = joining(say, slurm(job_number(), 0))
    try:
        assert process.stderr.readline().startswith("waiting for the other hosts: start the same command on each of ")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@pytest.mark.soak
def test_a_process_of_no_cluster_is_told_what_to_set(images, weights, tmp_path):
    process = commanded.start("colocalize", images, "--out", tmp_path / "out", "--weights", weights, "--distributed")
    status, err = commanded.finish(process)
    assert status == 2
    assert re.fullmatch(
        r"jaxloc: the hosts could not be joined \(.+\): on a cluster JAX knows, start the same command on every host "
        r"with --distributed; elsewhere set JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and JAX_PROCESS_ID "
        r"as well\n",
        err,
    ), err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variable", ["JAX_NUM_PROCESSES", "JAX_PROCESS_ID"])
@pytest.mark.parametrize("value", ["two", "", "-1", "1.5"])
def test_a_variable_that_is_no_number_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"^{variable}={value}: not a whole number: set it to one, or unset it"):
        distributed.join()


@pytest.mark.parametrize("address", ["first", "first:", "first:port", ":1234"])
def test_an_address_without_a_port_is_named(monkeypatch, address):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", address)
    with pytest.raises(UsageError, match=f"^JAX_COORDINATOR_ADDRESS={address}: is not HOST:PORT of the first process$"):
        distributed.join()


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_a_port_that_no_host_has_is_named_at_once(monkeypatch, port):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", f"localhost:{port}")
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: pytest.fail("the hosts were waited for"))
    with pytest.raises(
        UsageError,
        match=f"^JAX_COORDINATOR_ADDRESS=localhost:{port}: no host has such a port: name one from 1 to 65535 ",
    ):
        distributed.join()


def test_a_variable_that_the_cluster_did_not_set_is_named(monkeypatch):
    def initialize(**options: object) -> None:
        raise KeyError("OMPI_COMM_WORLD_SIZE")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(UsageError, match=r"^the hosts could not be joined \(OMPI_COMM_WORLD_SIZE is not set\): "):
        distributed.join()


@pytest.mark.parametrize(
    ("variables", "several"),
    [
        ({}, False),
        ({"JAX_COORDINATOR_ADDRESS": "first:1234"}, False),
        ({"JAX_NUM_PROCESSES": "2"}, False),
        ({"JAX_COORDINATOR_ADDRESS": "first:1234", "JAX_NUM_PROCESSES": "1"}, False),
        ({"JAX_COORDINATOR_ADDRESS": "first:1234", "JAX_NUM_PROCESSES": "2"}, True),
    ],
    ids=str,
)
def test_the_variables_alone_make_a_process_one_of_several(monkeypatch, variables, several):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    joined = []
    monkeypatch.setattr(distributed, "join", lambda: joined.append(True))
    for asked in (False, None):
        with runtime.set_up(distributed=asked, cache="none"):
            pass
        assert joined == [True] * several, "work of one process never joins"
