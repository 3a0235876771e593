"""Frames of videos as images: exact numbers, any order, any thread, upright, and what is refused."""

import itertools
import pickle
import random
import struct
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from jaxloc.data import find_sets, read_image, read_size
from jaxloc.data.archives import open_archive, open_archives, video
from jaxloc.data.archives.video import Video
from jaxloc.errors import ImageError, PlaceError, UsageError
from tests.data.encoded import image, names_of

av = pytest.importorskip("av", reason="PyAV is not installed")

ROWS, COLUMNS = 48, 64
B_FRAMES = {"bf": "3", "g": "12"}


def shade(number: int) -> int:
    """Of a frame, far enough from its neighbours' to tell them apart."""
    return 20 + 9 * (number % 24)


def write(
    path: Path,
    codec: str = "libx264",
    *,
    frames: int = 40,
    options: dict[str, str] | None = B_FRAMES,
    times: Iterable[int] | None = None,
    muxing: dict[str, str] | None = None,
) -> Path:
    """A clip whose frames are of one shade each, shown at ``times`` in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in zip(range(frames), times or itertools.count(0, 40), strict=False):
            pixels = np.full((ROWS, COLUMNS, 3), shade(number), np.uint8)
            pixels[:8, :16] = 255  # a white corner says which way is up
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shade_of(part: Video, number: int) -> int:
    return int(read_image(part.path(number)).pixels[40, 50, 0])


def check(part: Video, numbers: Iterable[int], step: int = 1) -> None:
    numbers = list(numbers)
    wrong = {n: shade_of(part, n) for n in numbers if abs(shade_of(part, n) - shade(n * step)) > 4}
    assert not wrong


KINDS = {
    "b-frames.mp4": ("libx264", B_FRAMES),
    "open.mkv": ("libx264", {"x264-params": "keyint=10:open-gop=1:bframes=3"}),
    "one-key.mov": ("libx264", {"g": "1000", "bf": "2"}),
    "all-keys.m4v": ("libx264", {"g": "1"}),
    "vp9.webm": ("libvpx-vp9", {"g": "12", "lag-in-frames": "16", "auto-alt-ref": "1", "cpu-used": "8"}),
    "vp8.webm": ("libvpx", {"g": "12", "lag-in-frames": "16", "auto-alt-ref": "1", "cpu-used": "8"}),
    "counted.avi": ("libx264", B_FRAMES),
    "old.avi": ("mpeg4", {"g": "12", "qmin": "1", "qmax": "2"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_the_one_of_its_number_in_any_order(tmp_path, name):
    part = Video(str(write(tmp_path / name, KINDS[name][0], options=KINDS[name][1])))
    assert len(part) == 40
    check(part, range(40))
    check(part, reversed(range(0, 40, 3)))
    check(part, random.Random(0).choices(range(40), k=20))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_frames_shown_at_uneven_times_are_found_by_them(tmp_path, kind):
    gaps = np.random.default_rng(0).integers(5, 300, 40)
    times = np.cumsum(gaps).tolist()
    part = Video(str(write(tmp_path / f"a.{kind}", times=times)))
    assert len(part) == 40
    check(part, random.Random(1).sample(range(40), 40))
    shown = [float(part.time(number)) * 1000 for number in range(40)]
    np.testing.assert_allclose(shown, np.array(times) - times[0], atol=1)


def test_a_clip_is_an_archive_of_frames_named_by_their_numbers(tmp_path):
    path = write(tmp_path / "clip.mp4", frames=12)
    [images] = find_sets([path])
    assert names_of([images]) == {"clip": [f"{number:06}" for number in range(12)]}
    source = images.sources[7]
    assert str(source.path) == f"{path}#000007"
    assert read_image(source.path).pixels.shape == (ROWS, COLUMNS, 3)
    assert source.path.read().startswith(b"P6\n64 48\n255\n")


def test_several_clips_are_one_set_or_one_each(tmp_path):
    for name in ("a.mp4", "b.MOV"):
        write(tmp_path / "clips" / name, frames=2)
    names = ["000000", "000001"]
    together = [f"{clip}/{name}" for clip in ("a.mp4", "b.MOV") for name in names]
    assert names_of(find_sets([tmp_path / "clips"])) == {"clips": together}
    parted = find_sets([tmp_path / "clips"], per_folder=True)
    assert names_of(parted) == {"a": together[:2], "b": together[2:]}


def test_a_folder_of_images_stays_one_whatever_clips_lie_in_it(tmp_path):
    write(tmp_path / "trip/a.mp4", frames=2)
    (tmp_path / "trip/a.png").write_bytes(image(1))
    assert names_of(find_sets([tmp_path / "trip"])) == {"trip": ["a.png"]}


def test_every_nth_frame_keeps_its_number(tmp_path):
    path = write(tmp_path / "clip.mp4", frames=11)
    for step, number in ((1, 11), (2, 6), (5, 3), (10, 2), (11, 1), (99, 1)):
        part = open_archive(str(path), every=step)
        assert [part.name(i) for i in range(len(part))] == [f"{i * step:06}" for i in range(number)]
        check(part, range(number), step)
    assert [len(part) for part in open_archives([str(path)], every=4)] == [3]
    with pytest.raises(UsageError, match="every N-th frame of a video is taken with N of at least 1, not 0"):
        open_archive(str(path), every=0)


def test_records_are_equal_hashable_and_read_elsewhere(tmp_path):
    part = Video(str(write(tmp_path / "a.mp4", frames=3)))
    record = part.path(2)
    assert {record, part.path(2), pickle.loads(pickle.dumps(record))} == {record}
    assert record != part.path(1)


def test_many_threads_get_the_right_frames(tmp_path):
    parts = [Video(str(write(tmp_path / f"{i}.{kind}"))) for i, kind in enumerate(("mp4", "avi", "mkv"))]
    wanted = [(part, number) for number in range(40) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: shade_of(*one), wanted))
    assert all(abs(got - shade(number)) <= 4 for got, (_, number) in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", ["b-frames.mp4", "counted.avi"])
def test_reading_in_order_from_any_thread_decodes_each_frame_once(tmp_path, monkeypatch, name):
    path = write(tmp_path / name)
    decoded = []
    frames = video._frames

    def counted(container, stream):
        for frame in frames(container, stream):
            decoded.append(frame.pts)
            yield frame

    part = Video(str(path))
    video._decoders.cache_clear()
    monkeypatch.setattr(video, "_frames", counted)
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            pool.submit(part.path(number).read).result()
    assert len(decoded) == 40


@pytest.mark.parametrize("name", ["b-frames.mp4", "counted.avi"])
def test_threads_that_ask_late_do_not_restart_the_video(tmp_path, monkeypatch, name):
    part = Video(str(write(tmp_path / name, frames=60)), every=6)
    opened = []
    monkeypatch.setattr(video, "_open", lambda *a, original=video._open: opened.append(1) or original(*a))
    video._decoders.cache_clear()
    check(part, [3, 2, 0, 1, 6, 5, 4, 9, 8, 7], 6)
    assert len(opened) == 1
    monkeypatch.setattr(video, "_KEPT", 1)
    video._decoders.cache_clear()
    check(part, [9, 0], 6)
    assert len(opened) == 3


def test_few_frames_of_a_long_video_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_KEPT", 3)
    part = Video(str(write(tmp_path / "a.mp4")))
    check(part, [*range(40), 3, 38, 0])
    assert 1 <= len(video._decoder(part)._kept) <= 4


def test_sizes_are_known_without_reading(tmp_path, monkeypatch):
    part = Video(str(write(tmp_path / "a.mp4", frames=3)))
    monkeypatch.setattr(video.VideoFrame, "read", lambda self: pytest.fail("it was read"))
    assert read_size(part.path(1)) == (ROWS, COLUMNS)
    assert read_size(part.path(1), shorter_side=24) == (24, 32)


# What a player does to the stored image, as MP4 writes it: a, b, c, d of its matrix.
TURNS = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "quarter clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "half": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "quarter counterclockwise": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored and turned": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_turned_as_the_file_says(tmp_path, turn):
    path = write(tmp_path / "a.mp4", frames=3)
    stored = read_image(Video(str(path)).path(1)).pixels
    matrix, expected = TURNS[turn]
    data = path.read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    place = data.index(plain, data.index(b"tkhd"))
    a, b, c, d = (value << 16 for value in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data[:place] + turned + data[place + len(plain) :])
    part = Video(str(tmp_path / "turned.mp4"))
    pixels = read_image(part.path(1)).pixels
    np.testing.assert_array_equal(pixels, expected(stored))
    assert read_size(part.path(1)) == part.image_size == pixels.shape[:2]


def test_of_a_clip_cut_short_the_missing_frames_are_named(tmp_path):
    whole = write(tmp_path / "whole.mp4", muxing={"movflags": "+faststart"}, options={"g": "10", "bf": "0"})
    data = whole.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.index(b"mdat") + 4 + (len(data) - data.index(b"mdat")) // 2])
    part = Video(str(path))
    assert len(part) == 40
    there = [number for number in range(40) if part.path(number).image_size]
    assert there == list(range(len(there)))
    assert 5 < len(there) < 35
    check(part, there)
    for number in (len(there), 39):
        with pytest.raises(ImageError, match="missing or damaged frame: the video was cut short, copy it again"):
            read_image(part.path(number))
        assert read_size(part.path(number)) is None
        assert str(part.path(number)) == f"{path}#{number:06}"


@pytest.mark.parametrize("content", [b"", b"no video at all", b"hello, this is text\n" * 200, image(3)])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.webm"])
def test_what_is_no_video_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name}: truncated, or no video of a kind that is read \(.*\): copy it"):
        find_sets([tmp_path / name])


def test_a_clip_whose_index_is_cut_off_is_named(tmp_path):
    data = write(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"cut\.mp4: truncated, or no video of a kind that is read"):
        find_sets([tmp_path / "cut.mp4"])


def test_sound_without_images_is_named(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UsageError, match=r"song\.mp4: holds no image: no video that can be decoded, only audio"):
        find_sets([path])


def test_a_damaged_frame_does_not_keep_the_others_from_being_read(tmp_path):
    path = write(tmp_path / "a.mp4", options={"g": "5", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[20]
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    part = Video(str(path))
    with pytest.raises(ImageError, match=r"this frame of the video (does not decode|is damaged)"):
        read_image(part.path(20))
    check(part, [19, 25, 39, 0])


def test_a_clip_of_which_no_frame_decodes_is_named(tmp_path):
    path = write(tmp_path / "a.mp4", frames=4, options={"g": "1"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets:
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.mp4: holds no image: none of its frames decodes"):
        Video(str(path))


def test_a_missing_clip_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"a\.mp4: no such file or folder"):
        Video(str(tmp_path / "a.mp4"))


def test_a_clip_that_went_away_or_became_shorter_is_no_fault_of_its_frames(tmp_path):
    part = Video(str(write(tmp_path / "a.mp4", frames=3)))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(
        PlaceError, match=r"a\.mp4: has become shorter since it was listed: copy it again, and run the same"
    ):
        read_image(part.path(1))
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(PlaceError, match=r"a\.mp4: cannot be read any more \(no such file\): see that the file and"):
        read_image(part.path(1))
    (tmp_path / "a.mp4").write_bytes(data)
    assert read_image(part.path(1)).pixels.size


def test_a_clip_written_again_is_read_again(tmp_path):
    path = write(tmp_path / "a.mp4", frames=20)
    check(Video(str(path)), [3])
    write(path, frames=5)
    part = Video(str(path))
    assert len(part) == 5
    check(part, range(5))


def test_without_the_package_the_error_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", frames=2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"a\.mp4: reading a video needs PyAV: pip install 'jaxloc\[video\]'$"):
        find_sets([path])


def test_remote_clips_are_read_where_they_lie(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    path = write(tmp_path / "a.mp4", frames=10)
    system = fsspec.filesystem("memory")
    system.pipe("/clips/a.mp4", path.read_bytes())
    try:
        [images] = find_sets(["memory://clips/a.mp4"])
        assert len(images.sources) == 10
        assert abs(int(read_image(images.sources[7].path).pixels[40, 50, 0]) - shade(7)) <= 4
    finally:
        system.rm("/clips", recursive=True)
