"""Remote places through fsspec: every kind of source there, what is read of them, and what may be missing."""

import functools
import http.server
import io
import json
import pickle
import sys
import threading
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import _registry

from jaxloc.data import ImageSet, find_sets, read_image, read_size
from jaxloc.errors import ImageError, UsageError
from tests.data.encoded import image, names_of, shades_of, write_tar


def test_a_folder_is_searched_as_a_local_one_is(bucket):
    bucket(**{"pets/b.png": image(2), "pets/deep/a.png": image(1), "pets/.c.png": b"", "pets/.d/e.png": b""})
    bucket(**{"pets/notes.md": b"", "pets/f": image(6)})
    [images] = find_sets(["memory://pets"])
    assert names_of([images]) == {"pets": ["b.png", "deep/a.png", "f"]}
    assert shades_of(images) == [2, 1, 6]


@pytest.mark.parametrize("given", ["memory://pets/", "memory:///pets", Path("memory://pets")])
def test_an_address_may_be_written_in_several_ways(bucket, given):
    bucket(**{"pets/b.png": image(2)})
    [[name, sources]] = find_sets([given])
    assert (name, [str(source.path) for source in sources]) == ("pets", ["memory://pets/b.png"])


def test_a_single_image_a_pattern_and_a_list_can_be_given(bucket):
    bucket(**{"pets/a.png": image(1), "pets/sub/b.png": image(2), "pets/c.jpg": image(3, kind="JPEG")})
    bucket(**{"pets/list.txt": b"# some\nsub/b.png\nmemory://pets/a.png\nsub/../c.jpg\n"})
    assert names_of(find_sets(["memory://pets/a.png"])) == {"pets": ["a.png"]}
    assert names_of(find_sets(["memory://pets/**/*.png"])) == {"pets": ["a.png", "sub/b.png"]}
    [images] = find_sets(["memory://pets/list.txt"])
    assert [(source.name, str(source.path)) for source in images.sources] == [
        ("a.png", "memory://pets/a.png"),
        ("c.jpg", "memory://pets/c.jpg"),
        ("sub/b.png", "memory://pets/sub/b.png"),
    ]


def test_a_pattern_costs_one_listing_however_many_match(bucket, monkeypatch):
    bucket(**{f"pets/{i}.png": image(i) for i in range(20)}, **{"pets/dogs.v2/a.png": image(30)})
    asked = []
    system = type(fsspec.filesystem("memory"))
    info = system.info
    monkeypatch.setattr(system, "info", lambda self, path, **options: asked.append(path) or info(self, path, **options))
    [images] = find_sets(["memory://pets/*"])
    assert len(images.sources) == 21
    assert images.sources[0].path.size_in_bytes == len(image(0))
    assert len(asked) < 5


def test_a_local_list_may_name_remote_images(bucket, tmp_path):
    bucket(**{"pets/a.png": image(1), "pets/b.png": image(2)})
    (tmp_path / "list.txt").write_text("memory://pets/a.png\nmemory://pets/b.png\n")
    [images] = find_sets([tmp_path / "list.txt"])
    assert [source.name for source in images.sources] == ["a.png", "b.png"]
    assert shades_of(images) == [1, 2]


def test_a_coco_file_labels_the_images_beside_it(bucket):
    images = [{"id": i, "file_name": f"{i}.png", "category_id": i} for i in range(2)]
    coco = {"images": images, "annotations": [], "categories": [{"id": i, "name": "ab"[i]} for i in range(2)]}
    bucket(**{"pets/coco.json": json.dumps(coco).encode(), "pets/0.png": image(0), "pets/1.png": image(1)})
    sets = find_sets(["memory://pets/coco.json"], per_label=True)
    assert names_of(sets) == {"a": ["0.png"], "b": ["1.png"]}
    assert [shades_of(found) for found in sets] == [[0], [1]]


def test_per_folder_makes_a_set_of_each_subfolder(bucket):
    bucket(**{"pets/dogs/a.png": b"", "pets/dogs/big/b.png": b"", "pets/cats/c.png": b"", "pets/loose.png": b""})
    assert names_of(find_sets(["memory://pets"], per_folder=True)) == {
        "cats": ["cats/c.png"],
        "dogs": ["dogs/a.png", "dogs/big/b.png"],
        "pets": ["loose.png"],
    }


