"""Files where annotations and lists say they are, whatever system wrote them, and text in whatever encoding."""

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from jaxloc.data.kinds import is_image, suffix

_DRIVE = re.compile("[A-Za-z]:/")


def decode(data: bytes, errors: str = "strict") -> str:
    """Text in UTF-8, UTF-16 or UTF-32, with a byte order mark or without."""
    return data.decode(json.detect_encoding(data), errors).removeprefix("\ufeff")


def normal_form(name: str) -> str:
    """What names have in common that differ in Unicode normalisation or in letter case only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Places:
    """Files by the names that other files give them; each folder is listed once.

    A name may have backslashes. Where no file has it exactly, the only one that differs in Unicode normalisation or
    letter case is meant.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, tuple[set[str], dict[str, str | None]]] = {}
        self._stems: dict[Path, dict[str, str | None]] = {}

    def find(self, folders: Sequence[Path], name: str, *, endings: bool = False) -> Path | None:
        """The file or folder of a name in the first of these folders that has it.

        Of an absolute name from another machine, or with ``endings`` of any, the longest ending that is there counts.
        """
        if os.path.isabs(name) and os.path.exists(name):
            return Path(name)
        if "\\" in name:
            plain = next((folder / name for folder in folders if (folder / name).exists()), None)
            return plain or self.find(folders, name.replace("\\", "/"), endings=endings)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        starts = len(parts) if endings or os.path.isabs(name) or _DRIVE.match(name) else 1
        within = (self._within(folder, parts[start:]) for start in range(starts) for folder in folders)
        return next((place for place in within if place), None)

    def find_image(self, folders: Sequence[Path], name: str) -> Path | None:
        """The only image of a name without extension in the first of these folders that has one."""
        inside, _, stem = name.rpartition("/")
        for folder in folders:
            here = self._within(folder, inside.split("/")) if inside else folder
            if here is not None and (found := self._images(here).get(normal_form(stem))):
                return here / found
        return None

    def _images(self, folder: Path) -> dict[str, str | None]:
        """Names of images by their stems; ``None`` where several have one."""
        if folder not in self._stems:
            stems: dict[str, str | None] = {}
            for name in self._list(folder)[0]:
                if suffix(name) and is_image(name):
                    key = normal_form(name[: -len(suffix(name))])
                    stems[key] = None if key in stems else name
            self._stems[folder] = stems
        return self._stems[folder]

    def _within(self, folder: Path, parts: Sequence[str]) -> Path | None:
        here = folder
        for part in parts:
            if part == "..":
                here = Path(os.path.normpath(here / part))
                continue
            names, alike = self._list(here)
            own = part if part in names or os.path.exists(here / part) else alike.get(normal_form(part))
            if own is None:
                return None
            here = here / own
        return here if parts else None

    def _list(self, folder: Path) -> tuple[set[str], dict[str, str | None]]:
        if folder not in self._listed:
            try:
                names = set(os.listdir(folder))
            except (OSError, ValueError):
                names = set()
            alike: dict[str, str | None] = {}
            for name in names:
                key = normal_form(name)
                alike[key] = None if key in alike else name
            self._listed[folder] = names, alike
        return self._listed[folder]
