"""Write and remove the results of a job: annotations, model, report and overlays."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from jaxloc._files import HALVES, atomic_path, check_writable, digest, fitting_path, write_text
from jaxloc.data import ImageSet
from jaxloc.data.remote import is_remote
from jaxloc.errors import UsageError
from jaxloc.report import coco, parquet
from jaxloc.report.exports.names import safe_names
from jaxloc.report.html import render_page
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.records import Finding, Findings
from jaxloc.run import model_file
from jaxloc.run.model_file import ModelFile
from jaxloc.run.writing import disk_errors, result_folder

_RESULTS = ("annotations.json", "model.safetensors", "report.html")
_OVERLAYS, VIDEOS, PARTS = "overlays", "video", "parts"
"""Folders of the results; the last holds a run's checkpoint."""
VIDEO_ANNOTATIONS = "annotations_vid.json"

# Names that a file system refuses or that are taken.
_NO_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_KEYWORD, _START = "jaxloc", 128
"""An overlay is marked as ours, at its place, by a text of this name; within its first bytes."""


def places(out: str | os.PathLike[str]) -> list[Path]:
    """The folders that results are written to."""
    return [Path(out, name) for name in ("", _OVERLAYS, PARTS, VIDEOS)]


def is_replaced(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> bool:
    """Whether results written to the folder, or a video drawn of a clip, may replace this file."""
    place, folder = Path(os.path.realpath(path)), Path(os.path.realpath(out))
    written = {folder / name for name in (*_RESULTS, VIDEO_ANNOTATIONS)}
    return place in written or (folder / VIDEOS in place.parents and place.is_file())


def check_apart(source: str | os.PathLike[str], out: str | os.PathLike[str], why: str) -> None:
    """Raise ``UsageError`` if results that hold images would be inside the folder that the images are read from."""
    place = os.fspath(source)
    if not is_remote(place) and Path(place).is_dir() and Path(out).resolve().is_relative_to(Path(place).resolve()):
        raise UsageError(f"{out}: lies inside {place}, {why}: choose another --out")


def check_unused(folder: Path, mark: str | None = None) -> None:
    """Raise ``UsageError`` if results would replace files that no run wrote, such as annotations by hand.

    A folder that holds the file ``mark`` is taken for an earlier call's of a job without --overwrite.
    """
    if mark is not None and (folder / mark).exists():
        return
    cure = ", or pass --overwrite" if mark is None else ""
    for name in _RESULTS:
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name}: written by something else than a run in this folder, and would be replaced: choose "
                f"another folder with --out{cure}"
            )


def clear(folder: Path) -> None:
    """Remove the results of earlier runs, so that they are not mistaken for the next run's.

    Overlays and videos that a run wrote are removed; files that a person put beside them stay. The checkpoint must
    still exist, because it tells videos that were read from videos that were written.
    """
    _clear_overlays(folder / _OVERLAYS)
    _clear_videos(folder)
    for name in _RESULTS:
        (folder / name).unlink(missing_ok=True)
    drop_halves(folder)


def drop_halves(folder: Path) -> None:
    """Remove half-written files of a killed run from all folders of results."""
    results, *below = places(folder)
    for path in [*results.glob(HALVES), *(half for place in below for half in place.rglob(HALVES))]:
        if not path.is_dir():  # a half-written export of another command
            path.unlink(missing_ok=True)


def _clear_overlays(overlays: Path) -> None:
    """Remove the overlays that runs wrote, and folders that are empty then."""
    for here, _, files in os.walk(overlays, topdown=False):
        for path in (Path(here, name) for name in files):
            if path.suffix == ".png" and _is_overlay(path, overlays):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(here)


def _is_overlay(path: Path, overlays: Path) -> bool:
    """Whether a run marked this file at this place: an interrupted run lists findings for only some overlays."""
    try:
        with path.open("rb") as file:
            return _mark(path.relative_to(overlays).as_posix()) in file.read(_START)
    except OSError:
        return False


def _mark(place: str) -> bytes:
    return f"{_KEYWORD}\0{digest(place)}".encode()


def _clear_videos(folder: Path) -> None:
    """Remove the annotations of videos and the videos that were written with them."""
    annotations = folder / VIDEO_ANNOTATIONS
    try:
        content = json.loads(annotations.read_bytes())
        paths = [folder / video["file"] for video in content["videos"] if "file" in video]
        if "found by jaxloc" not in content["info"]["description"]:
            return
    except (OSError, ValueError, LookupError, TypeError):  # missing, or not written by a run
        return
    written = annotations.stat().st_mtime_ns
    if seen := _videos_seen(folder):
        for path in paths:
            is_ours = path.is_file() and not path.is_symlink() and path.stat().st_mtime_ns >= written
            if is_ours and folder / VIDEOS in path.parents and os.path.realpath(path) not in seen:
                path.unlink()
                with contextlib.suppress(OSError):  # something else is in it
                    path.parent.rmdir()
    annotations.unlink()


def _videos_seen(folder: Path) -> set[str]:
    """The places of the videos that the run read; none if its findings are missing or damaged."""
    files = sorted((folder / PARTS).glob("found-*.parquet"))
    with contextlib.suppress(UsageError):
        return {os.path.realpath(str(finding.path).rpartition("#")[0]) for finding in parquet.Images(files).light()}
    return set()


def prepare(out: str | os.PathLike[str]) -> Path:
    """Make the output folder; ``UsageError`` if it cannot be written, before hours of work."""
    folder = result_folder(out)
    try:
        check_writable(folder)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}): choose another folder with --out") from error
    return folder


def write(folder: Path, findings: Findings, *, model: ModelFile | None = None, limit: int = 1000) -> None:
    """Write annotations, the model if there is one, and a report of ``limit`` images, each atomically."""
    with disk_errors(folder):
        coco.write(folder / "annotations.json", findings)
        if model is not None:
            model_file.save(folder / "model.safetensors", model)
        write_text(folder / "report.html", render_page(findings, limit=limit))


def overlay_folders(sets: Sequence[ImageSet]) -> dict[str, str]:
    """The folder of each set's overlays, below ``overlays/``, by the set's name, given all sets of a run.

    If an image is in two sets, each set has a folder of its own; otherwise all overlays are in ``overlays/`` itself.
    """
    names = [images.name for images in sets]
    if len(sets) > 1:
        codes = (int(digest(source.name), 16) for images in sets for source in images.sources)
        every = np.fromiter(codes, np.uint64)
        if len(np.unique(every)) < len(every):
            return safe_names({name: name for name in names}, flat=True)
    return dict.fromkeys(names, "")


def write_overlay(folder: Path, finding: Finding, pixels: np.ndarray, *, below: str = "") -> None:
    """Draw an image's box and heat map over its pixels, in a folder ``below`` ``overlays/``, named after the image.

    If the file system refuses even a shortened name, the overlay is skipped with a message.
    """
    overlays = folder / _OVERLAYS
    place = fitting_path(f"{below}/{finding.name}" if below else finding.name, ".png")
    marked = PngImagePlugin.PngInfo()
    marked.add_text(_KEYWORD, digest(place))
    overlays.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(overlays / place) as temporary:
            draw_overlay(Image.fromarray(pixels), finding).save(temporary, format="PNG", pnginfo=marked)
    except OSError as error:
        if error.errno not in _NO_NAME:
            raise
        tqdm.write(
            f"{finding.name}: this disk takes no overlay of such a name ({error.strerror}); its box is in "
            "the results all the same.",
            file=sys.stderr,
        )