def test_archives_are_read_where_they_are(bucket, tmp_path):
    shard = write_tar(tmp_path / "x.tar", {"a.png": image(1), "a.cls": b"dog", "b.png": image(2), "b.cls": b"cat"})
    table = io.BytesIO()
    pq.write_table(pa.table({"image": [image(i) for i in range(10, 14)]}), table, row_group_size=2)
    bucket(**{"s/1.tar": shard.read_bytes(), "s/2.parquet": table.getvalue()})
    [images] = find_sets(["memory://s"])
    assert [source.name for source in images.sources[:3]] == ["1.tar/a.png", "1.tar/b.png", "2.parquet/00000000"]
    assert shades_of(images) == [1, 2, 10, 11, 12, 13]
    assert [source.label for source in images.sources[:3]] == ["dog", "cat", None]


def test_local_and_remote_images_can_be_given_together(bucket, tmp_path):
    bucket(**{"pets/a.png": image(1)})
    (tmp_path / "a.png").write_bytes(image(2))
    [images] = find_sets([tmp_path, "memory://pets"])
    assert images.name == "object"
    assert [source.name for source in images.sources] == [f"{tmp_path}/a.png".lstrip("/"), "memory/pets/a.png"]
    assert shades_of(images) == [2, 1]


def test_a_record_knows_its_size_and_goes_to_another_process(bucket):
    bucket(**{"pets/a.png": image(1)})
    record = find_sets(["memory://pets"])[0].sources[0].path
    assert record.size_in_bytes == len(image(1))
    assert pickle.loads(pickle.dumps(record)) == record
    assert {record: 1}[pickle.loads(pickle.dumps(record))] == 1


@pytest.fixture
def bytes_read(monkeypatch):
    """How many bytes each read of a remote file asked for."""
    read = []
    system = fsspec.filesystem("memory")
    cat_file = type(system).cat_file

    def watched(self, path, start=None, end=None, **options):
        data = cat_file(self, path, start, end, **options)
        read.append(len(data))
        return data

    monkeypatch.setattr(type(system), "cat_file", watched)
    return read


def test_the_size_of_a_jpeg_costs_its_start_only(bucket, bytes_read, tmp_path):
    large = image(9, rows=300, columns=400, kind="JPEG") + bytes(1 << 20)
    bucket(
        **{"pets/a.jpg": large, "s.tar": write_tar(tmp_path / "s.tar", {"a.jpg": large, "b.jpg": large}).read_bytes()}
    )
    for given in ("memory://pets", "memory://s.tar"):
        [[_, sources]] = find_sets([given])
        bytes_read.clear()
        assert [read_size(source.path) for source in sources] == [(300, 400)] * len(sources)
        assert bytes_read == [1 << 16] * len(sources)
        assert read_size(sources[0].path, shorter_side=150) == (150, 200)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_the_size_of_other_kinds_is_that_of_the_image(bucket, kind):
    bucket(**{"pets/a": image(9, rows=300, columns=400, kind=kind)})
    [[_, sources]] = find_sets(["memory://pets"])
    assert read_size(sources[0].path) == (300, 400)


def test_an_orientation_counts_in_a_size(bucket):
    from PIL import Image

    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300)).save(file, "JPEG", exif=exif)
    bucket(**{"pets/a.jpg": file.getvalue() + bytes(1 << 17)})
    [[_, sources]] = find_sets(["memory://pets"])
    assert read_size(sources[0].path) == read_image(sources[0].path).original_size == (400, 300)


def test_an_image_that_is_gone_or_damaged_is_an_image_error(bucket):
    bucket(**{"pets/a.png": image(1), "pets/b.png": b"text", "pets/c.png": b""})
    sources = find_sets(["memory://pets"])[0].sources
    fsspec.filesystem("memory").rm("pets/a.png")
    for number, reason in ((0, "no such file"), (1, "not an image"), (2, r"empty \(0 bytes\)")):
        with pytest.raises(ImageError, match=reason):
            read_image(sources[number].path)
        assert read_size(sources[number].path) is None


