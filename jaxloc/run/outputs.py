"""Write what a job found: annotations, report, overlays."""

import os
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from jaxloc._files import atomic_path, write_text
from jaxloc.data import read_picture
from jaxloc.errors import ImageError, UsageError
from jaxloc.report import coco
from jaxloc.report.html import render_page
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.records import Finding, Findings
from jaxloc.run import model_file
from jaxloc.run.model_file import ModelFile


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


def write(folder: Path, findings: Findings, *, model: ModelFile | None = None, overlays: bool = False) -> None:
    """Write every output, each in one step.

    Args:
        folder: where to.
        findings: what was found.
        model: what was fitted, if anything was.
        overlays: also one picture with box and heat map for each picture.

    Raises:
        UsageError: the disk is full, or the folder cannot be written any more.
    """
    try:
        write_text(folder / "annotations.json", coco.dump(findings))
        if model is not None:
            model_file.save(folder / "model.safetensors", model)
        write_text(folder / "report.html", render_page(findings))
        if overlays:
            for finding in tqdm(findings.pictures, desc="overlays", unit="picture", disable=None, leave=False):
                _write_overlay(folder / "overlays", finding)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder}: cannot be written ({error.strerror}): free some space or choose another --out"
        ) from error


def _write_overlay(folder: Path, finding: Finding) -> None:
    try:
        image = Image.fromarray(read_picture(finding.path).pixels)
    except ImageError:
        return  # it was read a moment ago; its box is in the annotations all the same
    with atomic_path(folder / f"{finding.name}.png") as temporary:
        draw_overlay(image, finding).save(temporary, format="PNG")
