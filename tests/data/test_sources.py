"""Sequences of images: exact, random access, slices, and what they cost."""

import itertools
import pickle

import pytest

from jaxloc.data import Source, find_sets, sources
from jaxloc.errors import UsageError
from tests.data.encoded import image, write_tar


@pytest.fixture
def mixed(tmp_path):
    """25 images: 4 files and the members of three shards."""
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(image(number))
    for shard in range(3):
        write_tar(tmp_path / f"{shard}.tar", {f"{i}.png": image(i) for i in range(7)})
    [images] = find_sets([tmp_path / "*.png", tmp_path / "*.tar"])
    return images.sources


def test_its_length_is_known_and_every_name_is_there_once(mixed):
    assert len(mixed) == len({source.name for source in mixed}) == 25


def test_any_place_can_be_asked_for_without_those_before_it(mixed):
    everything = list(mixed)
    assert [mixed[i] for i in reversed(range(25))] == everything[::-1]
    assert mixed[-1] == everything[24]
    for index in (25, -26):
        with pytest.raises(IndexError):
            mixed[index]


@pytest.mark.parametrize("hosts", [1, 2, 3, 7, 25, 40])
def test_slices_are_disjoint_exact_shards(mixed, hosts):
    everything = list(mixed)
    strided = [list(mixed[host::hosts]) for host in range(hosts)]
    assert sorted(source.name for part in strided for source in part) == sorted(source.name for source in everything)
    ends = [25 * host // hosts for host in range(hosts + 1)]
    blocks = [list(mixed[start:stop]) for start, stop in itertools.pairwise(ends)]
    assert [source for block in blocks for source in block] == everything


def test_a_slice_of_a_slice_and_chosen_images_keep_their_order(mixed):
    everything = list(mixed)
    assert list(mixed[3:20:2][1:5]) == everything[3:20:2][1:5]
    chosen = mixed.take([20, 3, 4])
    assert list(chosen) == [everything[20], everything[3], everything[4]]
    assert list(chosen[1:]) == [everything[3], everything[4]]


def test_it_goes_to_another_process_and_comes_back_equal(mixed):
    again = pickle.loads(pickle.dumps(mixed[2:]))
    assert list(again) == list(mixed)[2:]


def test_an_entry_costs_few_bytes(tmp_path):
    members = {f"dogs/{i:08}.png": b"x" for i in range(2000)}
    [images] = find_sets([write_tar(tmp_path / "photos.tar", members)])
    assert len(pickle.dumps(images.sources)) < 2000 * 50


def test_texts_escape_bytes_that_are_not_utf8():
    kept = sources.compact(["", "a", "käfer", "bad\udcff", "a"])
    assert kept.to_pylist() == ["", "a", "käfer", "bad\\xff", "a"]


def test_labels_know_their_members_and_who_has_none():
    labels = sources.Labels(["b", None, "a", "b", None, "b"])
    assert [labels[i] for i in range(6)] == ["b", None, "a", "b", None, "b"]
    assert {name: list(numbers) for name, numbers in labels.members().items()} == {"b": [0, 3, 5], "a": [2]}


def test_work_that_needs_a_file_is_told_where_there_is_none(tmp_path, mixed):
    assert mixed[0].file == tmp_path / "0.png"
    with pytest.raises(
        UsageError, match=r"2\.tar#6\.png: images have to be files of this machine here: copy or unpack"
    ):
        _ = mixed[-1].file


def test_a_source_of_a_file_is_a_path_and_a_name(tmp_path):
    assert Source(tmp_path, "a") == (tmp_path, "a", None)
