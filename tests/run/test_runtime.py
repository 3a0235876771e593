"""Compiled programs kept for the next process, in a folder that is the user's own."""

import os
import subprocess
import sys

import jax
import pytest

from jaxloc.errors import UsageError
from jaxloc.run import runtime

PROGRAM = """
import jax, sys
from jaxloc.run.runtime import set_up
from jaxloc.run import runtime
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
with set_up(cache=None if sys.argv[1] == "default" else sys.argv[1]):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    print(float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((8, 8)))))
print(events.count("/jax/compilation_cache/cache_hits"))
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders are protected otherwise on this system")


@pytest.fixture(autouse=True)
def settings_kept():
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def hits(folder, cache: str | os.PathLike[str], *, jax_folder: str | os.PathLike[str] = "") -> int:
    """How many programs a process finds."""
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAXLOC_CACHE": str(folder), "XLA_FLAGS": ""}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(jax_folder)
    command = [sys.executable, "-c", PROGRAM, str(cache)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    total, found = done.stdout.split()
    assert float(total) == 512
    return int(found)


def test_a_second_process_finds_the_programs(tmp_path):
    assert hits(tmp_path, "default") == 0
    kept = {path: path.stat().st_size for path in (tmp_path / "xla").iterdir() if not path.name.endswith("-atime")}
    assert kept
    assert hits(tmp_path, "default") == len(kept)
    assert kept.keys() == {path for path in (tmp_path / "xla").iterdir() if not path.name.endswith("-atime")}
    assert not (tmp_path / "xla").stat().st_mode & 0o077


def test_a_folder_that_jax_was_told_of_takes_the_place_of_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "default"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    with runtime.set_up():
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    assert not (tmp_path / "default").exists()


@pytest.mark.soak  # the setting that decides it is tested above
def test_a_process_keeps_its_programs_in_the_folder_that_jax_was_told_of(tmp_path):
    assert hits(tmp_path / "default", "default", jax_folder=tmp_path / "own") == 0
    assert not (tmp_path / "default").exists()
    assert list((tmp_path / "own").iterdir())


def test_none_leaves_the_folder_of_programs_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    with runtime.set_up(cache="none"):
        assert jax.config.jax_compilation_cache_dir is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_none_keeps_no_programs(tmp_path):
    assert hits(tmp_path, "none") == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    message = (
        f"{folder}: others may write to this folder, and could so run code as you: make it yours alone with chmod 700, "
        "or name another one"
    )
    before = jax.config.jax_compilation_cache_dir
    with pytest.raises(UsageError) as caught:
        runtime.compile_cache(folder)
    assert str(caught.value) == message
    assert jax.config.jax_compilation_cache_dir == before


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    runtime.compile_cache(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert jax.config.jax_compilation_cache_dir == str(folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/xla: cannot hold compiled programs \(.+\): name another folder"):
        runtime.compile_cache(tmp_path / "file" / "xla")


def test_a_default_folder_that_cannot_be_used_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "file"))
    jax.config.update("jax_compilation_cache_dir", None)
    with runtime.set_up():
        pass
    with pytest.raises(UsageError, match="cannot hold compiled programs"), runtime.set_up(cache=tmp_path / "file"):
        pass
