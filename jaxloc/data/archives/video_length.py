"""Whether a video file is whole: as long as its own header says."""

import os
from typing import IO

from jaxloc.data import remote
from jaxloc.errors import UsageError

_MATROSKA, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def file_length(place: str) -> int:
    """Bytes of a local or remote file."""
    with remote.open_file(place) as file:
        return file.seek(0, os.SEEK_END)


def check_whole(place: str, kind: str) -> int:
    """Refuse a file shorter than its own header says, of the kinds that do not list their frames.

    Args:
        place: the video file.
        kind: as FFmpeg names its format.

    Returns:
        its bytes.

    Raises:
        UsageError: it is shorter.
    """
    length = file_length(place)
    with remote.open_file(place) as file:
        wanted = _matroska_length(file) if "matroska" in kind else _riff_length(file) if kind == "avi" else None
    if wanted is not None and length < wanted:
        raise UsageError(
            f"{place}: truncated, {length} of {wanted} bytes: copy it again, or keep what there is as MP4 "
            "(ffmpeg -i CLIP -c copy KEPT.mp4)"
        )
    return length


def _riff_length(file: IO[bytes]) -> int:
    return int.from_bytes(file.read(8)[4:], "little") + 8


def _matroska_length(file: IO[bytes]) -> int | None:
    """The end of the first segment; ``None`` where a live recording left it open."""
    if file.read(4) != _MATROSKA:
        return None
    file.seek(_matroska_number(file) or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    size = _matroska_number(file)
    return None if size is None else file.tell() + size


def _matroska_number(file: IO[bytes]) -> int | None:
    """A number as EBML (RFC 8794, section 4) writes it; ``None`` means unknown."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first else 1
    number = int.from_bytes(first + file.read(length - 1)) & ((1 << 7 * length) - 1)
    return None if number == (1 << 7 * length) - 1 else number
