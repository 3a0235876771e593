"""Shards of results: what is written is read back to the bit, and many shards are one sequence."""

import dataclasses
import math
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxloc.errors import UsageError
from jaxloc.report import parquet
from jaxloc.report.records import Finding, Skipped
from tests.report.examples import HOSTILE, image, noisy

IMAGES = [
    *(image(name, category=name) for name in HOSTILE),
    noisy("cat/none.jpg"),
    image("cat/bare.jpg", heat=None, thumbnail=None, noise_score=None),
    image("cat/empty.jpg", heat=np.zeros((0, 2), np.int8), thumbnail=b""),
    image("cat/odd.jpg", score=math.nan, noise_score=math.inf, box=(0.1, -0.0, math.nan, 1e-310)),
    image("", category="", path="memory://bucket//a.jpg"),
    image("in an archive", path="photos.tar#dogs//a.jpg"),
    image("a file", path=Path("photos#1.jpg")),
    image("cut.jpg", note="lacks its last bytes"),
]
SKIPPED = [Skipped("cat/9.jpg", "cat", "not an image"), *(Skipped(name, name, name) for name in HOSTILE)]


def exact(finding: Finding) -> tuple:
    """Every field in a form that is equal only if all bits are."""
    values = dataclasses.asdict(finding)
    heat = values.pop("heat")
    numbers = [*(values.pop("box") or ()), values.pop("score"), values.pop("noise_score")]
    bits = [None if number is None else struct.pack("d", number) for number in numbers]
    return values, bits, None if heat is None else (heat.dtype, heat.shape, heat.tobytes())


def same(some, others) -> bool:
    return list(map(exact, some)) == list(map(exact, others))


def read_whole(path: Path) -> tuple[list[Finding], list[Skipped]]:
    return list(parquet.Images([path])), list(parquet.SkippedImages([path]))


@pytest.fixture
def shards(tmp_path):
    """Three shards, of which the second is empty, and what is in all of them."""
    images = [image(f"{number}.jpg", "cat" if number < 5 else "dog", width=number) for number in range(9)]
    skipped = [Skipped(f"skipped {number}", "bird", "cut") for number in range(3)]
    parts = [(images[:4], skipped[:1]), ([], []), (images[4:], skipped[1:])]
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for file, part in zip(files, parts, strict=True):
        parquet.write(file, *part)
    return files, images, skipped


@pytest.mark.parametrize(
    ("images", "skipped"), [(IMAGES, SKIPPED), (IMAGES, []), ([], SKIPPED), ([], []), (IMAGES[:1] * 2500, [])]
)
def test_what_is_written_is_read_back_to_the_bit(tmp_path, images, skipped):
    parquet.write(tmp_path / "shard", images, skipped)
    read, also_skipped = read_whole(tmp_path / "shard")
    assert same(read, images)
    assert also_skipped == skipped


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(),
    st.floats(width=32),
    st.integers(1, 2**31 - 1),
)
def test_any_text_and_number_is_read_back_to_the_bit(tmp_path, text, double, single, side):
    finding = image(text, text, width=side, score=double, noise_score=np.float32(single), box=(single,) * 4)
    skipped = Skipped(text, text, text)
    parquet.write(tmp_path / "shard", [finding], [skipped])
    read, also_skipped = read_whole(tmp_path / "shard")
    assert same(read, [finding])
    assert also_skipped == [skipped]


def test_regions_are_read_back(tmp_path):
    regions = ((1.0, 2.0, 3.0, 4.0, 0.75), (5.0, 6.0, 7.0, 8.0, 0.25))
    parquet.write(tmp_path / "shard", [image("cat/1.jpg", objects=regions), image("cat/2.jpg")], [])
    read, _ = read_whole(tmp_path / "shard")
    assert [one.objects for one in read] == [regions, ()]


def test_masks_and_parts_are_read_back(tmp_path):
    parts = ((1.5, 2.0, 3.0, 4.0), None)
    images = [image("cat/1.jpg", mask=b"\x00run lengths\xff", parts=parts), image("cat/2.jpg")]
    parquet.write(tmp_path / "shard", images, [])
    read, _ = read_whole(tmp_path / "shard")
    assert [(one.mask, one.parts) for one in read] == [(b"\x00run lengths\xff", parts), (None, ())]


def test_same_content_gives_the_same_bytes(tmp_path):
    parquet.write(tmp_path / "first", IMAGES, SKIPPED)
    parquet.write(tmp_path / "second", *read_whole(tmp_path / "first"))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_columns_can_be_read_by_anyone(tmp_path):
    parquet.write(tmp_path / "shard", [image("cat/1.jpg"), noisy("cat/é.jpg")], SKIPPED[:1])
    table = pq.read_table(tmp_path / "shard")
    assert table.schema.metadata[b"format"] == b"jaxloc-findings-6"
    columns = table.to_pydict()
    assert columns["name"] == ["cat/1.jpg", "cat/é.jpg", "cat/9.jpg"]
    assert columns["path"] == ["elsewhere/a.jpg", "elsewhere/a.jpg", None]
    assert columns["x1"] == [320.0, None, None]
    assert columns["noisy"] == [False, True, None]
    assert columns["reason"] == [None, None, "not an image"]
    assert (columns["heat_rows"][0], columns["heat_columns"][0], len(columns["heat"][0])) == (2, 3, 6)
    assert columns["thumbnail"][0][:2] == b"\xff\xd8"


