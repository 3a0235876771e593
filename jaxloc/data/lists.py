"""Lists of images: a path in each line, alone or with a label, as Caffe, MXNet, darknet and others write them."""

import re
from collections.abc import Iterator

from jaxloc.data import remote
from jaxloc.data.kinds import is_image, suffix
from jaxloc.data.places import decode
from jaxloc.errors import UsageError

_GAP = re.compile(r"\s*[,;]\s*|\s+")
_WHOLE = re.compile(r"(-?\d+)\.0*")


def read_list(place: str) -> Iterator[tuple[str, str, str | None]]:
    """Read a list, local or remote, in any encoding of Unicode, without blank lines and those that start with ``#``.

    Yields:
        the line; the path in it; and the label behind it (``a.jpg 3``), or before it as MXNet has it (number, label and
        path, with tabs between). There is none if there are several.
    """
    try:
        lines = decode(remote.read(place)).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{place}: not a readable list of paths, one a line ({error})") from error
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            path, labels = _parted(line)
            label = labels[0].strip() if len(labels) == 1 else ""
            whole = _WHOLE.fullmatch(label)
            yield line, path, None if not label or _names_image(label) else whole[1] if whole else label


def _parted(line: str) -> tuple[str, list[str]]:
    """The path in a line, and the labels."""
    fields = line.split("\t")
    if len(fields) > 2 and fields[0].isdecimal():
        return fields[-1].strip(), fields[1:-1]
    if len(fields) > 1:
        path = next(filter(_names_image, fields), fields[0])
        fields.remove(path)
        return path.strip(), fields
    for gap in _GAP.finditer(line):
        if _names_image(line[: gap.start()]):
            return line[: gap.start()], _GAP.split(line[gap.end() :])
    return line, []


def _names_image(text: str) -> bool:
    return bool(suffix(text)) and is_image(text.strip())
