"""Write what a job found: annotations, model, report, overlays."""

import os
import secrets
from pathlib import Path

from PIL import Image

from jaxloc._files import atomic_path, write_text
from jaxloc.data import Source, read_picture
from jaxloc.errors import ImageError, UsageError
from jaxloc.report import coco
from jaxloc.report.html import render_page
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.records import Finding, Findings
from jaxloc.run import model_file
from jaxloc.run.model_file import ModelFile
from jaxloc.run.writing import disk_errors, result_folder

_RESULTS = ("annotations.json", "model.safetensors", "report.html")
_OVERLAYS = "overlays"
VIDEOS = "video"
"""Folder of the videos that are written."""
PARTS = "parts"
"""Folder of a run's part files."""


def places(out: str | os.PathLike[str]) -> list[Path]:
    """The folders that results are written to; pictures beside them are looked for, those inside are not."""
    return [Path(out, name) for name in ("", _OVERLAYS, PARTS, VIDEOS)]


def check_unused(folder: Path) -> None:
    """Raise ``UsageError`` if results that no run here has written would be replaced, such as annotations by hand."""
    for name in _RESULTS:
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name}: written by something else than a run in this folder, and would be replaced: choose "
                "another folder with --out, or pass --overwrite"
            )


def clear(folder: Path) -> None:
    """Drop what a run has written last, so that none of it is taken for the next run's."""
    for name in _RESULTS:
        (folder / name).unlink(missing_ok=True)


def prepare(out: str | os.PathLike[str]) -> Path:
    """Make the output folder and see that it can be written, before hours of work.

    Raises:
        UsageError: it cannot, or it is a remote address.
    """
    folder = result_folder(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".jaxloc-probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}): choose another folder with --out") from error
    return folder


def write(folder: Path, findings: Findings, *, model: ModelFile | None = None, limit: int = 1000) -> None:
    """Write annotations, model and report, each in one step.

    Args:
        folder: where to.
        findings: what was found.
        model: what was fitted, if anything was.
        limit: pictures shown in the report at most.

    Raises:
        UsageError: the disk is full, or the folder cannot be written any more.
    """
    with disk_errors(folder):
        coco.write(folder / "annotations.json", findings)
        if model is not None:
            model_file.save(folder / "model.safetensors", model)
        write_text(folder / "report.html", render_page(findings, limit=limit))


def write_overlay(folder: Path, finding: Finding, source: Source) -> None:
    """Draw a picture's box and heat map over it."""
    try:
        image = Image.fromarray(read_picture(source.path).pixels)
    except ImageError:
        return  # it was read a moment ago; its box is in the annotations all the same
    with atomic_path(folder / _OVERLAYS / f"{finding.name}.png") as temporary:
        draw_overlay(image, finding).save(temporary, format="PNG")
