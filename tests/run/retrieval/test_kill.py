"""``kill -9`` in the middle of ``index``: the same call resumes it, and ends with the bytes of an unbroken run."""

import os
import random
import signal
import time

import pytest

from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from tests.run import helpers
from tests.run.batches.runs import Killed
from tests.run.retrieval import killed, small

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on this system")

FILES = 2 + 2 * 6
"""The description, the journal, and for each of six shards a table and its vectors."""


MOMENTS = pytest.mark.parametrize(
    ("options", "moments"),
    [
        ({"descriptor": "vlad"}, [("half", 0), ("codebook", 0), ("half", 7)]),
        ({"whiten": "svd-5"}, [("fitting", 0), ("half", 3), ("whitening", 0)]),
    ],
    ids=["vlad", "svd"],
)


@MOMENTS
def test_broken_off_anywhere_it_resumes(made, weights, images, tmp_path, options, moments):
    def die():
        raise Killed

    asked = {"images": images, "out": tmp_path / "g", "weights": weights, "options": options}
    for where, files in moments:
        with pytest.raises(Killed):
            killed.index_until(die, **asked, where=where, files=files)
    index([images], tmp_path / "g", small.index_options(weights, **options))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made(**options))


@pytest.mark.soak
def test_killed_three_times_at_random_it_ends_with_the_bytes_of_an_unbroken_run(made, weights, images, tmp_path):
    options = {"whiten": "svd-5"}
    moments = random.Random(5)
    done = 0
    for where in ("half", "after", "half"):
        # Later runs write the journal and the shards that are missing: fewer files each time.
        files = moments.randrange(1, FILES - 2 * done - 4)
        assert killed.run(images, tmp_path / "g", weights, files=files, where=where, **options) == -signal.SIGKILL
        shards = len(Gallery.open(tmp_path / "g").shards)
        assert done <= shards < 6
        done = shards
    assert done > 0
    index([images], tmp_path / "g", small.index_options(weights, **options))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made(**options))


@pytest.mark.soak
@MOMENTS
def test_killed_while_something_is_fitted_it_resumes(made, weights, images, tmp_path, options, moments):
    for where, files in moments:
        status = killed.run(images, tmp_path / "g", weights, files=files, where=where, **options)
        assert status == -signal.SIGKILL
    index([images], tmp_path / "g", small.index_options(weights, **options))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made(**options))


@pytest.mark.soak
def test_killed_from_outside_it_opens_at_its_last_finished_shard(made, weights, images, tmp_path):
    asked = {"images": str(images), "out": str(tmp_path / "g"), "weights": str(weights), "options": {}}
    process = killed.start(asked | {"files": -1, "where": "slowly"})
    try:
        while len(list((tmp_path / "g" / "vectors").glob("[0-9]*.safetensors"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = Gallery.open(tmp_path / "g")
    assert 2 <= len(finished.shards) < 6
    assert small.names(tmp_path / "g") == small.names(made())[: 3 * len(finished.shards)]
    index([images], tmp_path / "g", small.index_options(weights))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made())
