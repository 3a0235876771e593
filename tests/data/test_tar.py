"""Tar shards: what is found, read and named in them, and what is refused."""

import io
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxloc.data import find_sets, read_image, read_size
from jaxloc.errors import ImageError, PlaceError, UsageError
from tests.data.encoded import image, names_of, shades_of, write_tar


def test_members_are_read_in_the_order_of_the_archive(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {"z/b.png": image(10), "a/c.jpg": image(200, kind="JPEG")})
    [images] = find_sets([path])
    assert names_of([images]) == {"photos": ["z/b.png", "a/c.jpg"]}
    assert shades_of(images) == [10, 200]


def test_a_record_says_where_it_lies_and_how_large_it_is(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {"dogs/a.png": image(1)})
    [[_, sources]] = find_sets([path])
    record = sources[0].path
    assert str(record) == f"{path}#dogs/a.png"
    assert record.size_in_bytes == len(record.read()) == len(image(1))
    assert record.read_start(4) == image(1)[:4]
    assert {record, pickle.loads(pickle.dumps(record))} == {record}


def test_other_members_hidden_ones_and_folders_are_left_out(tmp_path):
    members = {"notes.md": b"x", "._a.png": b"x", ".thumbs/a.png": b"x", "README": b"x", "a.png": image(1)}
    path = write_tar(tmp_path / "photos.tar", members)
    with tarfile.open(path, "a") as tar:
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert names_of(find_sets([path])) == {"photos": ["a.png"]}


def test_names_do_not_lead_out_of_the_results(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {"../../a.png": image(1), "/etc/b.png": image(2), "./c.png": image(3)})
    [images] = find_sets([path])
    assert names_of([images]) == {"photos": ["a.png", "etc/b.png", "c.png"]}
    assert shades_of(images) == [1, 2, 3]


def test_of_two_members_with_one_name_the_later_counts(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {"a.png": image(1), "b.png": image(2)})
    with tarfile.open(path, "a") as tar:
        header = tarfile.TarInfo("./a.png")
        header.size = len(image(9))
        tar.addfile(header, io.BytesIO(image(9)))
    [images] = find_sets([path])
    assert dict(zip(names_of([images])["photos"], shades_of(images), strict=True)) == {"a.png": 9, "b.png": 2}


def test_long_names_that_are_not_ascii_are_kept(tmp_path):
    name = f"{'ordner/' * 40}käfer ☂.png"
    [images] = find_sets([write_tar(tmp_path / "photos.tar", {name: image(5)})])
    assert names_of([images]) == {"photos": [name]}
    assert shades_of(images) == [5]


@pytest.mark.parametrize(
    ("extension", "content", "label"),
    [
        ("cls", b"7\n", "7"),
        ("txt", "hündin".encode(), "hündin"),
        ("json", b'{"label": 3}', "3"),
        ("json", b'"cat"', "cat"),
    ],
)
def test_a_label_stands_beside_the_image_before_or_after_it(tmp_path, extension, content, label):
    members = {f"a.{extension}": content, "a.png": image(1), "b.png": image(2), f"b.{extension}": content}
    [[_, sources]] = find_sets([write_tar(tmp_path / "photos.tar", members)])
    assert [source.label for source in sources] == [label, label]


def test_the_class_counts_more_than_the_text_beside_it(tmp_path):
    members = {"a.txt": b"a dog on a lawn", "a.png": image(1), "a.cls": b"4"}
    [[_, sources]] = find_sets([write_tar(tmp_path / "photos.tar", members)])
    assert sources[0].label == "4"


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [("a.json", b"{", "JSON"), ("a.txt", b"M\xfcnchen", "text"), ("a.cls", b"\xff", "text")],
)
def test_a_label_that_cannot_be_read_is_named_where_labels_are_wanted_and_else_is_none(tmp_path, name, content, form):
    path = write_tar(tmp_path / "photos.tar", {"a.png": image(1), name: content, "b.png": image(2), "b.cls": b"x"})
    [images] = find_sets([path])
    assert [source.label for source in images.sources] == [None, "x"]
    message = rf"photos\.tar: {name} is not readable as a label \(.*\): write it again as {form} in UTF-8$"
    with pytest.raises(UsageError, match=message):
        find_sets([path], per_label=True)


