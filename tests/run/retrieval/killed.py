"""A process of its own that indexes, and kills itself at a chosen moment as ``kill -9`` would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    asked = {"pictures": str(images), "out": str(out), "weights": str(weights), "files": files, "where": where}
    return start(asked | {"options": options}).wait(timeout=300)


def start(asked: Mapping[str, object]) -> subprocess.Popen:
    """The process, at work."""
    command = [sys.executable, "-m", "tests.run.retrieval.killed", json.dumps(asked)]
    return subprocess.Popen(command, cwd=_ROOT, env=os.environ | {"PYTHONPATH": str(_ROOT)})


def _main(asked: dict[str, Any]) -> None:
    from jaxloc.run.retrieval import codebooks, index, whitening_store
    from tests.run import helpers
    from tests.run.retrieval import small

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    complete, replace = 0, os.replace

    def replacing(source: Path, target: Path) -> None:
        nonlocal complete
        if complete == asked["files"] and asked["where"] == "half":
            os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)
        complete += 1
        if complete == asked["files"] + 1 and asked["where"] == "after":
            die()

    os.replace = replacing  # type: ignore[assignment]
    if asked["where"] == "slowly":
        write_shard = index.Gallery.write_shard
        index.Gallery.write_shard = lambda *arguments: (time.sleep(0.2), write_shard(*arguments))[1]
    places = {
        "codebook": (codebooks.CodebookFitter, "fit"),
        "whitening": (whitening_store, "apply"),
        "fitting": (whitening_store, "fit"),
    }
    if asked["where"] in places:
        setattr(*places[asked["where"]], die)
    with helpers.one_device():
        options = small.index_options(Path(asked["weights"]), **asked["options"])
        index.index([asked["pictures"]], asked["out"], options)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
