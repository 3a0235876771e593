"""Sources in an S3 bucket, spoken to as in the cloud: what is found, what each image costs, and what may be wrong."""

import io
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxloc.data import find_sets, read_image, read_size
from jaxloc.errors import ImageError, PlaceError, UsageError
from tests.data.encoded import image, names_of, shades_of, write_tar

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs")
pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")

CUT, DENIED = "cut", "denied"


class Store:
    """A store on this machine, which remembers what it was asked for and can be told to fail."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *arguments: object) -> None:
                pass

        self.asked: list[str] = []
        self.faults: dict[str, str] = {}
        self._answer = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._watched, threaded=True, request_handler=Quiet)
        assert isinstance(self._server, socketserver.ThreadingMixIn)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, **files: bytes) -> None:
        """Write objects of the bucket, over the network as others would."""
        system = s3fs.S3FileSystem()
        for name, data in files.items():
            system.pipe_file(f"bucket/{name}", data)
        system.invalidate_cache()
        self.asked.clear()

    def _watched(self, environment: dict, start: Callable) -> Iterator[bytes]:
        path, method = environment["PATH_INFO"], environment["REQUEST_METHOD"]
        what = environment.get("HTTP_RANGE") or ("list" if "list-type" in environment["QUERY_STRING"] else "whole")
        self.asked.append(f"{method} {path} {what}")
        fault = next((fault for part, fault in self.faults.items() if part in path), None)
        if fault == DENIED:
            start("403 Forbidden", [("Content-Type", "application/xml")])
            text = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return iter([b"" if method == "HEAD" else text])
        answer = b"".join(self._answer(environment, start))
        return iter([answer[: len(answer) // 2] if fault == CUT else answer])


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch:
        one = Store()
        patch.setenv("AWS_ENDPOINT_URL", one.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        yield one
        s3fs.S3FileSystem.clear_instance_cache()
        one.close()


@pytest.fixture
def store(server):
    """An empty bucket."""
    system = s3fs.S3FileSystem()
    system.invalidate_cache()
    if system.exists("bucket"):
        system.rm("bucket", recursive=True)
    system.mkdir("bucket")
    server.asked.clear()
    yield server
    server.faults.clear()


def test_a_folder_and_its_subfolders_are_found(store):
    store.put(**{"pets/b.png": image(2), "pets/cats/a.png": image(1), "pets/.c.png": b"", "other/d.png": b""})
    [images] = find_sets(["s3://bucket/pets"])
    assert names_of([images]) == {"pets": ["b.png", "cats/a.png"]}
    assert shades_of(images) == [2, 1]
    assert names_of(find_sets(["s3://bucket/pets"], per_folder=True)) == {"cats": ["cats/a.png"], "pets": ["b.png"]}


def test_empty_objects_that_stand_for_folders_are_no_images(store):
    store.put(**{"pets/": b"", "pets/cats/": b"", "pets/cats/a.png": image(1)})
    assert names_of(find_sets(["s3://bucket/pets"])) == {"pets": ["cats/a.png"]}
    assert names_of(find_sets(["s3://bucket/pets"], per_folder=True)) == {"cats": ["cats/a.png"]}
    assert names_of(find_sets(["s3://bucket/pets/**"])) == {"pets": ["cats/a.png"]}


def test_patterns_lists_and_coco_files_name_images(store):
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    store.put(**{"pets/a.png": image(1), "pets/b.png": image(2), "pets/c.txt": b"s3://bucket/pets/a.png\nb.png\n"})
    store.put(**{"pets/coco.json": json.dumps(coco).encode()})
    for given, expected in (("*.png", [1, 2]), ("c.txt", [1, 2]), ("coco.json", [1]), ("b.png", [2])):
        [images] = find_sets([f"s3://bucket/pets/{given}"])
        assert shades_of(images) == expected


def test_archives_are_read_by_their_parts(store, tmp_path):
    shard = write_tar(tmp_path / "x.tar", {"a.png": image(1), "a.cls": b"dog", "b.png": image(2), "b.cls": b"cat"})
    table = io.BytesIO()
    pq.write_table(pa.table({"image": [image(i) for i in range(10, 14)]}), table, row_group_size=2)
    store.put(**{"s/1.tar": shard.read_bytes(), "s/2.parquet": table.getvalue()})
    [images] = find_sets(["s3://bucket/s"])
    store.asked.clear()
    assert shades_of(images) == [1, 2, 10, 11, 12, 13]
    assert [source.label for source in images.sources[:3]] == ["dog", "cat", None]
    first = images.sources[0].path
    last = first.offset + first.size_in_bytes - 1
    assert store.asked[0] == f"GET /bucket/s/1.tar bytes={first.offset}-{last}"
    assert sum("1.tar" in request for request in store.asked) == 2


def test_an_image_costs_one_request_and_its_size_one_for_its_start(store):
    store.put(**{"pets/a.jpg": image(9, rows=300, columns=400, kind="JPEG") + bytes(1 << 17)})
    store.put(**{"pets/list.txt": b"a.jpg\n"})
    for given in ("pets/*.jpg", "pets/list.txt"):
        [[_, sources]] = find_sets([f"s3://bucket/{given}"])
        store.asked.clear()
        assert read_size(sources[0].path) == (300, 400)
        assert read_image(sources[0].path).pixels.shape == (300, 400, 3)
        assert store.asked == ["GET /bucket/pets/a.jpg bytes=0-65535", "GET /bucket/pets/a.jpg whole"]


@pytest.mark.parametrize("name", ["a b", "c#1", "d?x=1", "é猫", "f+g", "h%20i", "100%", "[1]", "it's&", "j:k", "l=m~"])
def test_any_name_is_read(store, name):
    store.put(**{f"pets/{name}.png": image(7)})
    [images] = find_sets(["s3://bucket/pets"])
    assert names_of([images]) == {"pets": [f"{name}.png"]}
    assert shades_of(images) == [7]
    assert read_size(images.sources[0].path) == (6, 9)


def test_a_folder_is_listed_anew_each_time(store):
    store.put(**{"pets/a.png": image(1)})
    assert len(find_sets(["s3://bucket/pets"])[0].sources) == 1
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file("bucket/pets/b.png", image(2))
    assert len(find_sets(["s3://bucket/pets"])[0].sources) == 2


@pytest.mark.parametrize("address", ["s3://nowhere", "s3://nowhere/a.tar", "s3://bucket/pets", "s3://bucket/a.png"])
def test_what_is_not_there_is_named(store, address):
    with pytest.raises(UsageError, match=f"^{address}: no such file or folder$"):
        find_sets([address])


@pytest.mark.parametrize("given", ["pets", "pets/a.png", "pets/*.png", "pets/a.tar", "pets/a.txt", "pets/a.json"])
def test_a_place_that_is_denied_is_named_with_what_to_check(store, given):
    store.put(**dict.fromkeys(("pets/a.png", "pets/a.tar", "pets/a.txt", "pets/a.json"), b"x"))
    store.faults = {"/bucket": DENIED}
    message = (
        rf"^{re.escape(f's3://bucket/{given}')}: cannot be read \(PermissionError: .+\): check the address, the net"
    )
    with pytest.raises(UsageError, match=message):
        find_sets([f"s3://bucket/{given}"])


def test_missing_credentials_are_said(store, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(
        UsageError, match=r"^s3://bucket/pets: cannot be read \(NoCredentialsError: .* your credentials$"
    ):
        find_sets(["s3://bucket/pets"])
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_image_that_changes_or_goes_after_it_was_listed_is_an_image_error(store):
    store.put(**{f"pets/{name}.png": image(1, rows=90, columns=90) for name in "abcd"})
    [[_, sources]] = find_sets(["s3://bucket/pets"])
    s3fs.S3FileSystem().rm("bucket/pets/a.png")
    store.put(**{"pets/b.png": image(1, rows=90, columns=90)[:100], "pets/c.png": b""})
    store.faults = {"pets/d.png": DENIED}
    reasons = ("no such file", "truncated|damaged", r"empty \(0 bytes\)", "cannot be read: Access Denied")
    for source, reason in zip(sources, reasons, strict=True):
        with pytest.raises(ImageError, match=reason):
            read_image(source.path)


def test_an_archive_that_becomes_shorter_says_so(store, tmp_path):
    whole = write_tar(tmp_path / "x.tar", {"a.png": image(1), "b.png": image(2)}).read_bytes()
    store.put(**{"1.tar": whole})
    [[_, sources]] = find_sets(["s3://bucket/1.tar"])
    store.put(**{"1.tar": whole[:1600]})
    with pytest.raises(PlaceError, match=r"s3://bucket/1\.tar: has become shorter since it was listed: copy it again"):
        read_image(sources[1].path)


@pytest.mark.parametrize("name", ["a.tar", "a.txt", "a.json"])
def test_a_connection_that_breaks_is_one_line(store, tmp_path, name):
    store.put(**{name: write_tar(tmp_path / "x.tar", {"a.png": image(1)}).read_bytes()})
    store.faults = {name: CUT}
    with pytest.raises(UsageError, match=rf"^s3://bucket/{name}: .*ClientPayloadError: .*$") as caught:
        find_sets([f"s3://bucket/{name}"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/a.png", "b/../../a.png"])
def test_a_name_that_would_lie_outside_the_results_is_refused(store, name):
    store.put(
        **{f"pets/{name}": image(1), "pets/list.txt": f"s3://bucket/pets/{name}\ns3://bucket/pets/b.png".encode()}
    )
    with pytest.raises(UsageError, match=rf"^s3://bucket/pets/{name}: results cannot be named after it .*: rename it"):
        find_sets(["s3://bucket/pets/list.txt"])


def test_threads_share_the_connection(store):
    store.put(**{f"pets/{i:02}.png": image(i) for i in range(24)})
    [images] = find_sets(["s3://bucket/pets"])
    with ThreadPoolExecutor(8) as pool:
        for shades in pool.map(lambda _: shades_of(images), range(4)):
            assert shades == list(range(24))