def test_a_text_that_is_no_images_label_may_be_of_any_kind(tmp_path):
    members = {"a.png": image(1), "a.cls": b"x", "a.json": b"{", "notes.txt": b"M\xfcnchen", "more.json": b"{"}
    path = write_tar(tmp_path / "photos.tar", members)
    assert names_of(find_sets([path])) == {"photos": ["a.png"]}
    assert names_of(find_sets([path], per_label=True)) == {"x": ["a.png"]}


def write_links(path, *members):
    """Write files (name, bytes), and links (name, ``hard`` or ``symbolic``, target), in their order."""
    with tarfile.open(path, "w") as tar:
        for name, *what in members:
            header = tarfile.TarInfo(name)
            if len(what) == 1:
                header.size = len(what[0])
                tar.addfile(header, io.BytesIO(what[0]))
            else:
                header.type = tarfile.LNKTYPE if what[0] == "hard" else tarfile.SYMTYPE
                header.linkname = what[1]
                tar.addfile(header)
    return path


@pytest.mark.parametrize(
    ("link", "target", "of"),
    [
        ("hard", "./b/0.png", "./b/0.png"),
        ("hard", "b/0.png", "./b/0.png"),
        ("symbolic", "../b/0.png", "./b/0.png"),
        ("symbolic", "0.png", "a/0.png"),
        ("symbolic", "./x/../0.png", "a/0.png"),
        ("symbolic", "/b/0.png", "/b/0.png"),
        ("symbolic", "../.store/5f1c", ".store/5f1c"),
    ],
)
def test_a_link_is_the_image_before_it_that_it_leads_to(tmp_path, link, target, of):
    [images] = find_sets([write_links(tmp_path / "photos.tar", (of, image(7)), ("a/link.png", link, target))])
    found = dict(zip(names_of([images])["photos"], shades_of(images), strict=True))
    assert found["a/link.png"] == 7
    assert len(found) == (1 if of.startswith(".store") else 2)


def test_a_hard_link_is_what_its_target_was_when_it_was_written(tmp_path):
    members = [("a.png", image(1)), ("b.png", "hard", "a.png"), ("a.png", image(2)), ("a.png", "hard", "a.png")]
    [images] = find_sets([write_links(tmp_path / "photos.tar", *members)])
    assert names_of([images]) == {"photos": ["a.png", "b.png"]}
    assert shades_of(images) == [2, 1]


@pytest.mark.parametrize(("link", "target"), [("hard", "gone.png"), ("symbolic", "../good.png"), ("symbolic", "b.png")])
def test_other_links_are_said_and_not_read(tmp_path, link, target):
    members = [("good.png", image(7)), ("a.png", link, target)]
    sets = find_sets([write_links(tmp_path / "photos.tar", *members)])
    assert names_of(sets) == {"photos": ["good.png"]}
    assert sets.ignored[0].startswith("1 .png file not read: links to no file before them; write the tar file again")


def test_a_label_may_be_a_link(tmp_path):
    members = [("a.png", image(1)), ("a.cls", b"dog"), ("b.png", image(2)), ("b.cls", "hard", "a.cls")]
    path = write_links(tmp_path / "photos.tar", *members)
    assert [source.label for source in find_sets([path])[0].sources] == ["dog", "dog"]


def test_several_shards_are_one_set_with_names_of_their_own(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"shards/{number}.tar", {"a.png": image(number)})
    for given in (tmp_path / "shards", tmp_path / "shards" / "*.tar"):
        [images] = find_sets([given])
        assert names_of([images]) == {"shards": ["0.tar/a.png", "1.tar/a.png", "2.tar/a.png"]}
        assert shades_of(images) == [0, 1, 2]


