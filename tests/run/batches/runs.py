"""Small runs: images, options, and what is counted or compared of them."""

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaxloc import _interrupts
from jaxloc.errors import JaxlocError
from jaxloc.inference import Extractor
from jaxloc.report.records import Findings
from jaxloc.run import Options, colocalize
from tests.run.retrieval import small

CORRUPT = "cat/9_corrupt.png"
SETTINGS: dict[str, dict[str, Any]] = {
    "ddt": {},
    "ddt+": {"method": "ddt+"},
    "scda": {"method": "scda"},
    "minority": {"sign": "minority", "feature_cache": 0},
}
"""Runs that pass over their images in different ways."""


class Killed(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


def write_images(folder: Path) -> Path:
    """Six images in three sets, of two shapes, and one more that cannot be read."""
    small.write_images(folder, range(2), empty=False)
    (folder / CORRUPT).write_bytes((folder / "cat" / "0.png").read_bytes()[:5000])
    return folder


def options(weights: Path, **values: Any) -> Options:
    """Several shards, one device."""
    return Options(**({"weights": weights, "workers": 1, "devices": 1, "shard_size": 3} | values))


def run(images: Path, out: Path, weights: Path, *, overwrite: bool = False, **values: Any) -> Findings:
    """A run over all sub-folders of ``images``."""
    return colocalize([images], out, options(weights, **values), per_folder=True, overwrite=overwrite)


def complaint(*arguments: Any, **values: Any) -> str:
    """The one line that a run fails with."""
    with pytest.raises(JaxlocError) as caught:
        run(*arguments, **values)
    message = str(caught.value)
    assert "\n" not in message
    return message


@contextlib.contextmanager
def counted() -> Iterator[Counter[int]]:
    """How often the network saw each image, by number."""
    seen: Counter[int] = Counter()
    features = Extractor.features

    def counting(engine, batch):
        seen.update(index for index in batch.indices.tolist() if index >= 0)
        return features(engine, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Extractor, "features", counting)
        yield seen


def stopped(at_batch: int, *arguments: Any, number: int = signal.SIGTERM, **values: Any) -> bool:
    """Run, and signal this process while its network works on a batch (the first is 1); whether that stopped it."""
    batches = 0
    features = Extractor.features

    def signalling(engine, batch):
        nonlocal batches
        batches += 1
        if batches == at_batch:
            signal.raise_signal(number)
        return features(engine, batch)

    with pytest.MonkeyPatch.context() as patch, _interrupts.stoppable(lambda stopped: None):
        patch.setattr(Extractor, "features", signalling)
        try:
            run(*arguments, **values)
        except _interrupts.Stopped as stopped:
            return stopped.number == number
    return False
