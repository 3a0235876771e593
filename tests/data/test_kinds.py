"""What a name says about a file."""

import pytest

from jaxloc.data.kinds import archive_kind, common_folder, is_image, missing_shards, suffix, title


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tar", "tar"),
        ("x/a.b.TAR", "tar"),
        ("a.parquet", "parquet"),
        ("train-00000-of-00005.parquet", "parquet"),
        ("a.array_record", "arrayrecord"),
        ("a.arrayrecord", "arrayrecord"),
        ("a-train.array_record-00000-of-00001", "arrayrecord"),
        ("a.tar.gz", "compressed"),
        ("a.tgz", "compressed"),
        ("a.jpg", None),
        ("tar", None),
        (".tar", None),
        ("a.tar/b.jpg", None),
        ("a.parquet.txt", None),
    ],
)
def test_archives_are_told_by_their_names(name, kind):
    assert archive_kind(name) == kind


@pytest.mark.parametrize(
    ("name", "expected"), [("a.JPG", ".jpg"), ("x.y/a", ""), (".hidden", ""), ("a.b.png", ".png"), ("a.", ".")]
)
def test_a_suffix_is_that_of_the_last_part_in_lower_case(name, expected):
    assert suffix(name) == expected


def test_images_are_told_by_extension_or_by_having_none():
    assert [is_image(name) for name in ("a.JPG", "x/a", "a.txt", "a.pdf", "a.tar")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/x/dogs", "dogs"),
        ("gs://bucket", "bucket"),
        ("/x/dogs.v2", "dogs.v2"),
        ("/x/photos.tar", "photos"),
        ("/x/a-train.array_record-00000-of-00001", "a-train"),
        ("tfds://cars196/train[:10%]", "cars196"),
        ("tfds://coco/2017:1.1.0/train", "coco"),
        ("", ""),
    ],
)
def test_a_place_gives_its_set_a_title(place, expected):
    assert title(place) == expected


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["/a/b", "/a/c"], "/a"),
        (["/a/bc", "/a/bd"], "/a"),
        (["/a/b", "/a/b/c"], "/a/b"),
        (["/a", "/b"], ""),
        (["/a"], "/a"),
        (["gs://x/a", "gs://x/b"], "gs://x"),
        (["gs://x/a", "/x/a"], ""),
        ([], ""),
    ],
)
def test_the_common_folder_holds_whole_names(places, expected):
    assert common_folder(places) == expected


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["/s/a-00000-of-00002.tar", "/s/a-00001-of-00002.tar"], []),
        (["/s/a-00001-of-00002.tar"], ["/s/a-00000-of-00002.tar"]),
        (["/s/x.array_record-1-of-3"], ["/s/x.array_record-0-of-3", "/s/x.array_record-2-of-3"]),
        (["/s/a-0-of-1.tar", "/s/b-0-of-2.tar"], ["/s/b-1-of-2.tar"]),
        (["/part-1-of-2/{a}.tar", "/s/7.tar"], []),
    ],
)
def test_shards_that_count_themselves_are_missed(places, expected):
    assert list(missing_shards(places)) == expected
