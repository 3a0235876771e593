"""Frames of videos (MP4, MOV, Matroska, WebM, AVI) as records, decoded in order through PyAV.

A frame is returned as a PPM file: one header line and the RGB bytes. Frames are turned upright as the file's display
matrix says and keep their stored pixels where those are not square.

MP4, MOV, Matroska and WebM store a time stamp for each frame, which identifies it. AVI and VP8 do not: the file is
decoded once to count its frames, and frames are identified by counting. MP4 and MOV list their frames, so frames
missing from a truncated file are known.
"""

import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from jaxloc.data import remote
from jaxloc.data.sources import Part, Record
from jaxloc.errors import ImageError, UsageError

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_OPEN = 4
"""Number of videos kept open."""
_KEPT = 8
"""Decoded frames kept for each open video, besides those that threads wait for."""
_opening = threading.Lock()


@dataclasses.dataclass(frozen=True)
class VideoFrame(Record):
    """One frame of a video.

    Attributes:
        file: path or address of the video.
        number: position in display order, from 0.
        archive_bytes: size of the video when it was indexed.
        image_size: rows and columns of the first frame; ``None`` for a missing frame.
    """

    file: str
    number: int
    video: "Video" = dataclasses.field(compare=False, repr=False)
    archive_bytes: int | None = dataclasses.field(compare=False)
    image_size: tuple[int, int] | None = dataclasses.field(compare=False)

    def __str__(self) -> str:
        return f"{self.file}#{_name(self.number)}"

    def read(self) -> bytes:
        """The frame as a PPM file."""
        if not self.video.whole[self.number]:
            raise ImageError("missing or damaged frame: the video was cut short, copy it again")
        pixels = _to_pixels(remote.persist(self.file, self._decode))
        rows, columns, _ = pixels.shape
        return b"P6\n%d %d\n255\n" % (columns, rows) + pixels.tobytes()

    def _decode(self) -> Any:
        try:
            return _decoder(self.video).frame(self.number)
        except (ImageError, UsageError):
            if _length(self.file) < self.video.bytes:
                raise remote.lost(self.file, "has become shorter since it was listed", "copy it again") from None
            raise
        except Exception:
            _decoders.cache_clear()  # an open connection may be broken
            raise


