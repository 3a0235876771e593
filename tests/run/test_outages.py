"""Places that fail while a run reads them: the run ends, blames no image, and goes on later."""

import fsspec
import pytest

from jaxloc.data import find_sets, remote
from jaxloc.errors import PlaceError
from jaxloc.run import Options, colocalize, localize, plan
from jaxloc.run.retrieval.index import index
from jaxloc.run.steps import Steps
from tests.data.encoded import write_tar
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """A job's options, with these in place of some."""
    weights = small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")

    def asked(**values: object) -> Options:
        few = {"weights": weights, "batch": 4, "feature_cache": 0, "report_limit": 0, "workers": 1, "max_side": 64}
        return Options(**(few | values))

    return asked


@pytest.fixture
def bucket(paths, monkeypatch):
    """The photographs in fsspec's memory; what is returned makes reads of the whole third one fail."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for path in paths:
        system.pipe_file(f"pets/{path.name}", path.read_bytes())
    kind, tries = type(system), []
    cat_file = kind.cat_file
    monkeypatch.setattr(remote, "PAUSES", (0, 0, 0))

    def fail(on: range, *, headers: bool = False) -> None:
        tries.clear()

        def read(self, path, start=None, end=None, **options):
            if path.endswith(paths[2].name) and (end is not None) == headers:
                tries.append(1)
                if len(tries) in on:
                    raise TimeoutError("503 service unavailable")
            return cat_file(self, path, start=start, end=end, **options)

        monkeypatch.setattr(kind, "cat_file", read)

    yield fail
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def everything(folder):
    files = helpers.every_file(folder)
    return {name: data for name, data in files.items() if name in ("annotations.json", "model.safetensors")}


@pytest.mark.parametrize("first", soaked([1, 2], [1]), ids=["first pass", "second pass"])
def test_a_passing_outage_ends_the_run_which_then_goes_on_without_a_gap(bucket, first, options, paths, tmp_path):
    message = (
        rf"^memory://pets/{paths[2].name}: cannot be read any more \(TimeoutError: 503 service unavailable\): check "
        "the network and your credentials, and run the same command again; finished shards are kept$"
    )
    bucket(range(first, first + 4))
    with pytest.raises(PlaceError, match=message):
        colocalize(["memory://pets"], tmp_path / "out", options())
    assert not (tmp_path / "out/annotations.json").exists()
    findings = colocalize(["memory://pets"], tmp_path / "out", options())
    assert len(findings.skipped) == 0
    colocalize(["memory://pets"], tmp_path / "whole", options())
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_an_outage_shorter_than_the_tries_is_not_noticed(bucket, options, tmp_path):
    bucket(range(1, 4))
    assert len(localize(["memory://pets"], tmp_path, options()).images) == 6


def test_a_header_that_cannot_be_reached_is_not_unreadable(bucket, options):
    engine = Steps(options())
    [[_, sources]] = find_sets(["memory://pets"])
    bucket(range(1, 4), headers=True)
    assert plan.look_at_sizes(sources, engine, options()).all()
    bucket(range(1, 99), headers=True)
    with pytest.raises(PlaceError, match="503 service unavailable"):
        plan.look_at_sizes(sources, engine, options())


@pytest.mark.parametrize("what", [{"overlays": True}, {"refine": "guided"}])
def test_an_image_that_is_read_again_and_cannot_be_reached_ends_the_run(bucket, options, what, tmp_path):
    asked = options(method="scda", **what)
    bucket(range(2, 6))
    with pytest.raises(PlaceError, match="503 service unavailable"):
        localize(["memory://pets"], tmp_path, asked)
    assert not (tmp_path / "parts/found-00000.parquet").exists()
    assert len(localize(["memory://pets"], tmp_path, asked).images) == 6


def test_an_archive_that_vanishes_in_the_middle_ends_the_run_which_then_goes_on(options, paths, tmp_path, monkeypatch):
    tar = write_tar(tmp_path / "pets.tar", {path.name: path.read_bytes() for path in paths})
    away = tmp_path / "away.tar"
    extract = Steps.features

    def vanishing(self, batch):
        if tar.exists():
            tar.rename(away)
        return extract(self, batch)

    asked = options(batch=2)
    monkeypatch.setattr(plan, "_SMALLEST", 2)
    message = r"pets\.tar: cannot be read any more \(no such file\): see that the file and its disk are there, and run "
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "features", vanishing)
        with pytest.raises(PlaceError, match=message):
            localize([tar], tmp_path / "out", asked)
    away.rename(tar)
    findings = localize([tar], tmp_path / "out", asked)
    assert (len(findings.images), len(findings.skipped)) == (6, 0)


def test_an_index_blames_no_image_either(bucket, options, tmp_path):
    asked = small.index_options(options().weights)
    for first in (1, 2):  # to be described, and for its checksum
        bucket(range(first, first + 4))
        with pytest.raises(PlaceError, match="503 service unavailable"):
            index(["memory://pets"], tmp_path / str(first), asked)
        made = index(["memory://pets"], tmp_path / str(first), asked)
        assert len(made.skipped) == 0
