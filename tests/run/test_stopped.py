"""Asked to end at any stage of a run, not only between two batches: it stops there, and goes on to the same bytes."""

import io
import os
import signal
import tarfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxloc import _interrupts
from jaxloc.data import ImageSet, Source, expansion, find_sets
from jaxloc.data.archives import opening, parquet, tar
from jaxloc.data.sources import Labels, Texts
from jaxloc.inference import programs
from jaxloc.report import coco, figures
from jaxloc.report import parquet as stored
from jaxloc.report.records import Finding, Findings
from jaxloc.run import checkpoint, distributed, fit_pass, outputs
from jaxloc.run.plan import Images
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small

MANY = 20


def ask_to_end() -> None:
    """Send the signal, from any thread, and see that the main thread has noted it."""
    os.kill(os.getpid(), signal.SIGTERM)
    while not _interrupts._requested:
        time.sleep(0.001)


@pytest.fixture
def stop_in(monkeypatch):
    """Ask this process to end when a function is called for the third time; returns the list of its calls."""

    def prepare(owner, name: str, *, at: int = 3) -> list[int]:
        calls: list[int] = []
        function = getattr(owner, name)

        def calling(*arguments, **options):
            calls.append(len(calls))
            if len(calls) == at:
                ask_to_end()
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, calling)
        return calls

    return prepare


def is_stopped(work) -> bool:
    with _interrupts.remembered():
        try:
            work()
        except _interrupts.Terminated:
            return True
    return False


@pytest.fixture
def photos(tmp_path) -> Path:
    """Many files that are not looked into."""
    folder = tmp_path / "photos"
    for number in range(MANY):
        below = folder / f"{number % 2}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{number:02}.png").write_bytes(b"x")
    return folder


def write_list(photos: Path) -> Path:
    place = photos.parent / "list.txt"
    place.write_text("\n".join(f"photos/{number % 2}/{number:02}.png" for number in range(MANY)))
    return place


def write_tar(photos: Path) -> Path:
    place = photos.parent / "photos.tar"
    with tarfile.open(place, "w") as archive:
        for number in range(MANY):
            member = tarfile.TarInfo(f"{number:02}.png")
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    return place


def write_parquet(photos: Path) -> Path:
    place = photos.parent / "photos.parquet"
    names = [f"{number:02}.png" for number in range(MANY)]
    pq.write_table(pa.table({"name": names, "image": [b"x"] * MANY}), place, row_group_size=1)
    return place


@pytest.mark.parametrize(
    ("given", "owner", "name"),
    [
        (lambda photos: photos, expansion, "is_image"),
        (lambda photos: photos / "*" / "*.png", expansion, "_entry"),
        (lambda photos: photos / "*" / "*.png", expansion, "_expand_entry"),
        (write_list, expansion, "_join"),
        (write_tar, tar, "_as_relative"),
        (write_parquet, parquet, "_flat"),
    ],
    ids=["folder", "pattern", "its matches", "list", "tar", "parquet"],
)
def test_while_images_are_listed(photos, stop_in, given, owner, name):
    place = given(photos)
    calls = stop_in(owner, name)
    assert is_stopped(lambda: find_sets([place]))
    assert len(calls) == 3


@pytest.mark.parametrize("kind", [Texts, Labels])
def test_while_names_and_labels_are_read(kind):
    given = []

    def values():
        for number in range(MANY):
            given.append(number)
            if number == 2:
                ask_to_end()
            yield "a"

    assert is_stopped(lambda: kind(values()))
    assert len(given) == 3


def test_while_archives_are_opened(stop_in, monkeypatch):
    monkeypatch.setattr(opening, "_AT_ONCE", 1)
    monkeypatch.setattr(opening, "open_archive", lambda place, every: None)
    stop_in(opening, "open_archive", at=1)
    assert is_stopped(lambda: opening.open_archives(["a.array_record"] * MANY))


def test_while_images_are_described(photos, stop_in):
    sources = [Source(path, path.name) for path in sorted(photos.rglob("*.png"))]
    calls = stop_in(checkpoint, "bytes_of")
    assert is_stopped(lambda: checkpoint.describe_images(Images([ImageSet("cat", sources)])))
    assert len(calls) == 3


@pytest.fixture
def findings(tmp_path) -> Findings:
    """Of three shards on disk."""
    shards = [tmp_path / f"found-{shard}.parquet" for shard in range(3)]
    for shard, path in enumerate(shards):
        names = [f"{shard}-{number}.png" for number in range(4)]
        stored.write(path, [Finding(name, Path(name), "cat", 80, 60, (1, 2, 30, 40), 0.5, True) for name in names], [])
    return Findings("cat", "scda", {}, stored.Images(shards), stored.SkippedImages(shards))


@pytest.mark.parametrize(
    ("owner", "name", "written"),
    [(coco, "_xywh", set()), (figures.Figures, "add", {"annotations.json"})],
    ids=["annotations", "report"],
)
def test_while_results_are_written(findings, stop_in, monkeypatch, tmp_path, owner, name, written):
    outputs.write(tmp_path / "unbroken", findings)
    with monkeypatch.context():
        calls = stop_in(owner, name)
        assert is_stopped(lambda: outputs.write(tmp_path / "out", findings))
        assert len(calls) == 4  # the rest of what was read together, a shard at most
    assert set(helpers.every_file(tmp_path / "out")) == written
    outputs.write(tmp_path / "out", findings)
    assert helpers.every_file(tmp_path / "out") == helpers.every_file(tmp_path / "unbroken")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    return runs.write_images(tmp_path_factory.mktemp("kinds") / "pictures")


@pytest.fixture(scope="module")
def unbroken(kinds, weights, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("unbroken") / "out"
    runs.run(kinds, folder, weights)
    return helpers.every_file(folder)


@pytest.mark.parametrize(
    ("owner", "name", "missing"),
    [
        (fit_pass, "_fit", "parts/fitted-00000.safetensors"),
        (programs.Programs, "compile", "parts/moments-00000.safetensors"),
    ],
    ids=["between two sets' fits", "between two shapes' programs"],
)
def test_where_nothing_is_read(kinds, weights, unbroken, stop_in, monkeypatch, tmp_path, owner, name, missing):
    programs.programs_of.cache_clear()  # else nothing is compiled again
    with monkeypatch.context():
        calls = stop_in(owner, name, at=1)
        assert is_stopped(lambda: runs.run(kinds, tmp_path / "out", weights))
    there = helpers.every_file(tmp_path / "out")
    assert missing not in there
    assert not [path for path in there if path.endswith(".part")]
    if name == "_fit":
        assert len(calls) == 1
    runs.run(kinds, tmp_path / "out", weights)
    assert helpers.every_file(tmp_path / "out") == unbroken


@pytest.mark.parametrize("wait", [lambda: distributed.wait("a place"), lambda: distributed.agree("options", bytes(32))])
def test_while_other_hosts_are_waited_for(monkeypatch, wait):
    never = threading.Event()

    def others(_) -> None:
        ask_to_end()
        never.wait()

    monkeypatch.setattr(distributed, "count", lambda: 2)
    for name in ("sync_global_devices", "process_allgather"):
        monkeypatch.setattr(distributed.multihost_utils, name, others)
    assert is_stopped(wait)
    never.set()


def test_while_another_hosts_file_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    monkeypatch.setattr(distributed.time, "sleep", lambda seconds: ask_to_end())
    assert is_stopped(lambda: distributed.see(tmp_path / "late"))
