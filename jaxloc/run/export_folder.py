"""The folder of an export: written under a temporary name and moved when complete.

After a full disk, an error or Ctrl-C nothing remains; after a kill a hidden folder remains, which the next export to
the same folder removes. An earlier export is kept until the new one is complete. Only files of an export are replaced:
``export.json``, written last, lists them with their sizes. A file that is not listed, or has another size or a later
date, belongs to the user, except a hard link whose image was edited under its other name: replacing it loses nothing.
"""

import contextlib
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxloc._files import write_text
from jaxloc.errors import UsageError
from jaxloc.report.text import some_of
from jaxloc.run.writing import locked

MARKER = "export.json"
"""Tells what a folder was exported from, and which files were written."""

_CURE = "move it away, or choose another folder with --out"


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Raise ``UsageError`` unless an export may be written here; first restore one that a killed export had moved."""
    _restore(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file: choose another folder with --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"{folder}: is not empty: choose another folder with --out, or pass --overwrite")
    listed, found = _listed(folder), _files(folder)
    foreign = [name for name in found if name not in listed and name != MARKER]
    if foreign:
        raise UsageError(
            f"{folder}: holds {some_of(foreign)}, which the export did not write and replacing it would delete: move "
            f"{_them(foreign)} away, or choose another folder with --out"
        )
    written = os.stat(folder / MARKER).st_mtime_ns
    changed = [name for name in found if name != MARKER and _was_changed(folder / name, listed[name], written)]
    if changed:
        raise UsageError(
            f"{folder}: {some_of(changed)} {'was' if len(changed) == 1 else 'were'} changed after the export, and "
            f"replacing it would lose that: move {_them(changed)} away, or choose another folder with --out"
        )


def _listed(folder: Path) -> dict[str, int]:
    """The sizes of the files that the export wrote, by their names."""
    if not (folder / MARKER).is_file():
        raise UsageError(f"{folder}: holds something else than an export ({MARKER} is not there): {_CURE}")
    try:
        return dict(json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: its {MARKER} does not list the files that the export wrote: {_CURE}") from error


def _files(folder: Path) -> list[str]:
    """All files and links below a folder, sorted by name."""
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(found)


def _was_changed(path: Path, size: int, written: int) -> bool:
    now = os.lstat(path)
    return (now.st_size != size or now.st_mtime_ns > written) and now.st_nlink == 1


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def write_marker(folder: Path, about: Mapping[str, Any]) -> None:
    """Write ``export.json`` after all other files: the description of the export and the sizes of its files."""
    files = {name: os.lstat(folder / name).st_size for name in _files(folder)}
    write_text(folder / MARKER, json.dumps({**about, "files": files}, indent=1) + "\n")


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``folder`` when the block succeeds, and is removed otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in _beside(folder, "part"):
        with contextlib.suppress(UsageError), locked(left):  # not if another process is at it
            shutil.rmtree(left, ignore_errors=True)
    token = secrets.token_hex(4)
    staging, before = folder.with_name(f".{folder.name}.{token}.part"), folder.with_name(f".{folder.name}.{token}.old")
    staging.mkdir()
    try:
        with locked(staging):
            yield staging
        check_replaceable(folder, overwrite=True)
        if folder.is_dir():
            os.rename(folder, before)
        os.rename(staging, folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _restore(folder)


def _restore(folder: Path) -> None:
    """Restore the earlier export if a kill came between the two moves."""
    for before in _beside(folder, "old"):
        if folder.exists():
            shutil.rmtree(before, ignore_errors=True)
        else:
            os.rename(before, folder)


def _beside(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.parent.glob(f".{glob.escape(folder.name)}.????????.{suffix}"))
