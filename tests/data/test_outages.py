"""What is tried again, what is one image's own fault, and what ends the work because the place is at fault."""

import errno
import io
import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxloc.data import find_sets, images, read_image, read_size, remote
from jaxloc.data.archives import parquet
from jaxloc.errors import ImageError, PlaceError
from tests.data.encoded import image, shades_of, write_tar


@pytest.fixture
def failing(monkeypatch):
    """Have the next so many reads fail with this error; what is returned counts the reads."""
    system = type(fsspec.filesystem("memory"))
    cat_file, count = system.cat_file, []
    monkeypatch.setattr(remote, "PAUSES", (0, 0, 0))

    def fail(times: int, error: Exception) -> list[int]:
        count.clear()

        def read(self, path, **options):
            count.append(1)
            if len(count) <= times:
                raise error
            return cat_file(self, path, **options)

        monkeypatch.setattr(system, "cat_file", read)
        return count

    return fail


class AnsweredError(Exception):
    """As aiohttp, gcsfs and botocore carry what a store answered."""

    def __init__(self, **fields: object) -> None:
        super().__init__("said\nso")
        for name, value in fields.items():
            setattr(self, name, value)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


OUTAGES = [
    TimeoutError("503 service unavailable"),
    ConnectionResetError(104, "Connection reset by peer"),
    RuntimeError("no connection"),
    AnsweredError(status=503),
    AnsweredError(status=401),
    caused(
        PermissionError("The provided token has expired."), AnsweredError(response={"Error": {"Code": "ExpiredToken"}})
    ),
]


@pytest.mark.parametrize("error", OUTAGES)
def test_a_read_that_fails_for_a_moment_is_tried_again(bucket, failing, error):
    bucket(**{"pets/a.jpg": image(1, kind="JPEG")})
    [[_, sources]] = find_sets(["memory://pets"])
    expected = read_image(sources[0].path).original_size
    for read, last in ((read_image, lambda found: found.original_size), (read_size, lambda found: found)):
        count = failing(3, error)
        assert last(read(sources[0].path)) == expected
        assert len(count) == 4


@pytest.mark.parametrize("error", OUTAGES)
def test_a_place_that_keeps_failing_is_no_fault_of_its_image(bucket, failing, error, tmp_path):
    data = write_tar(tmp_path / "x.tar", {"a.jpg": image(1, kind="JPEG")}).read_bytes()
    bucket(**{"pets/a.jpg": image(1, kind="JPEG"), "x.tar": data})
    for given, place in (("memory://pets", "memory://pets/a.jpg"), ("memory://x.tar", "memory://x.tar")):
        [[_, sources]] = find_sets([given])
        for read in (read_image, read_size):
            count = failing(99, error)
            message = (
                rf"^{place}: cannot be read any more \(.+\): check the network and your credentials, and run the same "
                "command again; finished shards are kept$"
            )
            with pytest.raises(PlaceError, match=message):
                read(sources[0].path)
            assert len(count) == 4


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("pets/a.png"),
        PermissionError("Access Denied"),
        AnsweredError(status=403),
        AnsweredError(code=404),
        OSError("Forbidden: a"),
    ],
)
def test_a_file_that_is_not_there_or_forbidden_is_skipped_at_once_but_not_an_archive(bucket, failing, error, tmp_path):
    data = write_tar(tmp_path / "x.tar", {"a.png": image(1)}).read_bytes()
    bucket(**{"pets/a.png": image(1), "x.tar": data})
    for given, expected in (("memory://pets", ImageError), ("memory://x.tar", PlaceError)):
        [[_, sources]] = find_sets([given])
        count = failing(99, error)
        with pytest.raises(expected):
            read_image(sources[0].path)
        assert len(count) == 1


def test_a_table_that_cannot_be_reached_for_a_moment_is_read(bucket, monkeypatch):
    table = io.BytesIO()
    pq.write_table(pa.table({"image": [image(i) for i in range(4)]}), table)
    bucket(**{"s/2.parquet": table.getvalue()})
    [found] = find_sets(["memory://s"])
    system, opened = type(fsspec.filesystem("memory")), []
    original = system.open

    def fail(self, *arguments, **options):
        opened.append(1)
        if len(opened) in range(1, 4) or len(opened) > 4:
            raise TimeoutError("slow")
        return original(self, *arguments, **options)

    monkeypatch.setattr(system, "open", fail)
    monkeypatch.setattr(remote, "PAUSES", (0, 0, 0))
    assert shades_of(found) == [0, 1, 2, 3]
    parquet._row_groups.forget("memory://s/2.parquet")
    with pytest.raises(PlaceError, match=r"^memory://s/2\.parquet: cannot be read any more \(TimeoutError: slow\): ch"):
        read_image(found.sources[0].path)


def test_an_empty_file_is_not_asked_for_a_range(bucket, failing):
    bucket(**{"pets/a.jpg": b""})
    [[_, sources]] = find_sets(["memory://pets"])
    failing(99, TimeoutError("a range of nothing"))
    assert sources[0].path.read_start(100) == b""


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_went_away_is_no_fault_of_the_image(tmp_path, monkeypatch, number):
    path = tmp_path / "a.png"
    path.write_bytes(image(1))

    def fail(place):
        raise OSError(number, os.strerror(number), place)

    monkeypatch.setattr(images.os, "stat", fail)
    message = rf"a\.png: cannot be read any more \({os.strerror(number)}\): see that the file and its disk are there"
    for read in (read_image, read_size):
        with pytest.raises(PlaceError, match=message):
            read(path)
