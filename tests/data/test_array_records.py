"""ArrayRecord files: of images, of examples, and what is refused."""

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxloc.data import find_sets, read_image
from jaxloc.errors import ImageError, PlaceError, UsageError
from tests.data.encoded import image, names_of, shades_of

module = pytest.importorskip("array_record.python.array_record_module")
tf_example_pb2 = pytest.importorskip("tensorflow_datasets.proto").tf_example_pb2


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    return path


def example(**features: bytes | int) -> bytes:
    message = tf_example_pb2.Example()
    for name, value in features.items():
        feature = message.features.feature[name.replace("__", "/")]
        (feature.bytes_list if isinstance(value, bytes) else feature.int64_list).value.append(value)
    return message.SerializeToString()


@pytest.mark.parametrize("name", ["a.array_record", "a.arrayrecord", "a.array_record-00000-of-00001"])
def test_records_that_are_images_are_read_in_any_order(tmp_path, name):
    path = write(tmp_path / name, [image(i) for i in range(20)])
    [images] = find_sets([path])
    assert names_of([images]) == {"a": [f"{i:08}" for i in range(20)]}
    assert shades_of(images) == list(range(20))
    assert [read_image(images.sources[i].path).pixels[0, 0, 0] for i in (19, 0, 7)] == [19, 0, 7]
    assert str(images.sources[3].path) == f"{path}#00000003"


@pytest.mark.parametrize("feature", ["image", "image__encoded"])
def test_examples_give_their_image_and_label(tmp_path, feature):
    records = [example(**{feature: image(i), "label": i % 2}) for i in range(5)]
    sets = find_sets([write(tmp_path / "a.array_record", records)], per_label=True)
    assert names_of(sets) == {"0": ["00000000", "00000002", "00000004"], "1": ["00000001", "00000003"]}
    assert [shades_of(images) for images in sets] == [[0, 2, 4], [1, 3]]
    assert sets[1].sources[0].label == "1"


def test_a_damaged_first_record_is_skipped_like_any_other(tmp_path):
    path = write(tmp_path / "a.array_record", [example(image=image(n), label=n) for n in range(3)])
    data = bytearray(path.read_bytes())
    place = data.index(b"PNG")
    data[place + 20] ^= 1
    path.write_bytes(data)
    [images] = find_sets([path])
    with pytest.raises(ImageError, match="cannot be read: Corrupted"):
        read_image(images.sources[0].path)
    assert [read_image(images.sources[n].path).pixels[0, 0, 0] for n in (1, 2)] == [1, 2]
    with pytest.raises(UsageError, match="1 of 3 images have no label"):
        find_sets([path], per_label=True)


def test_the_name_of_a_class_counts_more_than_its_number(tmp_path):
    record = example(image=image(1), label=3, image__class__text="käfer".encode())
    assert [found.name for found in find_sets([write(tmp_path / "a.array_record", [record])], per_label=True)] == [
        "käfer"
    ]


def test_a_damaged_record_has_no_label(tmp_path):
    path = write(tmp_path / "a.array_record", [example(image=image(1), label=3), b"\xff\xfe\xfd"])
    with pytest.raises(UsageError, match="1 of 2 images have no label, or several, such as 00000001: label them"):
        find_sets([path], per_label=True)


def test_images_alone_have_no_labels(tmp_path):
    with pytest.raises(UsageError, match=r"a\.array_record: no labels there"):
        find_sets([write(tmp_path / "a.array_record", [image(1)])], per_label=True)


def test_a_folder_of_shards_is_one_set(tmp_path):
    for shard in range(2):
        write(tmp_path / f"s/x.array_record-0000{shard}-of-00002", [image(10 * shard + i) for i in range(2)])
    (tmp_path / "s/dataset_info.json").write_text("{}")
    [images] = find_sets([tmp_path / "s"])
    assert images.name == "s"
    assert images.sources[2].name == "x.array_record-00001-of-00002/00000000"
    assert shades_of(images) == [0, 1, 10, 11]


def test_many_threads_and_another_process_read_the_same(tmp_path):
    [images] = find_sets([write(tmp_path / "a.array_record", [image(i) for i in range(100)])])
    again = pickle.loads(pickle.dumps(images.sources))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda source: source.path.read(), again)) == [image(i) for i in range(100)]