def test_a_folder_with_images_is_a_folder_of_images_whatever_archives_lie_in_it(tmp_path):
    write_tar(tmp_path / "dogs/backup.tar", {"old.png": image(1)})
    (tmp_path / "dogs/a.png").write_bytes(image(2))
    assert names_of(find_sets([tmp_path / "dogs"])) == {"dogs": ["a.png"]}


def test_files_without_extension_do_not_hide_archives(tmp_path):
    write_tar(tmp_path / "shards/a.tar", {"x.png": image(1)})
    (tmp_path / "shards/_SUCCESS").touch()
    assert names_of(find_sets([tmp_path / "shards"])) == {"shards": ["a.tar/x.png"]}


def test_per_folder_parts_by_the_folders_inside_or_by_archive(tmp_path):
    write_tar(tmp_path / "s/1.tar", {"dogs/a.png": image(1), "cats/b.png": image(2)})
    write_tar(tmp_path / "s/2.tar", {"dogs/c.png": image(3)})
    write_tar(tmp_path / "s/birds.tar", {"d.png": image(4)})
    assert names_of(find_sets([tmp_path / "s"], per_folder=True)) == {
        "birds": ["birds.tar/d.png"],
        "cats": ["1.tar/cats/b.png"],
        "dogs": ["1.tar/dogs/a.png", "2.tar/dogs/c.png"],
    }


def test_files_and_archives_can_be_given_together(tmp_path):
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs/a.png").write_bytes(image(1))
    path = write_tar(tmp_path / "more.tar", {"b.png": image(2)})
    [images] = find_sets([path, tmp_path / "dogs", path])
    assert [source.name for source in images.sources] == ["dogs/a.png", "more.tar/b.png"]
    assert shades_of(images) == [1, 2]


def test_per_label_makes_sets_across_shards(tmp_path):
    write_tar(tmp_path / "s/1.tar", {"a.png": image(1), "a.cls": b"dog", "b.png": image(2), "b.cls": b"cat"})
    write_tar(tmp_path / "s/2.tar", {"c.png": image(3), "c.cls": b"dog"})
    sets = find_sets([tmp_path / "s"], per_label=True)
    assert names_of(sets) == {"cat": ["1.tar/b.png"], "dog": ["1.tar/a.png", "2.tar/c.png"]}
    assert [shades_of(images) for images in sets] == [[2], [1, 3]]


def test_per_label_needs_a_label_of_each_image(tmp_path):
    members = {"a.png": image(1), "b.png": image(2), "b.cls": b"cat"}
    with pytest.raises(UsageError, match=r"photos\.tar: 1 of 2 images have no label, or several, such as a\.png"):
        find_sets([write_tar(tmp_path / "photos.tar", members)], per_label=True)
    with pytest.raises(UsageError, match=r"none\.tar: no labels there: point at a COCO file, or at archives whose"):
        find_sets([write_tar(tmp_path / "none.tar", {"a.png": image(1)})], per_label=True)


def test_a_truncated_shard_is_refused_wherever_it_ends(tmp_path):
    whole = write_tar(
        tmp_path / "whole.tar", {f"{i}.png": image(i, rows=40, columns=40) for i in range(4)}
    ).read_bytes()
    path = tmp_path / "cut.tar"
    last = whole.rstrip(b"\0")
    for length in [100, 512, 600, 1024, 2500, len(last) // 512 * 512, -(-len(last) // 512) * 512]:
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"cut\.tar: .*copy or write it again$"):
            find_sets([path])


def test_a_damaged_header_in_the_middle_does_not_end_the_archive_in_silence(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {f"{i}.png": image(i) for i in range(4)})
    data = bytearray(path.read_bytes())
    position = data.index(b"2.png")
    data[position : position + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(UsageError, match=rf"photos\.tar: damaged at byte {position} of {len(data)}"):
        find_sets([path])


@pytest.mark.parametrize("content", [b"", b"no tar file", bytes(2000), b"\x1f\x8b\x08" + bytes(600)])
def test_a_file_that_is_no_tar_file_is_named(tmp_path, content):
    (tmp_path / "photos.tar").write_bytes(content)
    with pytest.raises(
        UsageError, match=r"photos\.tar: (not an uncompressed tar file|holds no image|damaged at byte 0)"
    ):
        find_sets([tmp_path / "photos.tar"])


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.TAR.XZ", "a.tar.zst", "a.tbz2"])
def test_a_compressed_tar_file_is_refused_with_the_cure(tmp_path, name):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / name).touch()
    for given in ("shards", f"shards/{name}"):
        with pytest.raises(
            UsageError, match=rf"{name}: a compressed tar file cannot be read from the middle: unpack it"
        ):
            find_sets([tmp_path / given])


