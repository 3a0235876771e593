"""Two processes as two hosts, with four virtual devices each: one run, and a clear end where one of them is gone."""

import os
import re
import shutil
import signal
import socket

import pytest

from tests.run import helpers
from tests.run.batches import commanded, runs

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="no POSIX signals on this system"), pytest.mark.timeout(300)]

DEVICES = 4


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def start_both(commands, programs, **moment):
    """Both hosts, at work; the second gets the signal."""
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    shared = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={DEVICES}".strip(),
    }
    return [
        commanded.start(
            *command,
            "--distributed",
            environment=programs | shared | {"JAX_PROCESS_ID": str(host)},
            **(moment if host else {}),
        )
        for host, command in enumerate(commands)
    ]


def finish_both(processes):
    try:
        return [commanded.finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture
def command(weights, tmp_path):
    def ask(images):
        asked = ["--per-folder", "--shard-size", 3, "--workers", 1, "--weights", weights]
        return ["colocalize", images, "--out", tmp_path / "out", *asked]

    return ask


@pytest.mark.soak
def test_two_hosts_end_with_the_bytes_of_one_process(unbroken, images, command, programs, tmp_path):
    expected = unbroken()
    both = finish_both(start_both([command(images)] * 2, programs))
    assert [status for status, _ in both] == [0, 0], both
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.parametrize("hosts", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_host_that_is_killed_ends_the_other_and_a_restart_goes_on(
    unbroken, images, weights, command, programs, tmp_path, hosts
):
    expected = unbroken()
    moment = {"file": "found-00001.parquet", "where": "half"}
    first, second = finish_both(start_both([command(images)] * 2, programs, **moment))
    assert second[0] == -signal.SIGKILL
    assert first[0] == 2
    assert (
        "jaxloc: another host of this run has stopped, so this one stops too: see what the other printed, and start "
        "the same command on every host again; finished shards are kept"
    ) in first[1].splitlines()
    assert (tmp_path / "out" / "parts" / "fitted-00000.safetensors").exists()
    if hosts == 1:
        runs.run(images, tmp_path / "out", weights)
    else:
        both = finish_both(start_both([command(images)] * 2, programs))
        assert [status for status, _ in both] == [0, 0], both
    assert helpers.every_file(tmp_path / "out") == expected


@pytest.mark.soak
def test_hosts_that_see_different_images_are_refused(images, command, programs, tmp_path):
    fewer = tmp_path / "fewer"
    shutil.copytree(images, fewer)
    (fewer / "cat" / "0.png").unlink()
    both = finish_both(start_both([command(images), command(fewer)], programs))
    for status, err in both:
        assert status == 2
        assert re.search(r"^jaxloc: .*(every host must see the same|holds a run on other) images", err, re.M), err


@pytest.mark.soak
def test_hosts_that_disagree_drop_nothing_of_the_run_before(unbroken, images, command, programs, tmp_path):
    for name, data in unbroken().items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    both = [[*command(images), "--overwrite", *("--sign", sign)] for sign in ("aggregation", "none")]
    for status, err in finish_both(start_both(both, programs)):
        assert status == 2
        assert re.search(r"^jaxloc: host 1 has images or options that is not host 0's", err, re.M), err
    assert helpers.every_file(tmp_path / "out") == unbroken()
