"""What a job on videos leaves: tracks, annotations, videos with the box drawn."""

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import find_sets
from jaxloc.errors import UsageError
from jaxloc.options import VideoOptions
from jaxloc.report.records import Findings
from jaxloc.run.outputs import VIDEO_ANNOTATIONS as ANNOTATIONS
from jaxloc.run.outputs import VIDEOS
from jaxloc.run.video import write_outputs
from tests.report import examples

av = pytest.importorskip("av", reason="PyAV is not installed")

SIZE = (96, 64)
CYAN = (0, 229, 255)


def write(path: Path, frames: int = 30) -> Path:
    """A grey clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(frames):
            shade = 60 + number
            frame = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), shade, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def box_of(number: int) -> tuple[float, float, float, float]:
    return (10.0 + number, 20.0, 50.0 + number, 60.0)


def found_in(*paths: Path, missing=(), outliers=(), step: int = 1) -> Findings:
    """What a job finds that sees the truth, but for frames without a box and with a wrong one."""
    [images] = find_sets(list(paths))
    photos = []
    for source in images.sources:
        number = int(source.name.rpartition("/")[2])
        if number % step:
            continue
        there = number not in missing
        box = (70.0, 2.0, 90.0, 12.0) if number in outliers else box_of(number)
        photos.append(
            examples.image(
                source.name,
                images.name,
                path=str(source.path),
                width=SIZE[0],
                height=SIZE[1],
                box=box if there else None,
                found=there,
                score=0.5 if there else 0.0,
                heat=np.array([[127, -127]], np.int8),
            )
        )
    return examples.ddt(images=photos, skipped=[])


def annotations(out: Path) -> dict[str, tuple[float, ...]]:
    """Corners by the frame's name."""
    entries = json.loads((out / ANNOTATIONS).read_text())
    names = {image["id"]: image["file_name"] for image in entries["images"]}
    boxes = {names[one["image_id"]]: one["bbox"] for one in entries["annotations"]}
    return {name: (x, y, x + width, y + height) for name, (x, y, width, height) in boxes.items()}


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def cyan_columns(pixels: np.ndarray) -> tuple[int, int]:
    """Where the box's line begins and ends, roughly."""
    near = np.abs(pixels[20:60].astype(int) - CYAN).sum(2) < 160
    columns = np.flatnonzero(near.sum(0) > 15)
    return int(columns.min()), int(columns.max())


def test_annotations_and_a_video_are_written_for_each_clip(tmp_path):
    first, second = write(tmp_path / "clips/a.mp4", 6), write(tmp_path / "clips/b.mov", 4)
    out = tmp_path / "out"
    written = write_outputs(out, found_in(first, second))
    assert written == [out / ANNOTATIONS, out / VIDEOS / "a.mp4", out / VIDEOS / "b.mp4"]
    assert [len(frames(path)) for path in written[1:]] == [6, 4]
    entries = json.loads((out / ANNOTATIONS).read_text())
    assert [(one["id"], one["name"], one["fps"]) for one in entries["videos"]] == [
        (1, "a.mp4", 25.0),
        (2, "b.mov", 25.0),
    ]
    assert annotations(out)["b.mov/000003"] == box_of(3)


def test_clips_that_differ_by_their_extension_get_a_video_each(tmp_path):
    clips = [write(tmp_path / f"a.{kind}", 2) for kind in ("mov", "mp4")]
    written = write_outputs(tmp_path / "out", found_in(*clips), VideoOptions(kind="gif"))
    assert [path.name for path in written[1:]] == ["a.mov.gif", "a.mp4.gif"]


def test_the_box_is_drawn_where_it_was_found(tmp_path):
    clip = write(tmp_path / "clip.mp4")
    [_, path] = write_outputs(tmp_path / "out", found_in(clip, missing=[7]))
    shown = frames(path)
    assert [round(time, 4) for time, _ in shown] == [round(number / 25, 4) for number in range(30)]
    for number in (0, 12, 29):
        left, right = cyan_columns(shown[number][1])
        assert abs(left - box_of(number)[0]) <= 2
        assert abs(right - box_of(number)[2]) <= 3
    assert np.abs(shown[7][1][30:].astype(int) - (60 + 7)).max() < 8
    assert abs(int(shown[12][1][40, 40, 1]) - (60 + 12)) < 8


def test_smoothing_removes_an_outlier_and_bridges_a_gap(tmp_path):
    clip = write(tmp_path / "clip.mp4")
    findings = found_in(clip, missing=[7, 8, 20, 21, 22, 23], outliers=[13])
    options = VideoOptions(smooth=True, gap=3, kind="none")
    assert write_outputs(tmp_path / "out", findings, options) == [tmp_path / "out" / ANNOTATIONS]
    boxes = annotations(tmp_path / "out")
    assert sorted(set(range(30)) - {int(name) for name in boxes}) == [20, 21, 22, 23]
    for name, box in boxes.items():
        np.testing.assert_allclose(box, box_of(int(name)), atol=1e-3)
    entries = json.loads((tmp_path / "out" / ANNOTATIONS).read_text())
    bridged = [entries["images"][one["image_id"] - 1]["file_name"] for one in entries["annotations"] if one["bridged"]]
    assert bridged == ["000007", "000008", "000013"]
    assert [one["score"] for one in entries["annotations"] if one["bridged"]] == [0.0] * 3


