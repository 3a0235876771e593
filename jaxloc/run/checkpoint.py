"""The part files of a run: what is done of it, so that a run that was killed goes on, and ends with the same bytes."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxloc._files import HALVES, write_text
from jaxloc._interrupts import checked
from jaxloc.data import Buckets
from jaxloc.data.sources import bytes_of
from jaxloc.errors import UsageError
from jaxloc.run import model_file
from jaxloc.run.model_file import ModelFile
from jaxloc.run.outputs import PARTS, drop_halves
from jaxloc.run.plan import Images, Window, buckets_from_json, buckets_to_json

_FORMAT = "jaxloc-run-1"
_HOLDS = {"settings", "pictures", "step", "padding", "shapes"}
_COUNTED = 100_000
"""Up to so many images, a run notices that one of them has another size in bytes than before."""


class Parts:
    """The folder of a run's part files, with the run's manifest.

    Args:
        out: the folder of the results.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / PARTS
        self._manifest_path = self.folder / "_run.json"

    def sums(self, shard: int) -> Path:
        """The moments of a shard."""
        return self.folder / f"moments-{shard:05d}.safetensors"

    def fitted(self, window: int) -> Path:
        """What was fitted to a window's sets."""
        return self.folder / f"fitted-{window:05d}.safetensors"

    def unsigned(self, window: int) -> Path:
        """What was fitted to a window's sets, before a further pass decides the signs."""
        return self.folder / f"unsigned-{window:05d}.safetensors"

    def counts(self, shard: int) -> Path:
        """Positive cells of a shard's sets."""
        return self.folder / f"counts-{shard:05d}.safetensors"

    def found(self, shard: int) -> Path:
        """What was found in a shard."""
        return self.folder / f"found-{shard:05d}.parquet"

    def begun(self, windows: Iterable[Window]) -> int:
        """How many images of these windows there are of which something is done."""
        there = set(self._all())  # one listing: a look at each file takes long where the folder is remote
        images = 0
        for window in windows:
            fitted = not there.isdisjoint((self.fitted(window.number), self.unsigned(window.number)))
            for shard in window.shards:
                parts = [of(shard.number) for of in (self.sums, self.counts, self.found)]
                if fitted or not there.isdisjoint([*parts, *map(partial, parts)]):
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
            kept_buckets(kept)
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
        self,
        settings: Mapping[str, str],
        images: Mapping[str, Any],
        buckets: Buckets,
        *,
        overwrites: bool = False,
    ) -> None:
        """Write the manifest of a new run, to which no part that was there before belongs."""
        self._drop(self._all())
        manifest = {"format": _FORMAT, "settings": dict(settings), "pictures": images} | buckets_to_json(buckets)
        self._write(manifest | ({"overwrites": True} if overwrites else {}))

    def go_on(self, settings: Mapping[str, str], images: Mapping[str, Any]) -> bool:
        """Whether the run asked for was begun here by starting over, and is not finished: it need not start again."""
        try:
            manifest = self.manifest() or {}
        except UsageError:
            return False
        same = manifest.get("settings") == dict(settings) and manifest.get("pictures") == dict(images)
        return same and bool(manifest.get("overwrites"))

    def finish(self, warnings: list[str]) -> None:
        """Note that everything is written, and drop the parts that nobody needs any more."""
        manifest = self.manifest() or {}
        manifest.pop("overwrites", None)
        self._write(manifest | {"warnings": warnings, "finished": True})
        self.drop_spent()

    def clear(self) -> None:
        """Drop a run: its own files alone, for the folder may lie among a person's.

        The manifest goes last: parts without one would be taken for those of the next run.
        """
        self._drop(self._all(), self.folder.glob(HALVES), [self._manifest_path])
        with contextlib.suppress(OSError):  # somebody else's files are in it, or there is none
            self.folder.rmdir()

    def clean(self) -> None:
        """Drop what a kill left half written."""
        drop_halves(self.folder.parent)

    def drop_spent(self) -> None:
        """Drop the parts that only an unfinished run needs."""
        self._drop(path for path in self._all() if not path.name.startswith("found-") or ".partial" in path.name)

    def _drop(self, *paths: Iterable[Path]) -> None:
        for path in itertools.chain(*map(list, paths)):
            path.unlink(missing_ok=True)

    def _all(self) -> Iterator[Path]:
        for kind in ("moments", "fitted", "unsigned", "counts", "found"):
            for suffix in ("safetensors", "parquet"):
                yield from self.folder.glob(f"{kind}-[0-9]*.{suffix}")

    def _write(self, manifest: dict[str, Any]) -> None:
        write_text(self._manifest_path, json.dumps(manifest, indent=1) + "\n")


def partial(path: Path) -> Path:
    """Where a part is kept that was stopped in the middle."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def describe_images(photos: Images) -> dict[str, Any]:
    """How many images there are, and a digest of their names, sets and (if they are not too many) sizes in bytes."""
    digest = hashlib.sha256()
    counted = len(photos) <= _COUNTED
    for images in photos.sets:
        digest.update(f"{images.name}\0{len(images.sources)}\0".encode("utf-8", "surrogateescape"))
        for source in checked(images.sources):
            digest.update(
                f"{source.name}\0{bytes_of(source.path) if counted else ''}\n".encode("utf-8", "surrogateescape")
            )
    return {"number": len(photos), "digest": digest.hexdigest()}


def check_same(manifest: Mapping[str, Any], settings: Mapping[str, str], images: Mapping[str, Any], out: Path) -> None:
    """Raise ``UsageError`` naming what differs unless a run is the one asked for."""
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
    """What all hosts of a run must have in common."""
    return hashlib.sha256(json.dumps([dict(one) for one in known], sort_keys=True).encode()).digest()


def load_fits(path: Path) -> ModelFile:
    """Open what was fitted to a window's sets.

    Raises:
        UsageError: it is damaged; also later, when a set is read that is not whole.
    """
    return model_file.load(path, cure="delete it and run the same command again")


def kept_buckets(manifest: Mapping[str, Any]) -> Buckets:
    """The padded shapes of a run that goes on."""
    return buckets_from_json(dict(manifest))
