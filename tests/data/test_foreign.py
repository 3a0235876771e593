"""Files among images that are not read as images: none is passed over without a word."""

import pytest

from jaxloc.data import find_sets, formats
from jaxloc.data.foreign import kind_of
from jaxloc.errors import UsageError
from tests.data.encoded import image, names_of, plant, shades_of, write_tar


@pytest.fixture
def without_heif(monkeypatch):
    """As if pillow-heif were not installed."""
    monkeypatch.setattr(formats, "_NOT_DECODED", (*formats._NOT_DECODED, "HEIF"))
    for cached in (formats.decoded, formats.image_suffixes):
        cached.cache_clear()
        monkeypatch.setattr(formats, cached.__name__, cached)
    yield
    for cached in (formats.decoded, formats.image_suffixes):
        cached.cache_clear()


def fill(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)


@pytest.mark.usefixtures("without_heif")
def test_photographs_that_are_not_read_are_counted_by_ending_with_what_they_are(tmp_path):
    content = {"p.png": image(5), "a.CR2": bytes(9), "b.jxl": bytes(9), "c.h5": bytes(9), "notes.txt": b"x", "d": HEIC}
    sets = find_sets([fill(tmp_path / "trip", **{f"IMG_{n}.HEIC": HEIC for n in range(5)}, **content)])
    assert names_of(sets) == {"trip": ["d", "p.png"]}
    assert sets.ignored == [
        "5 .heic files not read: HEIC photographs; pip install 'jaxloc[heif]'",
        "1 .cr2 file not read: RAW photographs; develop them to JPEG or TIFF",
        "1 .h5 file not read: arrays or other data",
        "1 .jxl file not read: JPEG XL images; convert them to JPEG or PNG",
    ]
    assert find_sets([tmp_path / "trip/*"]).ignored == sets.ignored
    assert find_sets([tmp_path / "trip/p.png"]).ignored == []


@pytest.mark.usefixtures("without_heif")
def test_a_folder_of_nothing_else_is_not_called_empty(tmp_path):
    fill(tmp_path / "trip", **{f"IMG_{n}.HEIC": HEIC for n in range(5)})
    for given in ("trip", "trip/*"):
        with pytest.raises(UsageError, match=r"no image.* \(5 \.heic files not read: HEIC photographs; pip install"):
            find_sets([tmp_path / given])


MANGLED = ("b.jpg_1024x768", "c.jpg!d", "d.jpg.1", "e.image", "f.jpg-large", "g.php", "m.jpg?w=640", "w.avif.HEIC")


def test_where_an_ending_is_unknown_the_first_bytes_decide(tmp_path):
    content = {
        name: image(7, kind=kind) for name, kind in zip(MANGLED, ["JPEG", "PNG", "GIF", "WEBP"] * 2, strict=True)
    }
    sets = find_sets([fill(tmp_path / "web", **content, **{"x.asp": b"<html>", "y.jpg_1": b"", "z.1": b"RIFF"})])
    assert names_of(sets) == {"web": list(MANGLED)}
    assert sets.ignored == [
        "1 .1 file not read: of no known kind",
        "1 .asp file not read: web pages; fetch the images again",
        "1 .jpg_1 file not read: empty",
    ]
    assert names_of(find_sets([tmp_path / "web/*"])) == {"web": list(MANGLED)}


def test_archives_and_videos_beside_images_are_named_unless_they_are_given_themselves(tmp_path):
    plant(tmp_path / "trip", "a.mp4", "b.3gp", "c.zip")
    write_tar(tmp_path / "trip/d.tar", {"x.png": image(3)})
    fill(tmp_path / "trip", **{"p.png": image(5)})
    assert find_sets([tmp_path / "trip"]).ignored == [
        "1 .3gp file not read: videos of a format that is not read; convert them to MP4 (ffmpeg -i CLIP CLIP.mp4)",
        "1 .mp4 file not read: videos beside images; give them by their own path to take their frames",
        "1 .tar file not read: archives beside images; give them by their own path",
        "1 .zip file not read: packed archives; unpack them",
    ]
    assert not any(".tar" in line for line in find_sets([tmp_path / "trip", tmp_path / "trip/d.tar"]).ignored)


def test_members_of_a_tar_file_are_told_by_their_first_bytes_as_well(tmp_path):
    members = {"a.png": image(1), "b.jpg!d": image(2), "c": image(3), "LICENSE": b"text", "a.cls": b"0", "d.dng": b"x"}
    sets = find_sets([write_tar(tmp_path / "s.tar", members)])
    assert [shades_of(images) for images in sets] == [[1, 2, 3]]
    assert sets.ignored == ["1 .dng file not read: RAW photographs; develop them to JPEG or TIFF"]
    with pytest.raises(UsageError, match=r"holds no image \(1 \.dng file not read: RAW photographs"):
        find_sets([write_tar(tmp_path / "t.tar", {"d.dng": b"x"})])


def test_images_without_an_ending_beside_archives_are_named(tmp_path):
    write_tar(tmp_path / "s/d.tar", {"x.png": image(3)})
    sets = find_sets([fill(tmp_path / "s", LICENSE=b"text", photo=image(4))])
    assert names_of(sets) == {"s": ["d.tar/x.png"]}
    assert sets.ignored == [
        "1 other file not read: images without an ending beside archives; give them by their own path"
    ]


@pytest.mark.parametrize("given", ["", "*", "**/*.jpg"])
def test_folders_of_nas_and_desktop_systems_are_no_sets(tmp_path, given):
    made = ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/x.jpg", "lost+found/y.jpg", "#recycle/a.jpg")
    plant(tmp_path / "nas", "a/p.jpg", "b/q.jpg", *made, "a/@eaDir/p.jpg", "System Volume Information/z.jpg")
    sets = find_sets([tmp_path / "nas" / given], per_folder=True)
    assert names_of(sets) == {"a": ["a/p.jpg"], "b": ["b/q.jpg"]}
    assert names_of(find_sets([tmp_path / "nas/lost+found"])) == {"lost+found": ["y.jpg"]}


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"FLV\x01", "videos of a format that is not read"),
        ((b"G" + bytes(187)) * 2, "videos of a format that is not read"),
        (b"PK\x03\x04", "packed archives"),
        (bytes(257) + b"ustar", "tar files"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointers of Git LFS in place of files"),
        (b"\0\0\0\x18ftypcrx ", "RAW photographs"),
        (b"\0\0\0\x183gp4", None),
        (b"\0\0\0\x18ftyp3gp4", "videos of a format that is not read"),
    ],
)
def test_first_bytes_tell_what_a_file_is(start, what):
    found = kind_of(start)
    assert (found and found.what) == what