def test_an_archive_without_images_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"photos\.tar: holds no image"):
        find_sets([write_tar(tmp_path / "photos.tar", {"a.md": b"x"})])


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"photos\.tar: no such file or folder"):
        find_sets([tmp_path / "photos.tar"])


def test_one_damaged_image_is_an_image_error_and_the_others_are_read(tmp_path):
    members = {"a.png": image(1), "b.png": image(2)[:45], "c.png": b"", "d.jpg": b"text", "e.png": image(5)}
    [[_, sources]] = find_sets([write_tar(tmp_path / "photos.tar", members)])
    reasons = {}
    for source in sources:
        try:
            read_image(source.path)
        except ImageError as error:
            reasons[source.name] = str(error)
    assert sorted(reasons) == ["b.png", "c.png", "d.jpg"]
    assert reasons["c.png"] == "empty (0 bytes)"
    assert reasons["d.jpg"] == "not an image, or of a kind that Pillow does not know"


def test_an_archive_that_shrinks_or_goes_after_it_was_listed_is_no_fault_of_its_images(tmp_path):
    path = write_tar(tmp_path / "photos.tar", {"a.png": image(1)})
    [[_, sources]] = find_sets([path])
    path.write_bytes(path.read_bytes()[:530])
    message = r"^\S+photos\.tar: has become shorter since it was listed: copy it again, and run the same command again"
    for read in (read_image, read_size):
        with pytest.raises(PlaceError, match=message):
            read(sources[0].path)
    path.unlink()
    message = (
        r"^\S+photos\.tar: cannot be read any more \(no such file\): see that the file and its disk are there, and run "
        "the same command again; finished shards are kept$"
    )
    for read in (read_image, read_size):
        with pytest.raises(PlaceError, match=message):
            read(sources[0].path)


def test_many_threads_read_at_once(tmp_path):
    [images] = find_sets([write_tar(tmp_path / "photos.tar", {f"{i:03}.png": image(i) for i in range(200)})])
    with ThreadPoolExecutor(8) as pool:
        shades = list(pool.map(lambda source: read_image(source.path).pixels[0, 0, 0], images.sources))
    assert shades == list(range(200))


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        (["a.jpg", "a.mask.png", "b.jpg", "b.seg.png"], ["a.jpg", "b.jpg"]),
        (["a.png", "a.jpg", "b.png", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["a.cls", "a.image.jpg", "a.target.jpg"], ["a.image.jpg"]),
        (["a.json", "a.left.jpg", "a.right.jpg"], ["a.left.jpg"]),
        (["a.mask.png", "b.jpg"], ["a.mask.png", "b.jpg"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg", "a.png", "b.jpg"]),
        (["1.01.jpg", "1.02.jpg", "2.01.jpg", "2.02.jpg"], ["1.01.jpg", "1.02.jpg", "2.01.jpg", "2.02.jpg"]),
    ],
)
def test_a_sample_of_webdataset_is_one_image_and_what_else_it_holds_is_told(tmp_path, members, kept):
    content = {".cls": b"0", ".json": b"{}"}
    path = write_tar(
        tmp_path / "x.tar", {name: content.get(name[-4:], content.get(name[-5:], image(9))) for name in members}
    )
    sets = find_sets([path])
    assert names_of(sets) == {"x": kept}
    lost = sum(name.endswith(("jpg", "png")) for name in members) - len(kept)
    assert sum(int(line.split()[0]) for line in sets.ignored) == lost
    assert all("images that belong to another of their sample, such as masks" in line for line in sets.ignored)
