"""Names of files that every system can hold, each once."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping

_ODD = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\�]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 120
"""Letters of one part of a name; at most three bytes each, and something is put behind it in places."""


def safe_name(name: str) -> str:
    """A single part of a path that every file system takes: no separators, controls, or reserved names."""
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if unicodedata.category(letter)[0] == "C" else letter for letter in _ODD.sub("_", text))
    text = re.sub(r"\s", "_", text.replace("/", "_")).lstrip(".").rstrip(". ")
    if _RESERVED.match(text) or not text:
        text = f"_{text}"
    if len(text) > _LONGEST:
        stem, dot, suffix = text.rpartition(".")
        suffix = f"{dot}{suffix}" if dot and len(suffix) < 10 else ""
        stem = stem if suffix else text
        text = f"{stem[: _LONGEST - 9 - len(suffix)]}-{_digest(name)}{suffix}"
    return text


def safe_names(wanted: Mapping[str, str], *, flat: bool) -> dict[str, str]:
    """The file of each image by its name, unique even if case and extension are ignored; fine ones stay as they are.

    ``wanted`` is the file that it should have, with forward slashes, which become underscores if all lie in one folder
    (``flat``).
    """
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for name, file in wanted.items():
        parts = [part for part in file.split("/") if part not in ("", ".", "..")]
        file = safe_name("_".join(parts)) if flat else "/".join(map(safe_name, parts)) or "_"
        if _key(file) in taken:
            file = _numbered(file, name)
        taken.add(_key(file))
        chosen[name] = file
    return chosen


def with_suffix(file: str, suffix: str) -> str:
    """The file with another extension; one that is not that of an image stays part of the name."""
    stem, dot, old = file.rpartition(".")
    return f"{stem}{suffix}" if dot and stem and len(old) <= 4 and "/" not in old else f"{file}{suffix}"


def _key(file: str) -> str:
    return with_suffix(file, "").casefold()


def _numbered(file: str, name: str) -> str:
    stem, dot, suffix = file.rpartition(".")
    return f"{stem}-{_digest(name)}.{suffix}" if dot and "/" not in suffix else f"{file}-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
