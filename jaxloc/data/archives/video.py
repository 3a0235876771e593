"""Video files (MP4, MOV, Matroska, WebM, AVI) as archives of their frames, read through PyAV.

A frame is handed on as a PPM file: a header of one line and the plain RGB bytes, so nothing is lost or compressed a
second time, and Pillow reads it as fast as it copies memory. Frames are turned as the file says (a phone held
upright), and keep the pixels they are stored with where these are not square.

MP4, MOV, Matroska and WebM say when each frame is shown, so a frame is found by its own time stamp, also after a seek.
AVI, and VP8 with its hidden frames, do not: such a file is decoded once to count its frames, and read by counting.
Of an MP4 or MOV file that was cut short, the frames that are missing or damaged are known, and said one by one.
"""

import collections
import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from jaxloc._interrupts import checked
from jaxloc.data import remote
from jaxloc.data.archives.video_length import check_whole, file_length
from jaxloc.data.sources import Part, Record
from jaxloc.errors import ImageError, UsageError

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_OPEN = 4
"""Videos that stay open."""
_MEMORY = 1 << 27
"""Bytes of decoded frames that stay in memory for each open video; at least one frame does."""
_EVER = -(1 << 63)
_opening = threading.Lock()


@dataclasses.dataclass(frozen=True)
class VideoFrame(Record):
    """One frame of a video.

    Attributes:
        file: the video's place.
        number: of the frame in the order they are shown, from 0.
        size: rows and columns, upright.
        stamp: when it is shown, in the video's own units; ``None`` if it is found by counting.
        key: the stamp of the frame where decoding has to begin; ``None`` likewise.
        archive_bytes: of the file when it was listed.
    """

    file: str
    number: int
    size: tuple[int, int] = dataclasses.field(compare=False)
    stamp: int | None = None
    key: int | None = None
    archive_bytes: int | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}#{_name(self.number)}"

    @property
    def image_size(self) -> tuple[int, int]:
        """As of the video's first frame."""
        return self.size

    def read(self) -> bytes:
        """The frame as a PPM file.

        Raises:
            ImageError: it does not decode.
            UsageError: the video cannot be read any more, or is no longer whole.
        """
        pixels = _to_pixels(remote.persist(self.file, self._decode))
        rows, columns, _ = pixels.shape
        return b"P6\n%d %d\n255\n" % (columns, rows) + pixels.tobytes()

    def _decode(self) -> Any:
        try:
            return _decoder(self.file).get(self)
        except (ImageError, UsageError):
            if file_length(self.file) < (self.archive_bytes or 0):
                raise remote.lost(self.file, "has become shorter since it was listed", "copy it again") from None
            raise
        except Exception:
            _kept_decoder.cache_clear()  # what it had open may not work any more
            raise


@dataclasses.dataclass(frozen=True)
class MissingFrame(Record):
    """A frame that a video announces and does not hold, or not whole.

    Attributes:
        file: the video's place.
        number: of the frame.
    """

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}#{_name(self.number)}"

    def read(self) -> bytes:
        """Nothing.

        Raises:
            ImageError: always.
        """
        raise ImageError("missing or damaged frame: the video was cut short, copy it again")


