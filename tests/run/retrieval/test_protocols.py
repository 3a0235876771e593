"""Queries whose images are judged: hand-worked lists, and landmark benchmarks in their own layouts."""

import json
import math
import shutil

import numpy as np
import pytest

from jaxloc.data import read_image
from jaxloc.data.cropped import Crop
from jaxloc.data.datasets import open_dataset
from jaxloc.errors import UsageError
from jaxloc.run.retrieval import protocols
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.protocols import evaluate_protocol, measure
from tests.data.datasets import trees
from tests.run.retrieval import small

SIZE = (96, 128)


@pytest.mark.parametrize(
    ("ranking", "wanted", "junk", "total", "expected"),
    [
        pytest.param([0, 1, 2], [0, 1], [], 2, [1, 1, 1, 1], id="perfect"),
        # Without the junk in front: found at 1 and 3; ((1 + 1)/2 + (1/2 + 2/3)/2) / 2; of the first 3, two.
        pytest.param([9, 4, 7, 5, 6], [4, 5], [9], 2, [(1 + 7 / 12) / 2, 1, 2 / 3, 2 / 3], id="junk"),
        # Found at 2; ((0 + 1/2)/2) / 1; the first result is wrong, of the first 2 one is right.
        pytest.param([1, 0], [0], [], 1, [1 / 4, 0, 1 / 2, 1 / 2], id="second"),
        # One of two is not in the gallery.
        pytest.param([0, 1], [0], [], 2, [1 / 2, 1, 1, 1], id="missing"),
        pytest.param([3, 1], [], [3], 1, [0, 0, 0, 0], id="none found"),
        pytest.param([3, 1], [], [3], 0, [math.nan] * 4, id="nothing to find"),
    ],
)
def test_measures_agree_with_lists_worked_by_hand(ranking, wanted, junk, total, expected):
    np.testing.assert_allclose(measure(np.array(ranking), wanted, junk, total), expected)


def test_easy_medium_and_hard_of_a_hand_worked_ranking():
    ranking, easy, hard, junk = np.array([5, 1, 8, 2, 3, 4]), [1], [2, 3], [5]
    judged = {"easy": easy, "hard": hard, "junk": junk}
    found = {
        setup: measure(
            ranking,
            *([row for kind in kinds for row in judged[kind]] for kinds in both),
            sum(len(judged[kind]) for kind in both[0]),
        )[0]
        for setup, both in protocols.SETUPS.items()
    }
    # Medium: found at 1, 3 and 4. Easy leaves 2 and 3 out, hard leaves 1 out: found at 2 and 3.
    assert found == pytest.approx(
        {
            "easy": 1,
            "medium": (1 + (1 / 2 + 2 / 3) / 2 + (2 / 3 + 3 / 4) / 2) / 3,
            "hard": ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2,
        }
    )


@pytest.fixture(scope="module")
def oxford(weights, tmp_path_factory):
    """A revisited set and its gallery."""
    root = trees.revisited(tmp_path_factory.mktemp("set") / "oxford", size=SIZE)
    gallery = root.parent / "gallery"
    index([f"roxford5k:{root}"], gallery, small.index_options(weights))
    return root, gallery


def test_queries_are_cut_out_and_their_own_images_count_neither_way(oxford, weights):
    root, gallery = oxford
    dataset = open_dataset(f"roxford5k:{root}")
    result = evaluate_protocol(gallery, dataset, small.reading(weights))
    assert list(result.setups) == ["easy", "medium", "hard"]
    assert all(scores.queries == 2 for scores in result.setups.values())
    rows = {row["name"]: number for number, row in enumerate(Gallery.open(gallery).whole_table().to_pylist())}
    vectors = small.unit(small.stored(gallery))
    expected = []
    for query in dataset.queries:
        crop = root.parent / f"{query.name}.png"
        crop.write_bytes(Crop(dataset.images[query.image].path, query.box).read())
        index([crop], root.parent / f"g {query.name}", small.index_options(weights))
        [asked] = small.unit(small.stored(root.parent / f"g {query.name}"))
        order = [name for name in sorted(rows, key=lambda name: -(vectors[rows[name]] @ asked)) if "query" not in name]
        order = [name for name in order if name not in query.judged["junk"]]
        ranks = sorted(order.index(name) for kind in ("easy", "hard") for name in query.judged[kind])
        expected.append(
            np.mean([((n / rank if rank else 1) + (n + 1) / (rank + 1)) / 2 for n, rank in enumerate(ranks)])
        )
    assert result.setups["medium"].mean_average_precision == pytest.approx(100 * np.mean(expected))


def test_a_moved_gallery_is_matched_by_names_and_images_that_it_lacks_are_not_found(oxford, weights, tmp_path):
    root, gallery = oxford
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    whole = evaluate_protocol(gallery, open_dataset(f"roxford5k:{moved}"), small.reading(weights))
    assert whole == evaluate_protocol(gallery, open_dataset(f"roxford5k:{root}"), small.reading(weights))
    some = small.copy(gallery, tmp_path / "g")
    first = Gallery.open(some).whole_table().to_pylist()[0]
    assert first["name"] == "jpg/hall_000000.jpg"
    Gallery.open(some).remove([first["path"]])
    result = evaluate_protocol(some, open_dataset(f"roxford5k:{root}"), small.reading(weights))
    assert any("1 judged images are not in the gallery" in warning for warning in result.warnings)
    assert result.setups["easy"].mean_average_precision < whole.setups["easy"].mean_average_precision
    with pytest.raises(UsageError, match="holds none of the images that Oxford Buildings 5k judges, such as"):
        evaluate_protocol(
            gallery, open_dataset(f"oxford5k:{trees.landmarks(tmp_path / 'old', size=SIZE)}"), small.reading(weights)
        )


@pytest.mark.parametrize(("name", "make"), [("oxford5k", trees.landmarks), ("instre", trees.instre)])
def test_sets_without_difficulty_have_one_setup(weights, tmp_path, name, make):
    root = make(tmp_path / "set", size=SIZE)
    index([f"{name}:{root}"], tmp_path / "g", small.index_options(weights))
    result = evaluate_protocol(tmp_path / "g", open_dataset(f"{name}:{root}"), small.reading(weights))
    assert list(result.setups) == ["all"]
    assert 0 < result.setups["all"].mean_average_precision <= 100
    assert (
        json.loads(json.dumps(protocols.to_plain(result)))["setups"]["all"]["queries"] == result.setups["all"].queries
    )


def test_a_crop_is_the_pixels_inside_its_box(tmp_path):
    trees.write_image(tmp_path / "a.png", 0, SIZE)
    whole = read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(read_image(Crop(tmp_path / "a.png", (9.6, 3.2, 40, 30))).pixels, whole[3:30, 10:40])
