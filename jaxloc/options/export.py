"""Options of ``export``."""

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.options.option import Option, Options, Typed, option


def _splits(text: str, one: Option) -> dict[str, float]:
    return {name: _share(value) for name, value in _pairs("--split", text.split(",")).items()}


def _names(texts: list[str], one: Option) -> dict[str, str]:
    return _pairs("--rename", texts)


def _pairs(flag: str, texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise UsageError(f"{flag}: {text!r} is not NAME=VALUE")
        if name in pairs:
            raise UsageError(f"{flag}: {name} is given twice")
        pairs[name] = value
    return pairs


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """How to export."""

    images: str | os.PathLike[str] | None = option(
        None,
        "Folder that image names are relative to. [default: where the job read the images, or beside the annotations]",
        typed=Typed(Path, None, lambda value, one: value),
        metavar="FOLDER",
        first=True,
    )
    placement: Literal["link", "copy", "none"] = option(
        "link",
        "Put the images beside as hard links (no space, but editing one edits both; of a symbolic link, its target), "
        "as copies, or not at all.",
        "--placement",
        "--pictures",
        label="images",
        first=True,
    )
    split: Mapping[str, float] = option(
        dict,
        "Divide the images into splits by share, such as train=0.8,val=0.2; by name, so that each stays in its split "
        "if images are added. [default: the splits of the annotations]",
        typed=Typed(str, None, _splits),
        metavar="NAME=SHARE,…",
        first=True,
    )
    seed: int = option(0, "Seed of the splits.")
    min_score: float | None = option(None, "Leave out objects with a lower score.", first=True)
    found_only: bool = option(
        False, "Leave out images without objects, or keep them.", "--found-only/--with-empty", first=True
    )
    rename: Mapping[str, str] = option(
        dict,
        "Rename a class; two classes may get the same name. Repeatable.",
        typed=Typed(list[str], None, _names),
        metavar="OLD=NEW",
    )
    segments: bool = option(
        False, "yolo: write outlines of masks in place of boxes; objects without a mask are counted."
    )
    margin: float = option(
        0.0, "crops: margin on every side, as a share of the box's longer side.", least=0, label="the margin"
    )
    square: bool = option(False, "crops: as wide as high.")
    overwrite: bool = option(
        False,
        "Replace the files of an earlier export; refused if the folder holds other files or some were changed.",
        first=True,
    )
    origin: str | None = option(
        None, "The source that export.json names for annotations that were not read from a place.", only_python=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_score is not None and math.isnan(self.min_score):
            raise UsageError("the lowest score must be a number")
        for split, share in self.split.items():
            if not 0 < share <= 1:
                raise UsageError(f"the share of split {split} must be above 0 and at most 1, not {share}")
        if self.split and not math.isclose(sum(self.split.values()), 1, abs_tol=1e-6):
            raise UsageError(f"the shares of the splits must add up to 1, not {sum(self.split.values()):g}")
