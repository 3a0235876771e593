"""Truncation of video files of the kinds that do not list their frames."""

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
    """Bytes of a video file of FFmpeg's ``kind``; raises ``UsageError`` if its header says more."""
    with remote.reaching(place), remote.open_file(place) as file:
        wanted = _matroska_length(file) if "matroska" in kind else _riff_length(file) if kind == "avi" else None
        length = file.seek(0, os.SEEK_END)
    if wanted is not None and length < wanted:
        raise UsageError(
            f"{place}: truncated, {length} of {wanted} bytes: copy it again, or keep what there is as MP4 "
            "(ffmpeg -i CLIP -c copy KEPT.mp4)"
        )
    return length


def _riff_length(file: IO[bytes]) -> int:
    return int.from_bytes(file.read(8)[4:], "little") + 8


def _matroska_length(file: IO[bytes]) -> int | None:
    """End of the first segment; ``None`` if a live recording left it open."""
    if file.read(4) != _MATROSKA:
        return None
    file.seek(_matroska_number(file) or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    size = _matroska_number(file)
    return None if size is None else file.tell() + size


def _matroska_number(file: IO[bytes]) -> int | None:
    """A number in EBML (RFC 8794, section 4); ``None`` means unknown."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first else 1
    number = int.from_bytes(first + file.read(length - 1)) & ((1 << 7 * length) - 1)
    return None if number == (1 << 7 * length) - 1 else number
