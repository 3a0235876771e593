"""What memory the system has left."""

import math
import sys
from pathlib import Path

import pytest

from jaxloc.inference import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells it")
def test_memory_that_is_left_is_less_than_there_is():
    total = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert 1 << 20 < memory.available() < 1024 * total


def test_a_container_has_its_own_limit(monkeypatch):
    files = {
        "/proc/meminfo": "MemAvailable:    9000 kB\nSwapFree: 1000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000\n",
        "/sys/fs/cgroup/memory.current": "2000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 7\ninactive_file 300000\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path: files[str(path)])
    assert memory.available() == 3_300_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.available() == 1024 * 10_000


def test_where_the_system_does_not_tell_nothing_is_known(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert memory.available() == math.inf
