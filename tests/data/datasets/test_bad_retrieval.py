"""What disagrees in ground truth of retrieval: told with its file and left out, or refused."""

import pickle

import pytest

from jaxloc.data.datasets import open_dataset
from jaxloc.errors import UsageError
from tests.data.datasets import trees


def test_landmarks_that_are_not_there_are_told(tmp_path):
    trees.landmarks(tmp_path)
    (tmp_path / "jpg" / "hall_0_000000.jpg").unlink()
    (tmp_path / "jpg" / "hall_1_000003.jpg").unlink()
    dataset = open_dataset(f"oxford5k:{tmp_path}")
    assert [query.name for query in dataset.queries] == ["hall_1_1"]
    assert dataset.queries[0].judged["junk"] == ()
    truth = tmp_path / "groundtruth"
    assert [str(problem) for problem in dataset.problems] == [
        f"{truth}/hall_0_1_query.txt: the query hall_0_1 asks with hall_0_000000, which is not there; left out",
        f"{truth}/hall_1_1_query.txt: hall_1_000003, junk for hall_1_1; left out",
    ]


def test_landmarks_without_ground_truth_are_refused(tmp_path):
    trees.write_image(tmp_path / "jpg" / "a.jpg", 0)
    with pytest.raises(UsageError, match=r"^oxford5k:.*: no \*_query\.txt there: see `jaxloc datasets oxford5k`$"):
        open_dataset(f"oxford5k:{tmp_path}")
    with pytest.raises(UsageError, match=r"^roxford5k:.*: no gnd_roxford5k\.pkl there: see `jaxloc datasets"):
        open_dataset(f"roxford5k:{tmp_path}")


def test_a_query_file_that_is_none_is_refused(tmp_path):
    trees.landmarks(tmp_path)
    (tmp_path / "groundtruth" / "hall_0_1_query.txt").write_text("oxc1_hall_0_000000 1 2")
    with pytest.raises(UsageError, match=r"hall_0_1_query\.txt: has 3 fields and not 5: image, x0, y0, x1, y1$"):
        open_dataset(f"oxford5k:{tmp_path}")


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, protocol):
    trees.revisited(tmp_path)
    path = tmp_path / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps({"imlist": Evil()}, protocol=protocol))
    with pytest.raises(UsageError, match=r"gnd_roxford5k\.pkl: refuses to run (builtins|__builtin__)\.exec, which the"):
        open_dataset(f"roxford5k:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04r\xff\xff\xff\x7f.", pickle.dumps({1, 2})])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    trees.revisited(tmp_path)
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(content)
    with pytest.raises(UsageError, match=r"gnd_roxford5k\.pkl: damaged, or no pickle of plain values \(.*: fetch it"):
        open_dataset(f"roxford5k:{tmp_path}")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"imlist": ["a"]},
        {"imlist": ["a"], "qimlist": ["a"], "gnd": []},
        {"imlist": ["a"], "qimlist": [], "gnd": [1]},
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    trees.revisited(tmp_path)
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UsageError, match=r"not the ground truth of Revisited Oxford \(.*: fetch it again$"):
        open_dataset(f"roxford5k:{tmp_path}")


def test_an_image_of_instre_without_its_boxes_is_told(tmp_path):
    trees.instre(tmp_path)
    pair = tmp_path / "INSTRE-M" / "01_pair" / "001.txt"
    pair.write_text("1 2 30 40\n")
    single = tmp_path / "INSTRE-S1" / "01a_s1" / "002.txt"
    single.unlink()
    dataset = open_dataset(f"instre:{tmp_path}")
    assert [str(problem) for problem in dataset.problems] == [
        f"{single}: is not there; its image is left out",
        f"{pair}: does not hold 2 boxes of four numbers; its image is left out",
        f"{tmp_path}/gnd_instre.mat: 1 images that INSTRE-S1/01a_s1/001.jpg should find are not there; left out",
    ]
