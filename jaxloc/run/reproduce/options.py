"""What a reproduction can be told; everything else is the paper's."""

import dataclasses
from typing import Any, Literal

from jaxloc.errors import UsageError

METHODS = ("ddt", "scda")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """Options of ``reproduce``.

    Attributes:
        weights: a name or a file; ``None`` is the paper's network.
        methods: rows of the DDT paper's tables, ``"ddt"``, ``"scda"`` or both; each is a job of its own.
        limit: only the first so many images of each class, for a try; ``None`` takes all.
        samples: bootstrap draws for intervals; 0 means none.
        seed: of the draws and of codebooks.
        overwrite: start over where ``out`` holds something.
        batch: as for any job, as are the following.
        devices: see ``jaxloc.run.options.Reading``.
        workers: likewise.
        dtype: likewise.
        conv: likewise.
        feature_cache: likewise.
        allow_download: likewise.

    Raises:
        UsageError: a value that makes no sense.
    """

    weights: str | None = None
    methods: tuple[str, ...] = ("ddt",)
    limit: int | None = None
    samples: int = 1000
    seed: int = 0
    overwrite: bool = False
    batch: int | None = None
    devices: int | None = None
    workers: int | None = None
    dtype: str = "float32"
    conv: Literal["auto", "direct", "winograd", "winograd2x2"] = "auto"
    feature_cache: int = 4 << 30
    allow_download: bool | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 2:
            raise UsageError(f"--limit must leave at least 2 images of a class, not {self.limit}")
        if self.samples < 0 or self.seed < 0:
            raise UsageError("bootstrap draws and their seed must be whole numbers from 0")
        wrong = [name for name in self.methods if name not in METHODS]
        if wrong or not self.methods or len(set(self.methods)) < len(self.methods):
            raise UsageError(f"methods must be one or both of {', '.join(METHODS)}, not {', '.join(self.methods)}")

    def reading(self, weights: str) -> dict[str, Any]:
        """The options that every job has, with these weights."""
        names = ("batch", "devices", "workers", "dtype", "conv", "feature_cache", "allow_download")
        return {"weights": weights} | {name: getattr(self, name) for name in names}

    def fingerprint(self) -> dict[str, Any]:
        """What the numbers depend on, as plain values."""
        names = ("weights", "methods", "limit", "samples", "seed", "dtype")
        return {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}