class Video(Part):
    """The frames of one video, named by their numbers.

    Args:
        place: the video file.
        every: take every N-th frame only, starting with the first.

    Attributes:
        image_size: rows and columns of the frames, upright.
        rate: mean frames per second.
        stamps: int64 ``[n]``, display time of each frame in the video's units; ``None`` if frames are counted.
        whole: bool ``[n]``, whether the file holds all of a frame.
    """

    def __init__(self, place: str, *, every: int = 1) -> None:
        if every < 1:
            raise UsageError(f"every N-th frame of a video is taken with N of at least 1, not {every}")
        self.place, self.every = place, every
        container, stream = _open(place)
        with container:
            self.bytes = _length(place)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self._time_base = Fraction(stream.time_base)
            self.stamps, self.whole = _index(container, stream)
        for number in filter(self.whole.item, range(0, len(self.whole), every)):
            with contextlib.suppress(ImageError):
                rows, columns, _ = _to_pixels(_decoder(self).frame(number)).shape
                self.image_size = rows, columns
                return
        raise UsageError(f"{place}: holds no image: none of its frames decodes: copy it again or convert it to MP4")

    def __len__(self) -> int:
        return -(-len(self.whole) // self.every)

    def name(self, number: int) -> str:
        """Number of the frame in the video, in six digits."""
        return _name(number * self.every)

    def path(self, number: int) -> VideoFrame:
        """Record of the frame."""
        number *= self.every
        return VideoFrame(self.place, number, self, self.bytes, self.image_size if self.whole[number] else None)

    def time(self, frame: int) -> Fraction:
        """Display time of a frame of the video in seconds after the first."""
        if self.stamps is None or frame >= len(self.stamps):
            return frame / self.rate
        return int(self.stamps[frame] - self.stamps[0]) * self._time_base


def _name(number: int) -> str:
    return f"{number:06}"


def _length(place: str) -> int:
    with remote.reaching(place), remote.open_file(place) as file:
        return file.seek(0, os.SEEK_END)


def _open(place: str) -> tuple[Any, Any]:
    """Open the container and select its video stream."""
    try:
        import av
    except ImportError as error:
        raise UsageError(f"{place}: reading a video needs PyAV: pip install 'jaxloc[video]'") from error
    options = {"format_whitelist": _FORMATS}
    with remote.reaching(place):
        file = remote.open_file(place)
    try:
        if remote.is_remote(place):
            container: Any = av.open(file, container_options=options)
        else:
            file.close()
            container = av.open(f"file:{place}", container_options=options | {"protocol_whitelist": "file"})
    except (OSError, ValueError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{place}: truncated, or no video of a kind that is read ({reason}): copy it again or convert it to MP4"
        ) from error
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        kinds = ", ".join(sorted({one.type for one in container.streams})) or "nothing"
        container.close()
        raise UsageError(f"{place}: holds no image: no video that can be decoded, only {kinds}")
    stream.thread_type = "AUTO"
    return container, stream


def _index(container: Any, stream: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """Stamps of the frames in display order (``None`` if there are none), and whether each frame is whole."""
    if container.format.name != "avi" and stream.codec_context.name != "vp8":
        packets, seen = [], 0
        with contextlib.suppress(_errors()):  # a truncated file
            for packet in container.demux(stream):
                if packet.size:
                    seen += 1
                    if not packet.is_discard:
                        packets.append((packet.pts, not packet.is_corrupt))
        stamps = {stamp for stamp, _ in packets}
        if None not in stamps and len(stamps) == len(packets):
            packets.sort()
            missing = [False] * max(0, stream.frames - seen)
            return np.array([stamp for stamp, _ in packets], np.int64), np.array(
                [whole for _, whole in packets] + missing
            )
        container.seek(0)
    return None, np.ones(sum(1 for _ in _frames(container, stream)), bool)


def _errors() -> type[Exception]:
    import av

    return av.FFmpegError


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decode all frames; packets that do not decode are skipped."""
    errors = _errors()
    with contextlib.suppress(errors):  # a truncated file
        for packet in container.demux(stream):
            frames = []
            with contextlib.suppress(errors):
                frames = packet.decode()
            yield from frames


class _Decoder:
    """A video decoded in order, shared by all threads.

    The frames decoded last, and those that threads wait for, are kept; an earlier frame restarts the video.
    """

    def __init__(self, video: Video) -> None:
        self._video = video
        self._lock = threading.Lock()
        self._kept: dict[int, Any] = {}
        self._damaged: set[int] = set()
        self._waiting: set[int] = set()
        self._start()

    def frame(self, number: int) -> Any:
        """Decode up to a frame; raises ``ImageError`` if it does not decode."""
        self._waiting.add(number)
        with self._lock:
            if number <= self._last and number not in self._kept and number not in self._damaged:
                self._container.close()
                self._start()
            while self._last < number:
                self._advance()
            frame = self._kept.get(number)
            self._waiting.discard(number)
        if frame is None:
            raise ImageError("this frame of the video does not decode")
        if frame.is_corrupt:
            raise ImageError("this frame of the video is damaged")
        return frame

    def _start(self) -> None:
        self._container, stream = _open(self._video.place)
        self._decoded = enumerate(_frames(self._container, stream))
        self._last = -1

    def _advance(self) -> None:
        """Decode one more frame; numbers passed over on the way do not decode."""
        stamps = self._video.stamps
        count, frame = next(self._decoded, (len(self._video.whole), None))
        number = count
        if stamps is not None and frame is not None:
            number = int(np.searchsorted(stamps, frame.pts)) if frame.pts is not None else len(stamps)
            if number == len(stamps) or stamps[number] != frame.pts:
                return
        self._damaged.update(range(self._last + 1, number))
        self._last = max(self._last, number)
        if frame is not None and number % self._video.every == 0:
            self._damaged.discard(number)
            self._kept[number] = frame
            idle = [old for old in self._kept if old not in self._waiting and old != number]
            if len(idle) > _KEPT:
                del self._kept[idle[0]]


@functools.lru_cache(_OPEN)
def _decoders(video: Video, modified: int) -> _Decoder:
    return _Decoder(video)


def _decoder(video: Video) -> _Decoder:
    """The decoder of a video, opened again if the file was written since."""
    with _opening:
        return _decoders(video, 0 if remote.is_remote(video.place) else os.stat(video.place).st_mtime_ns)


def _to_pixels(frame: Any) -> np.ndarray:
    """uint8 ``[h, w, 3]``, turned by the display matrix (ISO/IEC 14496-12, section 6.2.2)."""
    from av.video.reformatter import VideoReformatter

    # A new reformatter each time: the frame's own is not thread-safe.
    pixels = VideoReformatter().reformat(frame, format="rgb24").to_ndarray()
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, right, down = pixels.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