def test_a_failure_leaves_the_old_shard(tmp_path):
    parquet.write(tmp_path / "shard", IMAGES, SKIPPED)
    before = (tmp_path / "shard").read_bytes()
    with pytest.raises(AttributeError):
        parquet.write(tmp_path / "shard", [*IMAGES[:1] * 1500, None], [])
    assert (tmp_path / "shard").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "shard"]


def test_a_changed_byte_is_an_error_or_changes_nothing(tmp_path):
    path = tmp_path / "shard"
    parquet.write(path, IMAGES, SKIPPED)
    data = path.read_bytes()
    refused = 0
    for place in range(0, len(data), 53):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            images, skipped = read_whole(path)
        except UsageError:
            refused += 1
        else:
            assert same(images, IMAGES)
            assert skipped == SKIPPED
    assert refused > len(data) / 53 / 2


@pytest.mark.parametrize("length", [0, 5, -400, -1])
def test_a_truncated_shard_is_named_with_the_cure(shards, length):
    file = shards[0][0]
    file.write_bytes(file.read_bytes()[:length])
    message = r"0\.parquet: not readable as findings \(.*\): delete it and run the same command again"
    for action in (read_whole, lambda file: parquet.Images([file]), lambda file: parquet.SkippedImages([file])):
        with pytest.raises(UsageError, match=message):
            action(file)


def test_other_parquet_files_are_refused(shards):
    file = shards[0][0]
    pq.write_table(pq.read_table(file).drop_columns("score"), file)
    with pytest.raises(UsageError, match=r"0\.parquet: .*its columns are not those of findings"):
        read_whole(file)
    pq.write_table(pq.read_table(shards[0][2]).replace_schema_metadata({"format": "jaxloc-findings-9"}), file)
    with pytest.raises(UsageError, match=r"0\.parquet: .*its columns are not those of findings"):
        read_whole(file)


def test_a_shard_whose_counts_do_not_agree_is_refused(shards):
    file = shards[0][0]
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, "images": "3"}), file)
    with pytest.raises(UsageError, match="its counts do not agree"):
        read_whole(file)


def test_a_missing_shard_and_one_that_cannot_be_opened_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match=r"gone: no such file: run the same command again"):
        parquet.Images([tmp_path / "gone"])
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\): mend that and run the same command"):
        read_whole(tmp_path)


def test_shards_are_one_sequence_in_their_order(shards):
    files, images, skipped = shards
    for stored, expected in (
        (parquet.Images(files), images),
        (parquet.SkippedImages(files), skipped),
        (parquet.Images([]), []),
    ):
        for _ in range(2):
            assert [item.name for item in stored] == [item.name for item in expected]
        assert len(stored) == len(expected)
        numbers = range(-len(expected), len(expected))
        assert [stored[number].name for number in numbers] == [expected[number].name for number in numbers]
        for part in (slice(None), slice(2, 6), slice(1, None, 2), slice(-2, 99), slice(9, 2)):
            assert [item.name for item in stored[part]] == [item.name for item in expected[part]]
        with pytest.raises(IndexError):
            stored[len(expected)]
        with pytest.raises(IndexError):
            stored[-len(expected) - 1]


def test_records_of_a_sequence_are_whole(shards):
    files, images, skipped = shards
    assert same(parquet.Images(files), images)
    assert same([parquet.Images(files)[5]], images[5:6])
    assert list(parquet.SkippedImages(files)) == skipped


def test_light_iteration_leaves_out_heat_maps_and_thumbnails_and_nothing_else(shards):
    files, images, _ = shards
    expected = [dataclasses.replace(finding, heat=None, thumbnail=None) for finding in images]
    assert same(parquet.Images(files).light(), expected)


def test_categories_are_those_of_the_images(shards):
    assert parquet.Images(shards[0]).categories() == {"cat", "dog"}


def test_len_light_iteration_and_categories_do_not_need_heat_and_thumbnails(tmp_path):
    images = [image(f"{number}", thumbnail=bytes(range(256)) * 4) for number in range(100)]
    parquet.write(tmp_path / "shard", images, [])
    data = (tmp_path / "shard").read_bytes()
    (tmp_path / "shard").write_bytes(data.replace(bytes(range(256)), bytes(256)))
    stored = parquet.Images([tmp_path / "shard"])
    assert (len(stored), len(list(stored.light())), stored.categories()) == (100, 100, {"cat"})
    with pytest.raises(UsageError, match="shard: not readable as findings"):
        list(stored)


def test_a_shard_lost_later_is_named_when_it_is_read(shards):
    files, images, _ = shards
    stored = parquet.Images(files)
    files[2].unlink()
    assert stored[0].name == images[0].name
    with pytest.raises(UsageError, match=r"2\.parquet: no such file"):
        list(stored)
