"""Files of decisions by hand, which a page hands out: read, and checked to be about the images at hand."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxloc._files import renamed
from jaxloc.errors import UsageError


def read(path: str | os.PathLike[str], *keys: str, format: str, page: str) -> dict[str, Any]:
    """The content of a file of decisions of this format: what its page handed out, or a whole file beside the page.

    ``keys`` are what each of its decisions must have.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), object_hook=renamed)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file of decisions") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict) or "format" not in content:
        raise UsageError(f"{path}: not a file of decisions: give one that {page} handed out")
    if content["format"] != format:
        raise UsageError(
            f"{path}: of format {content['format']!r}, and this jaxloc reads {format}: make it again from {page}"
        )
    cure = f"mend it, or download it again from {page}"
    check_keys(path, content, "", "images", "decisions", cure=cure)
    check_keys(path, content["images"], " in its 'images'", "number", "digest", cure=cure)
    if not isinstance(content["decisions"], list):
        raise UsageError(f"{path}: a damaged file of decisions: 'decisions' is no list: {cure}")
    for number, entry in enumerate(content["decisions"], 1):
        check_keys(path, entry, f" in decision {number:,}", *keys, cure=cure)
    return content


def check_keys(path: str | os.PathLike[str], part: Any, where: str, *keys: str, cure: str) -> None:
    """Raise ``UsageError`` unless a part of a file of decisions has these keys."""
    for key in keys:
        if not isinstance(part, dict) or key not in part:
            raise UsageError(f"{path}: a damaged file of decisions: {key!r} is missing{where}: {cure}")


def check_images(path: str | os.PathLike[str], then: Mapping[str, Any], images: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` unless decisions on images ``then`` are about these: number and digest of a collection."""
    if then["digest"] != images["digest"]:
        raise UsageError(
            f"{path}: decisions on other images ({then['number']} then, {images['number']:,} now, or some have "
            "changed): review this collection's own page"
        )
