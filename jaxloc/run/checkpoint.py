"""The checkpoint of a run: its manifest and a file for each finished shard, so that a stopped run resumes.

A resumed run ends with the bytes of an uninterrupted one.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxloc._files import HALVES, write_text
from jaxloc.data import Buckets
from jaxloc.data.sources import bytes_of
from jaxloc.errors import UsageError
from jaxloc.run.outputs import PARTS, drop_halves
from jaxloc.run.plan import Images, Window, buckets_from_json, buckets_to_json

_FORMAT = "jaxloc-run-1"
_HOLDS = {"settings", "pictures", "step", "padding", "shapes"}
_COUNTED = 100_000
"""Number of images up to which a run notices that an image's size in bytes has changed."""


class Checkpoint:
    """The folder of a run's manifest and shard files.

    Args:
        out: the folder of the results.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / PARTS
        self._manifest_path = self.folder / "_run.json"

    def moments(self, shard: int) -> Path:
        """The moments of a shard."""
        return self.folder / f"moments-{shard:05d}.safetensors"

    def fitted(self, window: int) -> Path:
        """The fits of a window's sets."""
        return self.folder / f"fitted-{window:05d}.safetensors"

    def unsigned(self, window: int) -> Path:
        """The fits of a window's sets, before a further pass decides the signs."""
        return self.folder / f"unsigned-{window:05d}.safetensors"

    def counts(self, shard: int) -> Path:
        """Positive cells of a shard's sets."""
        return self.folder / f"counts-{shard:05d}.safetensors"

    def found(self, shard: int) -> Path:
        """The findings of a shard."""
        return self.folder / f"found-{shard:05d}.parquet"

    def begun(self, windows: Iterable[Window]) -> int:
        """Number of images in shards with at least one checkpoint file."""
        there = set(self._all())  # one listing: looking at each file takes long in a remote folder
        images = 0
        for window in windows:
            fitted = not there.isdisjoint((self.fitted(window.number), self.unsigned(window.number)))
            for shard in window.shards:
                files = [of(shard.number) for of in (self.moments, self.counts, self.found)]
                if fitted or not there.isdisjoint(files):
                    images += len(shard.images)
        return images

    def manifest(self) -> dict[str, Any] | None:
        """What the run in this folder depends on; ``None`` if there is none.

        Raises:
            UsageError: it is damaged.
        """
        try:
            kept = json.loads(self._manifest_path.read_text(encoding="utf-8"))
            if kept["format"] != _FORMAT:
                raise ValueError(f"of format {kept['format']}")
            if missing := _HOLDS - kept.keys():
                raise ValueError(f"without {', '.join(sorted(missing))}")
            buckets_from_json(kept)
            if not isinstance(kept["settings"], dict) or not isinstance(kept["pictures"]["number"], int):
                raise ValueError("settings or images are not what a run writes")
            return kept
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._manifest_path}: not a run's manifest ({error}): start over with --overwrite"
            ) from error

    def begin(
        self, settings: Mapping[str, str], images: Mapping[str, Any], buckets: Buckets, *, overwrites: bool = False
    ) -> None:
        """Write the manifest of a new run, and drop the files of any run before it."""
        self._drop(self._all())
        manifest = {"format": _FORMAT, "settings": dict(settings), "pictures": images} | buckets_to_json(buckets)
        self._write(manifest | ({"overwrites": True} if overwrites else {}))

    def resumes(self, settings: Mapping[str, str], images: Mapping[str, Any]) -> bool:
        """Whether this unfinished run was begun here with ``overwrites``, so that it resumes."""
        try:
            manifest = self.manifest() or {}
        except UsageError:
            return False
        same = manifest.get("settings") == dict(settings) and manifest.get("pictures") == dict(images)
        return same and bool(manifest.get("overwrites"))

    def finish(self, warnings: list[str]) -> None:
        """Note that all results are written, and drop the files that only an unfinished run needs."""
        manifest = self.manifest() or {}
        manifest.pop("overwrites", None)
        self._write(manifest | {"warnings": warnings, "finished": True})
        self.drop_spent()

    def clear(self) -> None:
        """Drop the run's own files; the manifest last, because files without one would be taken for the next run's."""
        self._drop(self._all(), self.folder.glob(HALVES), [self._manifest_path])
        with contextlib.suppress(OSError):  # it holds other files, or does not exist
            self.folder.rmdir()

    def clean(self) -> None:
        """Drop files that a kill left half written."""
        drop_halves(self.folder.parent)

    def drop_spent(self) -> None:
        """Drop the files that only an unfinished run needs."""
        self._drop(path for path in self._all() if not path.name.startswith("found-"))

    def _drop(self, *paths: Iterable[Path]) -> None:
        for path in itertools.chain(*map(list, paths)):
            path.unlink(missing_ok=True)

    def _all(self) -> Iterator[Path]:
        for kind in ("moments", "fitted", "unsigned", "counts", "found"):
            for suffix in ("safetensors", "parquet"):
                yield from self.folder.glob(f"{kind}-[0-9]*.{suffix}")

    def _write(self, manifest: dict[str, Any]) -> None:
        write_text(self._manifest_path, json.dumps(manifest, indent=1) + "\n")


def describe_images(images: Images) -> dict[str, Any]:
    """Number of images, and a digest of their names, sets and (of at most 100,000 images) sizes in bytes."""
    digest = hashlib.sha256()
    counted = len(images) <= _COUNTED
    for some in images.sets:
        digest.update(f"{some.name}\0{len(some.sources)}\0".encode())
        for source in some.sources:
            digest.update(f"{source.name}\0{bytes_of(source.path) if counted else ''}\n".encode())
    return {"number": len(images), "digest": digest.hexdigest()}


def check_same(manifest: Mapping[str, Any], settings: Mapping[str, str], images: Mapping[str, Any], out: Path) -> None:
    """Raise ``UsageError`` naming the differences unless a manifest is that of this run."""
    cure = "use the same, choose another --out, or start over with --overwrite"
    made = manifest["settings"]
    for name in [*made, *(name for name in settings if name not in made)]:
        if made.get(name) != settings.get(name):
            raise UsageError(
                f"{out}: holds a run with {name} {made.get(name, 'unset')}, and {settings.get(name, 'unset')} is asked "
                f"for: {cure}"
            )
    if dict(manifest["pictures"]) != dict(images):
        number = manifest["pictures"]["number"]
        raise UsageError(
            f"{out}: holds a run on other images ({number:,} then, {images['number']:,} now, or some have "
            f"changed): {cure}"
        )


def digest(*known: Mapping[str, Any]) -> bytes:
    """A digest of the settings and images that all hosts of a run must share."""
    return hashlib.sha256(json.dumps([dict(one) for one in known], sort_keys=True).encode()).digest()
