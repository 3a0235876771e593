"""Videos that are written: what is in them, how they are written, and their annotations."""

import dataclasses
import json
import sys
import weakref
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence
from pycocotools.coco import COCO

from jaxloc.errors import UsageError
from jaxloc.report.video import Clip, place_of, write_annotations, write_video
from tests.report import examples

av = pytest.importorskip("av", reason="PyAV is not installed")

KINDS = ("mp4", "gif")


def moving(frames: int = 12, size: tuple[int, int] = (64, 48), rate: int = 25):
    """A bright square that moves to the right over grey."""
    for number in range(frames):
        image = Image.new("RGB", size, (90, 90, 90))
        image.paste((250, 180, 40), (2 + 3 * number, 10, 18 + 3 * number, 26))
        yield Fraction(number, rate), image


def read(path) -> list[tuple[float, np.ndarray]]:
    """Times in seconds and pixels."""
    if path.suffix == ".gif":
        with Image.open(path) as image:
            found, time = [], 0
            for frame in ImageSequence.Iterator(image):
                found.append((time / 1000, np.asarray(frame.convert("RGB"))))
                time += frame.info["duration"]
            return found
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_written_at_its_time(tmp_path, kind):
    path = tmp_path / f"out/a.{kind}"
    write_video(path, moving())
    found = read(path)
    assert len(found) == 12
    np.testing.assert_allclose([time for time, _ in found], np.arange(12) / 25, atol=1e-6)
    for (_, pixels), (_, image) in zip(found, moving(), strict=True):
        assert np.abs(pixels.astype(int) - np.asarray(image)).mean() < 6
    assert [path.name for path in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames_give_the_same_bytes(tmp_path, kind):
    for name in "ab":
        write_video(tmp_path / f"{name}.{kind}", moving())
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_uneven_times_are_kept(tmp_path, kind):
    times = [Fraction(one, 100) for one in (0, 4, 50, 54, 200)]
    path = tmp_path / f"a.{kind}"
    write_video(path, zip(times, (image for _, image in moving(5)), strict=True))
    np.testing.assert_allclose([time for time, _ in read(path)], [float(time) for time in times], atol=1e-6)


def test_times_that_fall_together_follow_one_another(tmp_path):
    path = tmp_path / "a.gif"
    write_video(path, moving(6, rate=10_000))
    assert len(read(path)) == 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(63, 47), (1, 1), (17, 48)])
def test_odd_sides_lose_nothing(tmp_path, kind, size):
    path = tmp_path / f"a.{kind}"
    write_video(path, moving(3, size))
    height, width, _ = read(path)[0][1].shape
    assert (width, height) == (size if kind == "gif" else tuple(side + side % 2 for side in size))


def test_frames_of_another_size_take_that_of_the_first(tmp_path):
    path = tmp_path / "a.mp4"
    frames = [*moving(2), (Fraction(1), Image.new("L", (128, 96), 200))]
    write_video(path, frames)
    found = read(path)
    assert [pixels.shape for _, pixels in found] == [(48, 64, 3)] * 3
    assert np.abs(found[2][1].astype(int) - 200).max() < 6


def test_colours_are_those_of_the_images(tmp_path):
    path = tmp_path / "a.mp4"
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 229, 255), (16, 20, 24)]
    write_video(path, [(Fraction(i), Image.new("RGB", (64, 48), colour)) for i, colour in enumerate(colours)])
    for (_, pixels), colour in zip(read(path), colours, strict=True):
        assert np.abs(pixels.astype(int) - colour).max() < 12


def test_it_is_written_with_the_other_encoder_where_one_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    write_video(tmp_path / "a.mp4", moving())
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert len(read(tmp_path / "a.mp4")) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_taken_one_at_a_time(tmp_path, kind):
    alive = []

    def frames():
        for seconds, image in moving(300, (16, 16)):
            alive.append(1)
            weakref.finalize(image, alive.pop)
            yield seconds, image
            assert len(alive) <= 4

    write_video(tmp_path / f"a.{kind}", frames())


def test_a_stop_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, moving(3))
    before = path.read_bytes()

    def broken():
        yield from moving(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, broken())
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"a\.mp4: writing a video needs PyAV: pip install 'jaxloc\[video\]'$"):
        write_video(tmp_path / "a.mp4", moving())
    assert not list(tmp_path.iterdir())


def frames_of(place: str, numbers, **changes):
    stem = place.rpartition("/")[2]
    return [examples.image(f"{stem}/{number:06}", path=f"{place}#{number:06}", **changes) for number in numbers]


def clip(number: int, name: str, frames) -> Clip:
    frames = np.array(frames)
    return Clip(number, name, 640, 480, 29.97, frames, frames / 29.97)


def test_annotations_tell_videos_frames_and_instances_apart(tmp_path):
    images = frames_of("/x/a.mp4", [0, 5, 15]) + frames_of("/x/b.mov", [2])
    images[1] = dataclasses.replace(images[1], box=None, found=False, score=0.0)
    images[2] = dataclasses.replace(images[2], found=False, score=0.0)
    findings = examples.ddt(images=images, skipped=[])
    clips = {"/x/a.mp4": clip(1, "a.mp4", [0, 5, 15]), "/x/b.mov": clip(2, "b.mov", [2])}
    write_annotations(tmp_path / "vid.json", findings, clips)
    found = json.loads((tmp_path / "vid.json").read_text())
    assert found["videos"] == [
        {"id": 1, "name": "a.mp4", "width": 640, "height": 480, "fps": 29.97},
        {"id": 2, "name": "b.mov", "width": 640, "height": 480, "fps": 29.97},
    ]
    fields = ("id", "video_id", "frame_id", "frame_number", "time", "file_name")
    assert [tuple(image[field] for field in fields) for image in found["images"]] == [
        (1, 1, 0, 0, 0.0, "a.mp4/000000"),
        (2, 1, 1, 5, 0.166834, "a.mp4/000005"),
        (3, 1, 2, 15, 0.500501, "a.mp4/000015"),
        (4, 2, 0, 2, 0.066733, "b.mov/000002"),
    ]
    fields = ("image_id", "video_id", "instance_id", "bridged", "bbox")
    assert [tuple(one[field] for field in fields) for one in found["annotations"]] == [
        (1, 1, 1, False, [64.0, 48.0, 256.0, 192.0]),
        (3, 1, 1, True, [64.0, 48.0, 256.0, 192.0]),
        (4, 2, 2, False, [64.0, 48.0, 256.0, 192.0]),
    ]
    write_annotations(tmp_path / "again.json", examples.stored(findings, tmp_path / "parts"), clips)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "vid.json").read_bytes()


def test_annotations_are_opened_by_pycocotools(tmp_path, capsys):
    findings = examples.ddt(images=frames_of("/x/a.mp4", range(4)), skipped=[])
    write_annotations(tmp_path / "vid.json", findings, {"/x/a.mp4": clip(1, "a.mp4", range(4))})
    loaded = COCO(str(tmp_path / "vid.json"))
    assert len(loaded.getAnnIds(imgIds=[2])) == 1
    assert loaded.loadImgs([3])[0]["frame_id"] == 2


@pytest.mark.parametrize(("path", "expected"), [("/a#b/c.mp4#000012", ("/a#b/c.mp4", 12)), ("c#7", ("c", 7))])
def test_a_frame_tells_its_video_and_number(path, expected):
    assert place_of(examples.image("x", path=path)) == expected
