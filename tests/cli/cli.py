"""The command run in this process or in one of its own."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from jaxloc.cli import app


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; returns its exit status, stdout and stderr."""
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def help_of(*command: str) -> str:
    """The help of a command with all of its options."""
    status, out, err = invoke(*command, "--help")
    assert (status, err) == (0, "")
    if "More options: --help-all" in out:
        status, out, err = invoke(*command, "--help-all")
        assert (status, err) == (0, "")
        assert "More options" not in out
    return out


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    """Run the command as a process of its own, with one device, which knows the small network."""
    program = "import tests.run.retrieval.small; from jaxloc.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"XLA_FLAGS": "", "PYTHONPATH": str(Path(__file__).parents[2])} | environment,
    )


def one_line(stderr: str | bytes) -> str:
    """The only line of stderr, which must be the command's own."""
    text = stderr if isinstance(stderr, str) else stderr.decode()
    (line,) = text.splitlines()
    assert line.startswith("jaxloc: ")
    return line


def spelt(value: object) -> str:
    """A parameter as it stands on the command line."""
    return " ".join(value) if isinstance(value, list) else str(value)