def test_one_bad_record_is_an_image_error_and_the_others_are_read(tmp_path):
    records = [
        example(image=image(0)),
        example(label=3),
        b"\xff\xfe\xfd",
        example(image=b"text"),
        example(image=image(4)),
    ]
    sources = find_sets([write(tmp_path / "a.array_record", records)])[0].sources
    assert [read_image(sources[i].path).pixels[0, 0, 0] for i in (0, 4)] == [0, 4]
    for number, reason in (
        (1, "its record holds no image"),
        (2, "cannot be read: DecodeError"),
        (3, "not an image"),
    ):
        with pytest.raises(ImageError, match=reason):
            read_image(sources[number].path)


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.999])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = write(tmp_path / "a.array_record", [bytes(image(i)) * 300 for i in range(20)])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UsageError, match=r"a\.array_record: truncated, or no ArrayRecord file: copy or write it again"):
        find_sets([path])


def test_a_file_without_records_or_images_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"a\.array_record: holds no image: it has no records"):
        find_sets([write(tmp_path / "a.array_record", [])])
    with pytest.raises(UsageError, match=r"b\.array_record: holds no image: neither encoded images nor tf\.train\.Ex"):
        find_sets([write(tmp_path / "b.array_record", [b"\xff text"])])
    message = r"c\.array_record: no feature of encoded images: name it image or image/encoded; it has: label, text"
    with pytest.raises(UsageError, match=message):
        find_sets([write(tmp_path / "c.array_record", [example(text=b"x", label=1)])])


def test_a_missing_package_is_named_with_the_cure(tmp_path, monkeypatch):
    path = write(tmp_path / "a.array_record", [example(image=image(1))])
    monkeypatch.setitem(sys.modules, "tensorflow_datasets.proto", None)
    with pytest.raises(UsageError, match=r"needs tensorflow-datasets: pip install 'jaxloc\[tfds\]'"):
        find_sets([path])
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    path = write(tmp_path / "b.array_record", [image(1)])
    with pytest.raises(
        UsageError, match=r"b\.array_record: reading it needs array_record: pip install 'jaxloc\[tfds\]'"
    ):
        find_sets([path])


def test_a_file_that_is_written_again_or_gone_is_not_read_from_memory(tmp_path):
    path = write(tmp_path / "a.array_record", [image(1)])
    assert shades_of(find_sets([path])[0]) == [1]
    path.unlink()
    write(path, [image(2), image(3)])
    [images] = find_sets([path])
    assert shades_of(images) == [2, 3]
    path.write_bytes(path.read_bytes()[:100])
    message = r"^\S+a\.array_record: has become shorter since it was listed: copy or write it again, and run the"
    with pytest.raises(PlaceError, match=message):
        read_image(images.sources[0].path)
    path.unlink()
    with pytest.raises(PlaceError, match=r"^\S+a\.array_record: cannot be read any more \(no such file\): see that"):
        read_image(images.sources[0].path)


def test_damaged_bytes_of_one_record_cost_that_image_only(tmp_path):
    path = write(tmp_path / "a.array_record", [image(i, rows=90, columns=90) + os.urandom(9000) for i in range(40)])
    sources = find_sets([path])[0].sources
    data = bytearray(path.read_bytes())
    data[150_000:150_050] = bytes(50)
    path.write_bytes(data)
    reasons = []
    for source in sources:
        try:
            read_image(source.path)
        except ImageError as error:
            reasons.append(str(error))
    assert 1 <= len(reasons) < 40
    assert all(reason.startswith("cannot be read: Corrupted") for reason in reasons)


def test_a_missing_shard_of_a_folder_is_named(tmp_path):
    for number in (0, 1, 3):
        write(tmp_path / f"s/x.array_record-0000{number}-of-00004", [image(number)])
    with pytest.raises(UsageError, match=r"s/x\.array_record-00002-of-00004: this shard is missing: fetch it, or name"):
        find_sets([tmp_path / "s"])
    assert len(find_sets([tmp_path / "s/*0000[013]-*"])[0].sources) == 3
