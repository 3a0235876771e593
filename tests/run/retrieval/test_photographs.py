"""Retrieval on photographs people took, with the embedded weights."""

import shutil

import pytest

from jaxloc.options import IndexOptions
from jaxloc.run.retrieval.evaluation import evaluate_retrieval
from jaxloc.run.retrieval.index import index

KINDS, EACH = ("daffodil", "bluebell", "daisy"), 6


@pytest.mark.photos
@pytest.mark.usefixtures("vgg16")
def test_flowers_of_a_kind_find_each_other(photos_folder, tmp_path):
    source = photos_folder / "flowers17_small"
    for kind in KINDS:
        (tmp_path / "in" / kind).mkdir(parents=True)
        for path in sorted((source / kind).glob("*.jpg"))[:EACH]:
            shutil.copy(path, tmp_path / "in" / kind)
    done = index([tmp_path / "in"], tmp_path / "g", IndexOptions(max_side=128, whiten="svd-8"))
    assert (done.total, done.not_found) == (len(KINDS) * EACH, 0)
    result = evaluate_retrieval(tmp_path / "g")
    chance = 100 * (EACH - 1) / (len(KINDS) * EACH - 1)
    assert result.scored.mean.top1 > 2 * chance
    assert result.scored.mean.ap_step > 1.5 * chance