@pytest.mark.parametrize("address", ["memory://nowhere", "memory://nowhere/a.png", "memory://nowhere/a.tar"])
def test_what_is_not_there_is_named(bucket, address):
    with pytest.raises(UsageError, match=f"^{address}: no such file or folder$"):
        find_sets([address])


def test_a_place_that_refuses_is_named_with_what_to_check(bucket, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("403\nForbidden")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", refuse)
    message = (
        r"^memory://a: cannot be read \(RuntimeError: 403 Forbidden\): check the address, the network and your cred"
    )
    with pytest.raises(UsageError, match=message):
        find_sets(["memory://a"])


def test_a_truncated_remote_shard_is_refused(bucket, tmp_path):
    data = write_tar(tmp_path / "x.tar", {"a.png": image(1), "b.png": image(2)}).read_bytes()
    bucket(**{"s/1.tar": data[:1300]})
    with pytest.raises(UsageError, match=r"^memory://s/1\.tar: truncated at byte 1024 of 1300"):
        find_sets(["memory://s"])


def test_array_records_have_to_be_local(bucket):
    bucket(**{"s/1.array_record": b"x"})
    with pytest.raises(
        UsageError, match=r"memory://s/1\.array_record: ArrayRecord files are read from a local disk only"
    ):
        find_sets(["memory://s"])


@pytest.fixture
def web(tmp_path):
    """A web server of a folder, which knows no ranges: the folder and its address."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_folders_of_a_web_server_are_searched(web):
    folder, address = web
    (folder / "pets" / "cats").mkdir(parents=True)
    (folder / "pets" / "b.png").write_bytes(image(2))
    (folder / "pets" / "cats" / "a c.png").write_bytes(image(1))
    for given in ("pets", "pets/", "pets/**/*.png"):
        [images] = find_sets([f"{address}/{given}"])
        assert names_of([images]) == {"pets": ["b.png", "cats/a%20c.png"]}
        assert shades_of(images) == [2, 1]
        assert read_size(images.sources[0].path) == (6, 9)


def test_a_web_server_without_ranges_gives_small_archives_only(web):
    folder, address = web
    write_tar(folder / "small.tar", {"a.png": image(1), "b.png": image(2)})
    write_tar(folder / "large.tar", {"a.bin": bytes(12 << 20), "b.png": image(2), "c.bin": bytes(12 << 20)})
    assert shades_of(find_sets([f"{address}/small.tar"])[0]) == [1, 2]
    with pytest.raises(UsageError, match=rf"^{address}/large.tar: cannot be read \(ValueError: .* range requests"):
        find_sets([f"{address}/large.tar"])


def test_a_web_server_that_does_not_answer_is_not_a_missing_file(web):
    _, address = web
    with pytest.raises(UsageError, match=f"^{address}/pets: no such file or folder$"):
        find_sets([f"{address}/pets"])
    with pytest.raises(
        UsageError, match=r"^http://127.0.0.1:1/pets: cannot be read \(Client.*: check the address, the ne"
    ):
        find_sets(["http://127.0.0.1:1/pets"])


@pytest.mark.parametrize(("protocol", "package"), [("gs", "gcsfs"), ("s3", "s3fs"), ("abfs", "adlfs")])
def test_a_missing_package_is_named_with_the_cure(monkeypatch, protocol, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(_registry, protocol, raising=False)  # where an earlier test used it
    message = rf"^{protocol}://bucket/photos: reading {protocol}:// needs another package: pip install {package}$"
    with pytest.raises(UsageError, match=message):
        find_sets([f"{protocol}://bucket/photos"])


def test_without_fsspec_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(
        UsageError, match=r"^gs://a: reading remote files needs fsspec: pip install 'jaxloc\[remote\]'$"
    ):
        find_sets(["gs://a"])


def test_an_unknown_kind_of_address_is_named():
    with pytest.raises(UsageError, match=r"^nonsense://a: cannot be opened \(.*\): check the address$"):
        find_sets(["nonsense://a"])


def test_threads_read_the_same_place_at_once(bucket):
    bucket(**{f"pets/{i:03}.png": image(i) for i in range(50)})
    sources = find_sets(["memory://pets"])[0].sources
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(shades_of(ImageSet("", sources)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(list(range(50)) * 4)
