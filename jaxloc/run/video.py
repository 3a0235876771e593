"""Findings in videos over time: tracks, COCO-VID annotations, and videos with the box drawn."""

import dataclasses
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc import tracks
from jaxloc.data import read_image
from jaxloc.data.archives import Video
from jaxloc.data.kinds import archive_kind
from jaxloc.errors import ImageError, UsageError
from jaxloc.options import VideoOptions
from jaxloc.report import video
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.records import Finding, Findings, StoredImages
from jaxloc.report.video import Clip, place_of
from jaxloc.run.outputs import VIDEO_ANNOTATIONS, VIDEOS
from jaxloc.run.writing import disk_errors

_SHORTEST = 64


@dataclasses.dataclass(frozen=True)
class _Followed:
    """One video: its frames, the object's box in each, and which of them were outliers."""

    clip: Clip
    source: Video
    boxes: np.ndarray
    outliers: np.ndarray

    def refine(self, finding: Finding, number: int) -> Finding:
        """What was found in a frame, with the box of the track."""
        at = int(np.searchsorted(self.clip.frames, number))
        x0, y0, x1, y1 = self.boxes[at].tolist()
        box = None if math.isnan(x0) else (x0, y0, x1, y1)
        if self.outliers[at]:
            return dataclasses.replace(finding, box=box, found=False, score=0.0, mask=None, parts=())
        return dataclasses.replace(finding, box=box)


def write_outputs(out: Path, findings: Findings, options: VideoOptions | None = None) -> list[Path]:
    """Write ``annotations_vid.json`` and a video for each video processed; nothing if there is none.

    Args:
        out: folder of the results.
        findings: of a finished job; images that are not frames of a video are ignored.
        options: what to make.

    Returns:
        the files written.

    Raises:
        UsageError: PyAV is missing, a video is missing or would be replaced, or the folder is not writable.
    """
    options = options or VideoOptions()
    followed = _follow(findings, options)
    if not followed:
        return []
    view = dataclasses.replace(findings, images=_Frames(findings, followed))
    names = _file_names([one.clip.name for one in followed.values()])
    targets = {
        place: out / VIDEOS / f"{names[one.clip.name]}.{options.kind}"
        for place, one in followed.items()
        if options.kind != "none"
    }
    _check_kept(followed, targets.values())
    written = [out / VIDEO_ANNOTATIONS]
    with disk_errors(out):
        drawn = {place: target.relative_to(out).as_posix() for place, target in targets.items()}
        clips = {place: one.clip._replace(file=drawn.get(place)) for place, one in followed.items()}
        video.write_annotations(written[0], view, clips)
        if targets:
            shown = iter(view.images) if options.heat else view.light()
            for place, frames in itertools.groupby(shown, lambda finding: place_of(finding)[0]):
                one = followed[place]
                written.append(targets[place])
                video.write_video(written[-1], _drawn(one, frames, options.heat))
    return written


def _check_kept(places: Iterable[str], targets: Iterable[Path]) -> None:
    """Raise ``UsageError`` if a video that was read would be replaced by one that is drawn."""
    replaced = {os.path.realpath(target) for target in targets}
    for place in places:
        if os.path.realpath(place) in replaced:
            raise UsageError(f"{place}: the video drawn of it would replace it: choose another --out, or --video none")


def _is_frame(finding: Finding) -> bool:
    """Whether a finding is the first object of a frame, which is what is drawn."""
    place, hash_sign, number = str(finding.path).rpartition("#")
    return bool(hash_sign) and number.isdecimal() and archive_kind(place) == "video" and not finding.rank


def _follow(findings: Findings, options: VideoOptions) -> dict[str, _Followed]:
    """Each video by its place, with the numbers and boxes of its frames."""
    followed: dict[str, _Followed] = {}
    frames = filter(_is_frame, findings.light())
    for place, some in itertools.groupby(frames, lambda finding: place_of(finding)[0]):
        first, *_ = known = [(finding.name, place_of(finding)[1], finding.box) for finding in some]
        numbers = np.array([number for _, number, _ in known], np.int64)
        boxes = np.array([box or (np.nan,) * 4 for _, _, box in known], np.float64)
        source = Video(place)
        rows, columns = source.image_size
        name = first[0].rpartition("/")[0] or place.rpartition("/")[2]
        seconds = np.array([float(source.time(number)) for number in numbers.tolist()])
        clip = Clip(len(followed) + 1, name, columns, rows, float(source.rate), numbers, seconds)
        outliers = np.zeros(len(numbers), bool)
        if options.smooth:
            boxes, outliers = _smoothed(numbers, boxes, (columns, rows), options)
        followed[place] = _Followed(clip, source, boxes, outliers)
    return followed


def _smoothed(
    numbers: np.ndarray, boxes: np.ndarray, size: tuple[int, int], options: VideoOptions
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of a track, and which were outliers; frames that could not be read count as time without a box."""
    places = (numbers - numbers[0]) // (int(np.gcd.reduce(np.diff(numbers))) or 1)
    length = int(places[-1]) + 1
    shape = max(_SHORTEST, 1 << (length - 1).bit_length())  # a program for each power of two, not for each video
    every, found = np.zeros((shape, 4), np.float32), np.zeros(shape, bool)
    every[places], found[places] = np.nan_to_num(boxes), ~np.isnan(boxes[:, 0])
    track = tracks.smooth(every, found, length=length, gap=options.gap)
    inside = np.clip(np.asarray(track.boxes, np.float64)[places], 0, np.array([*size, *size]))
    return inside, np.asarray(track.outliers)[places]


class _Frames(StoredImages):
    """The frames of the videos among a job's images, with the boxes of their tracks."""

    def __init__(self, findings: Findings, followed: Mapping[str, _Followed]) -> None:
        self._findings, self._followed = findings, followed

    def __len__(self) -> int:
        return sum(len(one.boxes) for one in self._followed.values())

    def __iter__(self) -> Iterator[Finding]:
        return self._of(iter(self._findings.images))

    def light(self, *, deviations: bool = False) -> Iterator[Finding]:
        """Each frame in order, without heat map, thumbnail and, unless asked for, deviation."""
        return self._of(self._findings.light(deviations=deviations))

    def categories(self) -> set[str]:
        """The names of the image sets that have frames."""
        return {finding.category for finding in self.light()}

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def _of(self, findings: Iterator[Finding]) -> Iterator[Finding]:
        for finding in filter(_is_frame, findings):
            place, number = place_of(finding)
            yield self._followed[place].refine(finding, number)


def _drawn(one: _Followed, frames: Iterator[Finding], heat: bool) -> Iterator[tuple[Fraction, Image.Image]]:
    start = one.source.time(int(one.clip.frames[0]))
    for finding in frames:
        _, number = place_of(finding)
        try:
            image = Image.fromarray(read_image(one.source.path(number)).pixels)
        except ImageError:
            continue  # it was read before; its box is in the annotations all the same
        yield (
            one.source.time(number) - start,
            draw_overlay(image, finding if heat else dataclasses.replace(finding, heat=None)),
        )


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """The videos' names without their extensions; of those that would be the same, the whole name."""
    stems = {name: os.path.splitext(name)[0] for name in names}
    counts = Counter(stems.values())
    return {name: stem if counts[stem] == 1 else name for name, stem in stems.items()}