class Video(Part):
    """The frames of one video, named by their numbers.

    The packets are read once to index when each frame is shown; where they do not say it, all of them are decoded.

    Args:
        place: the video file.
        every: take only every N-th frame, beginning with the first.

    Attributes:
        image_size: rows and columns of its frames, upright.
        rate: frames a second, on average over the whole video.

    Raises:
        UsageError: PyAV is missing, ``every`` is not positive, or the file is truncated, no video, or none of its
            frames decodes.
    """

    def __init__(self, place: str, *, every: int = 1) -> None:
        if every < 1:
            raise UsageError(f"every N-th frame of a video is taken with N of at least 1, not {every}")
        self.place, self._every = place, every
        with _open(place) as (container, stream):
            self._length = check_whole(place, container.format.name)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self._time_base = Fraction(stream.time_base)
            self._stamps, self._keys, self._there = _index(container, stream)
        self.image_size = (0, 0)
        for number in np.flatnonzero(self._there).tolist():
            with contextlib.suppress(ImageError):
                rows, columns, _ = _to_pixels(_decoder(place).get(self._frame(number))).shape
                self.image_size = rows, columns
                return
        raise UsageError(f"{place}: holds no image: none of its frames decodes: copy it again or convert it to MP4")

    def __len__(self) -> int:
        return -(-len(self._there) // self._every)

    def name(self, number: int) -> str:
        """The frame's number in the video."""
        return _name(number * self._every)

    def path(self, number: int) -> Record:
        """Where the frame lies."""
        return self._frame(number * self._every)

    def time(self, frame: int) -> Fraction:
        """When a frame is shown, in seconds after the first.

        Args:
            frame: its number in the video.
        """
        if self._stamps is None or frame >= len(self._stamps):
            return frame / self.rate
        return int(self._stamps[frame] - self._stamps[0]) * self._time_base

    def _frame(self, number: int) -> Record:
        if not self._there[number]:
            return MissingFrame(self.place, number)
        if self._stamps is None or self._keys is None:
            return VideoFrame(self.place, number, self.image_size, archive_bytes=self._length)
        stamp, key = int(self._stamps[number]), int(self._keys[number])
        return VideoFrame(self.place, number, self.image_size, stamp, key, self._length)


def _name(number: int) -> str:
    return f"{number:06}"


def _written(place: str) -> int:
    return 0 if remote.is_remote(place) else os.stat(place).st_mtime_ns


@contextlib.contextmanager
def _open(place: str) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream.

    Raises:
        UsageError: PyAV is missing, or it is no video.
    """
    container, stream = _opened(place)
    with container:
        yield container, stream


def _opened(place: str) -> tuple[Any, Any]:
    try:
        import av
    except ImportError as error:
        raise UsageError(f"{place}: reading a video needs PyAV: pip install 'jaxloc[video]'") from error
    options = {"format_whitelist": _FORMATS}
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


def _index(container: Any, stream: Any) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Stamps of the frames in the order they are shown, of their keys, and whether the file holds them whole."""
    if container.format.name == "avi" or stream.codec_context.name == "vp8":
        return None, None, np.ones(sum(1 for _ in checked(_frames(container, stream))), bool)
    packets, seen = [], 0
    with contextlib.suppress(_errors()):  # a file cut short
        for packet in checked(container.demux(stream)):
            if packet.size:
                seen += 1
                if not packet.is_discard:
                    packets.append((packet.pts, packet.is_keyframe, not packet.is_corrupt))
    stamps = [stamp for stamp, _, _ in packets]
    if None in stamps or len(set(stamps)) < len(stamps):
        container.seek(0)
        return None, None, np.ones(sum(1 for _ in checked(_frames(container, stream))), bool)
    packets.sort()
    known = np.array([stamp for stamp, _, _ in packets], np.int64)
    begins = np.array([is_key for _, is_key, _ in packets], bool)
    begins[:1] = True
    keys = known[np.maximum.accumulate(np.where(begins, np.arange(len(known)), 0))]
    there = np.zeros(len(known) + max(0, stream.frames - seen), bool)
    there[: len(known)] = [whole for _, _, whole in packets]
    return known, keys, there


def _errors() -> type[Exception]:
    import av

    return av.FFmpegError


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """All frames from where the container stands; packets that do not decode are passed over."""
    errors = _errors()
    with contextlib.suppress(errors):  # a file cut short
        for packet in container.demux(stream):
            frames = []
            with contextlib.suppress(errors):
                frames = packet.decode()
            yield from frames


class _Decoder:
    """One open video, shared by all threads and read forwards as far as that serves.

    Readers want neighbouring frames at about the same time, whatever thread they are in: each is decoded once, and
    the last ones stay.

    Args:
        place: the video file.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._recent: collections.OrderedDict[int, Any] = collections.OrderedDict()
        self._at: int | None
        self._from: int
        self._count: int
        self._begin()

    def get(self, record: Record) -> Any:
        """The decoded frame of a record.

        Raises:
            ImageError: it does not decode.
        """
        if not isinstance(record, VideoFrame):
            raise ImageError("missing or damaged frame")
        wanted = record.number if record.stamp is None else record.stamp
        with self._lock:
            if wanted not in self._recent and not self._find(record, wanted):
                raise ImageError("this frame of the video does not decode")
            self._recent.move_to_end(wanted)
            frame = self._recent[wanted]
        if frame.is_corrupt:
            raise ImageError("this frame of the video is damaged")
        return frame

    def _find(self, record: VideoFrame, wanted: int) -> bool:
        """Decode up to a frame; from the beginning of the video where nothing else leads to it."""
        near = self._at is not None and self._at < wanted and (record.key is None or record.key <= self._at)
        if near and self._decode(record, wanted):
            return True
        if record.key is None or not self._seek(record, record.key):
            self._restart()
        return wanted in self._recent or self._decode(record, wanted)

    def _decode(self, record: VideoFrame, wanted: int) -> bool:
        for frame in self._ahead:
            self._at = self._count if record.stamp is None else frame.pts
            self._count += 1
            if self._at is None or self._at < self._from:
                continue  # frames before the one sought may lack what they are made from
            self._keep(self._at, frame)
            if self._at >= wanted:
                return self._at == wanted
        self._at = None
        return False

    def _keep(self, at: int, frame: Any) -> None:
        self._recent[at] = frame
        each = sum(plane.buffer_size for plane in frame.planes)
        while len(self._recent) > 1 and len(self._recent) * each > _MEMORY:
            self._recent.popitem(last=False)

    def _seek(self, record: VideoFrame, key: int) -> bool:
        """Go to the frame where decoding has to begin; whether it is there."""
        with contextlib.suppress(_errors()):
            self._container.seek(key, stream=self._stream)
            self._ahead = _frames(self._container, self._stream)
            self._at, self._from = None, key
            return self._decode(record, key)
        return False

    def _restart(self) -> None:
        self._container.close()
        self._begin()

    def _begin(self) -> None:
        self._container, self._stream = _opened(self._place)
        self._ahead = _frames(self._container, self._stream)
        self._at, self._from, self._count = None, _EVER, 0


@functools.lru_cache(_OPEN)
def _kept_decoder(place: str, written: int) -> _Decoder:
    return _Decoder(place)


def _decoder(place: str) -> _Decoder:
    """The open video, the same for all threads; opened again if it has been written since."""
    with _opening:
        return _kept_decoder(place, _written(place))


def _to_pixels(frame: Any) -> np.ndarray:
    """uint8 ``[h, w, 3]``, upright as the file's display matrix says (ISO/IEC 14496-12, section 6.2.2)."""
    from av.video.reformatter import VideoReformatter

    # A reformatter of its own: the one that a frame keeps is not for two threads.
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
