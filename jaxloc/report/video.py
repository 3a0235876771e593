"""Videos with the findings drawn, and a COCO annotation file with the fields of COCO-VID."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxloc._files import atomic_path
from jaxloc.errors import UsageError
from jaxloc.report import coco
from jaxloc.report.records import Finding, Findings

_TICKS = {"mp4": 60000, "gif": 100}  # a second; MPEG-4 counts to 65535, GIF in hundredths
_THREADS = 4  # the number of threads changes the bytes, so it is fixed
_BT709 = 1
# x264's code for AVX-512 does not always give the same bytes, and JAX needs AVX as well.
_QUALITY = {"libx264": {"crf": "20", "preset": "medium", "x264-params": "asm=AVX"}, "mpeg4": {"qscale": "3"}}


class Clip(NamedTuple):
    """A video whose frames were processed.

    Attributes:
        number: from 1, its id in the annotations.
        width: width of its frames, in pixels.
        height: height of its frames, in pixels.
        frames: int64 ``[t]``, increasing numbers of the frames processed.
        seconds: float64 ``[t]``, presentation times of these frames.
        file: the video with boxes drawn in, relative to the annotations; ``None`` if not written.
    """

    number: int
    name: str
    width: int
    height: int
    rate: float
    frames: np.ndarray
    seconds: np.ndarray
    file: str | None = None


def place_of(finding: Finding) -> tuple[str, int]:
    """The video that a frame belongs to, and its number there."""
    place, _, number = str(finding.path).rpartition("#")
    return place, int(number)


def write_annotations(path: str | os.PathLike[str], findings: Findings, clips: Mapping[str, Clip]) -> None:
    """Write the annotation file of COCO-VID atomically, a line at a time.

    It adds ``videos`` to what ``jaxloc.report.coco`` writes. An image has ``video_id``, ``frame_id`` (its index among
    the processed frames of its video), ``frame_number`` (in the file) and ``time`` in seconds; an annotation has
    ``video_id``, ``instance_id`` (one object per video) and ``bridged``: whether the box was interpolated from the
    frames before and after. ``clips`` are the videos by their places.
    """

    def of_image(finding: Finding) -> Mapping[str, Any]:
        place, frame = place_of(finding)
        clip = clips[place]
        at = int(np.searchsorted(clip.frames, frame))
        time = round(float(clip.seconds[at]), 6)
        return {"video_id": clip.number, "frame_id": at, "frame_number": frame, "time": time}

    def of_annotation(finding: Finding) -> Mapping[str, Any]:
        number = clips[place_of(finding)[0]].number
        return {"video_id": number, "instance_id": number, "bridged": not finding.found}

    videos = (
        {"id": clip.number, "name": clip.name, "width": clip.width, "height": clip.height, "fps": round(clip.rate, 6)}
        | ({} if clip.file is None else {"file": clip.file})
        for clip in clips.values()
    )
    coco.write(path, findings, sections={"videos": videos}, image=of_image, annotation=of_annotation)


def write_video(path: str | os.PathLike[str], frames: Iterable[tuple[Fraction, Image.Image]]) -> None:
    """Write a silent video in one step, a frame at a time; the same bytes for the same frames.

    MP4 is H.264, or MPEG-4 part 2 where PyAV was built without the encoder; its sides are made even by repeating the
    last row or column. GIF has a palette for each frame.

    Args:
        path: the file to write or replace, ``.mp4`` or ``.gif``.
        frames: at least one: when it is shown, in seconds from the first and rising, and its image; those of another
            size than the first are resized to it.
    """
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    try:
        import av
    except ImportError as error:
        raise UsageError(f"{path}: writing a video needs PyAV: pip install 'jaxloc[video]'") from error
    coming = iter(frames)
    first = next(coming)
    images = _ticks(itertools.chain([first], coming), first[1].size, _TICKS[kind])
    width, height = first[1].size
    options = {"mp4": {"movflags": "+faststart"}, "gif": {"loop": "0"}}[kind] | {"fflags": "+bitexact"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format=kind, options=options) as container:
        if kind == "gif":
            stream: Any = container.add_stream("gif", rate=_TICKS[kind])
            stream.pix_fmt = "pal8"
        else:
            width, height = width + width % 2, height + height % 2
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            stream = container.add_stream(codec, rate=25, options=_QUALITY[codec])
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.thread_count = _THREADS
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = _BT709
        stream.width, stream.height = width, height
        stream.codec_context.time_base = Fraction(1, _TICKS[kind])
        ready = (_to_frame(at, pixels, _TICKS[kind]) for at, pixels in images)
        for frame in _with_palettes(ready, width, height) if kind == "gif" else map(_to_yuv, ready):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _ticks(
    frames: Iterable[tuple[Fraction, Image.Image]], size: tuple[int, int], ticks: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Times in whole ticks, each later than the one before, and RGB pixels of one size."""
    before = -1
    for seconds, image in frames:
        before = max(before + 1, round(seconds * ticks))
        image = image if image.size == size else image.resize(size)
        yield before, np.asarray(image.convert("RGB"))


def _to_frame(at: int, pixels: np.ndarray, ticks: int) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame.pts, frame.time_base = at, Fraction(1, ticks)
    return frame


def _to_yuv(frame: Any) -> Any:
    if frame.width % 2 or frame.height % 2:
        pixels = np.pad(frame.to_ndarray(), ((0, frame.height % 2), (0, frame.width % 2), (0, 0)), "edge")
        frame = _to_frame(frame.pts, pixels, frame.time_base.denominator)
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709")


def _with_palettes(frames: Iterable[Any], width: int, height: int) -> Iterator[Any]:
    """Frames of 256 colours, chosen for each frame."""
    import av

    graph, rgb = av.filter.Graph(), av.VideoFormat("rgb24", width, height)
    source = graph.add_buffer(width=width, height=height, format=rgb, time_base=Fraction(1, _TICKS["gif"]))
    split, chosen = graph.add("split"), graph.add("palettegen", "stats_mode=single")
    used, sink = graph.add("paletteuse", "new=1"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(chosen, 1, 0)
    chosen.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    for frame in itertools.chain(frames, [None]):
        graph.push(frame)
        while True:
            try:
                yield graph.pull()
            except (av.BlockingIOError, av.EOFError):  # it wants another frame, or has given all
                break
