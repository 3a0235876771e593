"""A process of its own that indexes, and kills itself at a chosen moment as ``kill -9`` would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[3]


def run(images: Path, out: Path, weights: Path, *, files: int, where: str, **options: object) -> int:
    """Index until so many files are complete; then die half-way through the next one, or right after it.

    Args:
        images: to index.
        out: the gallery.
        weights: of the small network.
        files: complete before it dies.
        where: ``"half"`` or ``"after"``; or the name of a function of the job, to die when it is called.
        options: of ``index``.

    Returns:
        the exit status.
    """
    asked = {"images": str(images), "out": str(out), "weights": str(weights), "files": files, "where": where}
    return start(asked | {"options": options}).wait(timeout=300)


def start(asked: Mapping[str, object]) -> subprocess.Popen:
    """The process, at work."""
    command = [sys.executable, "-m", "tests.run.retrieval.killed", json.dumps(asked)]
    return subprocess.Popen(command, cwd=_ROOT, env=os.environ | {"PYTHONPATH": str(_ROOT)})


def _main(asked: dict[str, Any]) -> None:
    from tests.run import helpers

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with helpers.one_device():
        index_until(die, **asked)


def index_until(
    die: Callable[[], object], *, images: str, out: str, weights: str, files: int, where: str, options: dict[str, Any]
) -> None:
    """Index, and call ``die`` at the moment that ``run`` describes."""
    from jaxloc.run.retrieval import codebooks, index, whitening_store
    from tests.run.retrieval import small

    complete, replace = 0, os.replace

    def replacing(source: Path, target: Path) -> None:
        nonlocal complete
        if complete == files and where == "half":
            os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)
        complete += 1
        if complete == files + 1 and where == "after":
            die()

    places = {
        "codebook": (codebooks.CodebookFitter, "fit"),
        "whitening": (whitening_store, "apply"),
        "fitting": (whitening_store, "fit"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replacing)
        if where == "slowly":
            write_shard = index.Gallery.write_shard
            patch.setattr(
                index.Gallery, "write_shard", lambda *arguments: (time.sleep(0.2), write_shard(*arguments))[1]
            )
        if where in places:
            patch.setattr(*places[where], lambda *_, **__: die())
        index.index([images], out, small.index_options(Path(weights), **options))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
