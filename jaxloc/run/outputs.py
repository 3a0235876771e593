"""Write what a job found: annotations, report, overlays."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc._files import atomic_path, write_text
from jaxloc.data import read_picture
from jaxloc.errors import ImageError, UsageError
from jaxloc.report import coco
from jaxloc.report.html import render_page
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.records import Finding, Findings
from jaxloc.run import model_file
from jaxloc.run.model_file import ModelFile

_OVERLAYS = "overlays"


def places(out: str | os.PathLike[str]) -> list[Path]:
    """The folders that results are written to, in which no picture is looked for."""
    return [Path(out), Path(out, _OVERLAYS)]


def prepare(out: str | os.PathLike[str]) -> Path:
    """Make the output folder and see that it can be written, before hours of work.

    Raises:
        UsageError: it cannot.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".jaxloc-probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}): choose another folder with --out") from error
    return folder


def write(
    folder: Path, findings: Findings, *, model: ModelFile | None = None, overlays: bool = False, limit: int = 2000
) -> None:
    """Write every output, each in one step.

    Args:
        folder: where to.
        findings: what was found.
        model: what was fitted, if anything was.
        overlays: also one picture with box and heat map for each picture.
        limit: pictures shown in the report at most.

    Raises:
        UsageError: the disk is full, or the folder cannot be written any more.
    """
    with _writing(folder / "annotations.json") as path:
        write_text(path, coco.dump(findings))
    if model is not None:
        with _writing(folder / "model.safetensors") as path:
            model_file.save(path, model)
    with _writing(folder / "report.html") as path:
        write_text(path, render_page(findings, limit=limit))
    if overlays:
        for finding in tqdm(findings.pictures, desc="overlays", unit="picture", disable=None, leave=False):
            _interrupts.check()
            with _writing(folder / _OVERLAYS / f"{finding.name}.png") as path:
                _write_overlay(path, finding)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path}: cannot be written ({reason}): free some space or choose another --out") from error


def _write_overlay(path: Path, finding: Finding) -> None:
    try:
        image = Image.fromarray(read_picture(finding.path).pixels)
    except ImageError:
        return  # it was read a moment ago; its box is in the annotations all the same
    with atomic_path(path) as temporary:
        draw_overlay(image, finding).save(temporary, format="PNG")
