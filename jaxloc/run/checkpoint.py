"""The checkpoint of a run: its manifest and a file for each finished shard, so that a stopped run resumes.

A resumed run ends with the bytes of an uninterrupted one.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from jaxloc._files import HALVES, renamed, write_text
from jaxloc.data import Buckets
from jaxloc.data.sources import bytes_of
from jaxloc.errors import UsageError
from jaxloc.run.outputs import PARTS
from jaxloc.run.plan import Images, Window, buckets_from_json, buckets_to_json

_FORMAT = "jaxloc-run-1"
Kind = Literal["moments", "evidence", "inside", "found", "fitted", "unsigned"]
OF_SHARDS: tuple[Kind, ...] = ("moments", "evidence", "inside", "found")
OF_WINDOWS: tuple[Kind, ...] = ("fitted", "unsigned")
"""Kinds of files; ``inside`` are moments of the objects' cells, ``unsigned`` fits before a pass that decides signs."""
_COUNTED = 100_000
"""Number of images up to which a run notices that an image's size in bytes has changed."""


class Checkpoint:
    """The manifest and the shard files of a run, below the folder ``out`` of its results."""

    def __init__(self, out: Path) -> None:
        self.folder = out / PARTS
        self._manifest_path = self.folder / "_run.json"

    def file(self, kind: Kind, number: int) -> Path:
        """A file of a shard (moments, what the sign rule saw, findings) or of a window (fits)."""
        suffix = "parquet" if kind == "found" else "safetensors"
        return self.folder / f"{kind}-{number:05d}.{suffix}"

    def begun(self, windows: Iterable[Window]) -> int:
        """Number of images in shards with at least one checkpoint file."""
        there = set(self._all())  # one listing: looking at each file takes long in a remote folder
        images = 0
        for window in windows:
            fitted = not there.isdisjoint(self.file(kind, window.number) for kind in OF_WINDOWS)
            for shard in window.shards:
                if fitted or not there.isdisjoint(self.file(kind, shard.number) for kind in OF_SHARDS):
                    images += len(shard.images)
        return images

    def manifest(self) -> dict[str, Any] | None:
        """What the run in this folder depends on; ``None`` if there is none."""
        try:
            kept = json.loads(self._manifest_path.read_text(encoding="utf-8"), object_hook=renamed)
            if kept["format"] != _FORMAT:
                raise ValueError(f"of format {kept['format']}")
            buckets_from_json(kept)
            if not isinstance(kept["settings"], dict) or not isinstance(kept["images"]["number"], int):
                raise ValueError("settings or images are not what a run writes")
            return kept
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
            raise UsageError(
                f"{self._manifest_path}: not a run's manifest ({error}): start over with --overwrite"
            ) from error

    def begin(
        self, settings: Mapping[str, str], images: Mapping[str, Any], buckets: Buckets, *, overwrites: bool = False
    ) -> None:
        """Write the manifest of a new run, and drop the files of any run before it."""
        _drop(self._all())
        manifest = {"format": _FORMAT, "settings": dict(settings), "images": images} | buckets_to_json(buckets)
        self._write(manifest | ({"overwrites": True} if overwrites else {}))

    def resumes(self, settings: Mapping[str, str], images: Mapping[str, Any]) -> bool:
        """Whether this unfinished run was begun here with ``overwrites``, so that it resumes."""
        try:
            manifest = self.manifest() or {}
        except UsageError:
            return False
        same = manifest.get("settings") == settings and manifest.get("images") == images
        return same and bool(manifest.get("overwrites"))

    def finish(self, warnings: list[str]) -> None:
        """Note that all results are written, and drop the files that only an unfinished run needs."""
        manifest = self.manifest() or {}
        manifest.pop("overwrites", None)
        self._write(manifest | {"warnings": warnings, "finished": True})
        self.drop_spent()

    def clear(self) -> None:
        """Drop the run's own files; the manifest last, because files without one would be taken for the next run's."""
        _drop([*self._all(), *self.folder.glob(HALVES), self._manifest_path])
        with contextlib.suppress(OSError):  # it holds other files, or does not exist
            self.folder.rmdir()

    def drop_spent(self) -> None:
        """Drop the files that only an unfinished run needs."""
        _drop(path for path in self._all() if not path.name.startswith("found-"))

    def _all(self) -> list[Path]:
        """The files of shards and windows."""
        kinds = (*OF_SHARDS, *OF_WINDOWS)
        return [path for kind in kinds for path in self.folder.glob(f"{kind}-[0-9]*{self.file(kind, 0).suffix}")]

    def _write(self, manifest: dict[str, Any]) -> None:
        write_text(self._manifest_path, json.dumps(manifest, indent=1) + "\n")


def _drop(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


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
    for name in made | settings:
        if made.get(name) != settings.get(name):
            raise UsageError(
                f"{out}: holds a run with {name} {made.get(name, 'unset')}, and {settings.get(name, 'unset')} is asked "
                f"for: {cure}"
            )
    if manifest["images"] != images:
        number = manifest["images"]["number"]
        raise UsageError(
            f"{out}: holds a run on other images ({number:,} then, {images['number']:,} now, or some have "
            f"changed): {cure}"
        )


def digest(*known: Mapping[str, Any]) -> bytes:
    """A digest of the settings and images that all hosts of a run must share."""
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).digest()
