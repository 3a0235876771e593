"""Parquet files of encoded images: columns, row groups, labels, and what is refused."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxloc.data import find_sets, read_image
from jaxloc.data.archives import parquet
from jaxloc.data.sources import bytes_of
from jaxloc.errors import ImageError, UsageError
from tests.data.encoded import image, names_of, shades_of, write_tar


def write(path, columns, *, group=3, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=group)
    return path


def photos(count: int) -> pa.Array:
    return pa.array([image(i) for i in range(count)])


@pytest.mark.parametrize("column", ["image", "bytes", "img"])
def test_rows_are_named_by_number_and_read_in_any_order(tmp_path, column):
    path = write(tmp_path / "dogs.parquet", {"id": range(8), column: photos(8)})
    [images] = find_sets([path])
    assert names_of([images]) == {"dogs": [f"{i:08}" for i in range(8)]}
    assert shades_of(images) == list(range(8))
    assert [read_image(images.sources[i].path).pixels[0, 0, 0] for i in (7, 0, 4, 3)] == [7, 0, 4, 3]


def test_the_layout_of_hugging_face_is_read_with_its_class_names(tmp_path):
    images = pa.array([{"bytes": image(i), "path": f"{i}.png"} for i in range(5)])
    about = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    columns = {"image": images, "label": [0, 1, 1, 0, 1]}
    path = write(tmp_path / "train-00000-of-00001.parquet", columns, metadata={"huggingface": json.dumps(about)})
    sets = find_sets([path], per_label=True)
    assert names_of(sets) == {"cat": ["0.png", "3.png"], "dog": ["1.png", "2.png", "4.png"]}
    assert [shades_of(found) for found in sets] == [[0, 3], [1, 2, 4]]


def test_labels_without_class_names_are_kept_as_they_are(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": photos(3), "label": ["x", None, "y"]})
    assert [source.label for source in find_sets([path])[0].sources] == ["x", None, "y"]
    path = write(tmp_path / "b.parquet", {"image": photos(2), "label": [3, 4]})
    assert [source.label for source in find_sets([path])[0].sources] == ["3", "4"]


@pytest.mark.parametrize("column", ["name", "path", "file_name"])
def test_names_come_from_their_column(tmp_path, column):
    path = write(tmp_path / "a.parquet", {"image": photos(3), column: ["z/a.png", "../b.png", "/c.png"]})
    assert names_of(find_sets([path])) == {"a": ["z/a.png", "b.png", "c.png"]}


def of_type(column: pa.Array, kind: str) -> pa.Array:
    """A column as another type, or with a dictionary of its values."""
    return column.dictionary_encode() if kind == "dictionary" else pa.array(column.to_pylist(), kind)


def write_typed(path, columns):
    """Write columns as one row group, in types that an older pyarrow knows and cannot write."""
    try:
        return write(path, columns, group=len(next(iter(columns.values()))))
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"pyarrow {pa.__version__}: {error}")


@pytest.mark.parametrize("kind", ["large_binary", "binary_view", "dictionary"])
@pytest.mark.parametrize("is_inside", [False, True])
def test_images_are_read_from_each_type_of_bytes(tmp_path, kind, is_inside):
    column = of_type(photos(7), kind)
    if is_inside:
        column = pa.StructArray.from_arrays([column], ["bytes"])
    path = write_typed(tmp_path / "a.parquet", {"image": column})
    assert kind in str(pq.read_schema(path).field("image").type)
    assert shades_of(find_sets([path])[0]) == list(range(7))


@pytest.mark.parametrize("kind", ["large_string", "string_view", "dictionary"])
def test_names_and_labels_are_read_from_each_type_of_text(tmp_path, kind):
    names = of_type(pa.array(["a.png", "b.png", "c.png"]), kind)
    path = write_typed(tmp_path / "a.parquet", {"image": photos(3), "name": names, "label": names})
    assert kind in str(pq.read_schema(path).field("name").type)
    [images] = find_sets([path])
    assert [(source.name, source.label) for source in images.sources] == [(f"{x}.png", f"{x}.png") for x in "abc"]


@pytest.mark.parametrize("names", [["a", "a"], ["a", None], ["a", ""]])
def test_names_that_tell_no_rows_apart_are_not_used(tmp_path, names):
    path = write(tmp_path / "a.parquet", {"image": photos(2), "name": names})
    assert names_of(find_sets([path])) == {"a": ["00000000", "00000001"]}


def test_a_record_says_where_it_lies_and_goes_to_another_process(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": photos(5)})
    record = find_sets([path])[0].sources[4].path
    assert str(record) == f"{path}#00000004"
    assert record.size_in_bytes is None
    assert record.archive_bytes == bytes_of(record) == path.stat().st_size
    assert pickle.loads(pickle.dumps(record)).read() == image(4)


@pytest.fixture
def groups_read(monkeypatch):
    """The row groups of images read from here on."""
    read = []
    read_row_group = pq.ParquetFile.read_row_group

    def watched(self, group, columns):
        read.append(group)
        return read_row_group(self, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    return read


def test_only_the_row_group_asked_for_is_read_and_once_for_all_threads(tmp_path, groups_read):
    path = write(tmp_path / "a.parquet", {"image": photos(30)}, group=10)
    [images] = find_sets([path])
    assert groups_read == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda source: source.path.read(), images.sources[10:20]))
    assert groups_read == [1]


def test_row_groups_leave_memory_when_there_are_too_many(tmp_path, groups_read, monkeypatch):
    monkeypatch.setattr(parquet, "_MEMORY", 2 * 10 * len(image(0)) + 500)
    [images] = find_sets([write(tmp_path / "a.parquet", {"image": photos(40)}, group=10)])
    for number in (0, 10, 1, 20, 2, 11):
        images.sources[number].path.read()
    assert groups_read == [0, 1, 2, 1]


def test_an_empty_row_is_an_image_error_and_the_others_are_read(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [image(1), None, b"text"]})
    sources = find_sets([path])[0].sources
    assert read_image(sources[0].path).pixels[0, 0, 0] == 1
    with pytest.raises(ImageError, match="its row holds no image"):
        read_image(sources[1].path)
    with pytest.raises(ImageError, match="not an image"):
        read_image(sources[2].path)


def test_a_file_without_a_column_of_images_names_its_columns(tmp_path):
    path = write(tmp_path / "a.parquet", {"x": [1], "image": ["photo.jpg"], "vector": [b"abc"]})
    message = (
        r"a\.parquet: no column of encoded images, with values of type binary or a struct with a field bytes: "
        r"name another \(--image-column\); its columns: x \(int64\), image \(string\), vector \(binary\)$"
    )
    with pytest.raises(UsageError, match=message):
        find_sets([path])


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = write(tmp_path / "a.parquet", {"image": photos(8)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UsageError, match=r"a\.parquet: truncated, or no Parquet file \(.*\): copy or write it again"):
        find_sets([path])


def test_a_file_without_rows_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": pa.array([], pa.binary())})
    with pytest.raises(UsageError, match=r"a\.parquet: holds no image: it has no rows"):
        find_sets([path])


def test_per_label_says_which_shard_has_none(tmp_path):
    write(tmp_path / "s/1.parquet", {"image": photos(2), "label": [0, 1]})
    write(tmp_path / "s/2.parquet", {"image": photos(2)})
    with pytest.raises(UsageError, match=r"2\.parquet: no labels there"):
        find_sets([tmp_path / "s"], per_label=True)


def test_a_file_that_is_written_again_is_not_read_from_memory(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [image(1)]})
    assert shades_of(find_sets([path])[0]) == [1]
    write(path, {"image": [image(2), image(3)]})
    assert shades_of(find_sets([path])[0]) == [2, 3]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("label", ["label", "labels", "kind"])
def test_columns_of_any_name_are_found_by_their_content_and_metadata(tmp_path, nested, label):
    column = pa.array([{"bytes": image(i), "path": f"p{i}.png"} for i in range(3)]) if nested else photos(3)
    said = {"kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": said}})}
    path = write(tmp_path / "a.parquet", {"hash": [b"x"] * 3, "jpg": column, label: [0, 1, 0]}, metadata=about)
    (found,) = find_sets([path])
    assert shades_of(found) == [0, 1, 2]
    assert [source.name for source in found.sources][:1] == (["p0.png"] if nested else ["00000000"])
    assert [source.label for source in found.sources] == (["cat", "dog", "cat"] if label == "kind" else ["0", "1", "0"])


def test_columns_can_be_named(tmp_path):
    columns = {
        "image": photos(3),
        "depth": pa.array([image(i + 7) for i in range(3)]),
        "label": [1, 2, 3],
        "day": [4, 5, 6],
    }
    path = write(tmp_path / "a.parquet", columns)
    (found,) = find_sets([path], image_column="depth", label_column="day")
    assert shades_of(found) == [7, 8, 9]
    assert [source.label for source in found.sources] == ["4", "5", "6"]
    with pytest.raises(UsageError, match=r"no column night of encoded images, .* depth \(binary\), label \(int64\)"):
        find_sets([path], image_column="night")
    with pytest.raises(UsageError, match=r"no column night of labels; its columns: image \(binary\), depth"):
        find_sets([path], label_column="night")


def test_a_table_about_an_archive_is_passed_over_and_told(tmp_path):
    write_tar(tmp_path / "00000.tar", {"0.jpg": image(5)})
    write(tmp_path / "00000.parquet", {"url": ["https://x.invalid"]})
    sets = find_sets([tmp_path])
    assert shades_of(sets[0]) == [5]
    assert sets.ignored == ["1 .parquet file not read: tables about archives of their name"]
