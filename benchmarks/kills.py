"""Kill ``jaxloc colocalize`` at random moments, start it again each time, and compare the files with an unbroken run's.

    python benchmarks/kills.py PHOTOS [--kills 5] [--hosts 1] [--seed 0] [options of jaxloc colocalize]

With ``--hosts 2`` the run is one of two processes with four virtual devices each, and one of them is killed; both are
started again. The unbroken run is one process. All get the same number of threads (``NPROC``, 8 if it is not set), on
which the order of sums in a matrix product depends.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from jaxloc.cli import main; main()", "colocalize"]


def main() -> None:
    """Run unbroken, run broken, compare every file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments, options = parser.parse_known_args()
    os.environ.setdefault("NPROC", "8")
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch, "whole"), Path(scratch, "broken")
        command = [*COMMAND, str(arguments.photos), *options]
        start = time.perf_counter()
        finish(begin([*command, "--out", str(whole)], 1))
        seconds = time.perf_counter() - start
        print(f"unbroken: {seconds:.1f} s", flush=True)
        for kill in range(arguments.kills):
            wait = generator.uniform(0.1, 0.9) * seconds / (1 if arguments.hosts > 1 else 2)
            processes = begin([*command, "--out", str(broken)], arguments.hosts)
            time.sleep(wait)
            victim = generator.randrange(arguments.hosts)
            ended = processes[victim].poll() is not None
            processes[victim].send_signal(signal.SIGKILL)
            codes = [process.wait() for process in processes]
            parts = sorted(path.name for path in (broken / "parts").glob("*")) if broken.exists() else []
            told = "had ended before" if ended else f"kill -9 of process {victim}"
            print(f"{kill + 1}: {told} after {wait:.1f} s, exit codes {codes}, {len(parts)} part files", flush=True)
        finish(begin([*command, "--out", str(broken)], arguments.hosts))
        names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
        others = sorted(path.relative_to(broken) for path in broken.rglob("*") if path.is_file())
        same = sum((whole / name).read_bytes() == (broken / name).read_bytes() for name in names if name in others)
        print(f"files: {same} of {len(names)} the same bytes, {len(set(others) - set(names))} more")
        if same != len(names) or names != others:
            raise SystemExit(1)


def begin(command: list[str], hosts: int) -> list[subprocess.Popen]:
    """Start one process for each host."""
    if hosts == 1:
        return [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    shared = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": str(hosts),
    }
    return [
        subprocess.Popen(
            [*command, "--distributed"],
            env={**os.environ, **shared, "JAX_PROCESS_ID": str(host)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for host in range(hosts)
    ]


def finish(processes: list[subprocess.Popen]) -> None:
    """Wait for all; raise if one failed."""
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"a run failed: exit codes {codes}")


if __name__ == "__main__":
    main()