def test_without_smoothing_boxes_are_as_they_were_found(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4"), missing=[7], outliers=[13])
    write_outputs(tmp_path / "out", findings, VideoOptions(kind="none"))
    boxes = annotations(tmp_path / "out")
    assert list(boxes) == [f"{number:06}" for number in range(30) if number != 7]
    assert boxes["000013"] == (70.0, 2.0, 90.0, 12.0)


def test_smoothing_counts_in_frames_that_were_looked_at(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4"), missing=[12, 15], step=3)
    write_outputs(tmp_path / "out", findings, VideoOptions(kind="none", smooth=True, gap=2))
    boxes = annotations(tmp_path / "out")
    assert [int(name) for name in boxes] == list(range(0, 30, 3))
    np.testing.assert_allclose(boxes["000012"], box_of(12), atol=1e-3)


def test_frames_that_could_not_be_read_count_as_time(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4"))
    images = [one for one in findings.images if int(one.name) not in (10, 11, 12)]
    for gap, boxes in ((3, [9, 13]), (2, [9, 13])):
        some = dataclasses.replace(findings, images=images)
        write_outputs(tmp_path / "out", some, VideoOptions(kind="none", smooth=True, gap=gap))
        found = annotations(tmp_path / "out")
        assert len(found) == 27
        for number in boxes:
            np.testing.assert_allclose(found[f"{number:06}"], box_of(number), atol=1e-3)


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_clips_are_smoothed_too(tmp_path, count):
    findings = found_in(write(tmp_path / "clip.mp4", count))
    write_outputs(tmp_path / "out", findings, VideoOptions(smooth=True))
    assert annotations(tmp_path / "out")["000000"] == box_of(0)


def test_heat_is_drawn_if_asked_for(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4", 4))
    shown = []
    for heat in (False, True):
        [_, path] = write_outputs(tmp_path / f"{heat}", findings, VideoOptions(heat=heat))
        shown.append(frames(path)[2][1].astype(int))
    plain, hot = shown
    assert (hot[:, :40, 0] - hot[:, :40, 2]).mean() > 40
    assert abs((plain[:, :40, 0] - plain[:, :40, 2]).mean()) < 25
    assert np.abs(hot - plain)[:, 60:].mean() < 5


def test_stored_findings_give_the_same_bytes(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4"), missing=[7], outliers=[13])
    for name, some in (("a", findings), ("b", examples.stored(findings, tmp_path / "parts", 7))):
        write_outputs(tmp_path / name, some, VideoOptions(smooth=True, heat=True))
    for name in (ANNOTATIONS, f"{VIDEOS}/clip.mp4"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_images_that_are_no_frames_are_passed_over(tmp_path):
    assert write_outputs(tmp_path / "out", examples.ddt()) == []
    assert not (tmp_path / "out").exists()
    findings = found_in(write(tmp_path / "clip.mp4", 3))
    others = [examples.image("x/a.jpg"), examples.image("t/b.jpg", path="/x/t.tar#000001")]
    mixed = dataclasses.replace(findings, images=[*others, *findings.images])
    write_outputs(tmp_path / "out", mixed)
    assert list(annotations(tmp_path / "out")) == ["000000", "000001", "000002"]


def test_a_video_that_went_away_is_named(tmp_path):
    findings = found_in(write(tmp_path / "clip.mp4", 3))
    (tmp_path / "clip.mp4").unlink()
    with pytest.raises(UsageError, match=r"clip\.mp4: no such file or folder"):
        write_outputs(tmp_path / "out", findings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "webm"}, "video must be one of mp4, gif, none, not 'webm'"),
        ({"gap": -1}, "frames to bridge must be at least 0, not -1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        VideoOptions(**options)


def test_the_images_of_the_clip_are_left_alone(tmp_path):
    clip = write(tmp_path / "clip.mp4", 3)
    before = clip.read_bytes()
    [_, path] = write_outputs(tmp_path, found_in(clip))
    assert clip.read_bytes() == before
    assert path != clip
    assert Image.fromarray(frames(path)[0][1]).size == SIZE


def test_a_clip_in_the_place_of_what_would_be_drawn_of_it_is_left_alone(tmp_path):
    clip = write(tmp_path / "out" / "video" / "clip.mp4")
    before = clip.read_bytes()
    with pytest.raises(
        UsageError, match=r"clip\.mp4: the video drawn of it would replace it: choose another --out, or"
    ):
        write_outputs(tmp_path / "out", found_in(clip))
    assert clip.read_bytes() == before
    assert write_outputs(tmp_path / "out", found_in(clip), VideoOptions(kind="none"))
