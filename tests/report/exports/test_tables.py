"""Parquet and tensorflow-datasets: read back by their own readers and by ours."""

import dataclasses
import importlib.util
import io
import json
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jaxloc.data import find_sets, read_image
from jaxloc.report.exports import parquet, tfds
from jaxloc.report.exports.job import Job
from tests.report.exports import examples

CLASSES = ["cat", "dog"]


def has_tfds() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.util.find_spec("tensorflow_datasets") is not None


@pytest.fixture
def images(tmp_path):
    return examples.images(tmp_path / "photos")


def test_parquet_holds_a_row_for_each_image(images, tmp_path):
    (tmp_path / "out").mkdir()
    found: list = []
    assert parquet.write(Job(tmp_path / "out", images, CLASSES, found)) == images
    assert found == []
    (file,) = (tmp_path / "out" / "data").iterdir()
    assert file.name == "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    first, second, third = table.to_pylist()
    assert first["image"] == {"bytes": images[0].path.read_bytes(), "path": "dogs/a.jpg"}
    assert (first["label"], second["label"], third["label"]) == (1, 0, None)
    assert first["objects"]["bbox"] == [[8.25, 6.5, 21.875, 34.25], [40, 5, 20, 20]]
    assert first["objects"]["category"] == [1, 0]
    assert first["objects"]["score"] == [0.625, 1]
    assert first["objects"]["difficult"] == [True, False]
    assert third["objects"]["bbox"] == []
    mask = np.asarray(Image.open(io.BytesIO(first["mask"]["bytes"])))
    np.testing.assert_array_equal(mask == 2, examples.square_mask(64, 48, 10, 12, 9))
    assert second["mask"] is None
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": CLASSES, "_type": "ClassLabel"}


def test_parquet_is_found_as_images_of_labels(images, tmp_path):
    (tmp_path / "out").mkdir()
    parquet.write(Job(tmp_path / "out", images[:2], CLASSES))
    sets = find_sets([tmp_path / "out" / "data"], per_label=True)
    assert [one.name for one in sets] == CLASSES
    (source,) = sets[1].sources
    np.testing.assert_array_equal(read_image(source.path).pixels, read_image(images[0].path).pixels)


def test_parquet_without_images_has_no_column_of_them(images, tmp_path):
    (tmp_path / "out").mkdir()
    parquet.write(Job(tmp_path / "out", images, CLASSES, [], placement="none"))
    assert "image" not in pq.read_table(tmp_path / "out" / "data").schema.names


def test_parquet_has_a_file_for_each_split_and_for_so_many_images(images, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_FILE", 1)
    (tmp_path / "out").mkdir()
    split = [dataclasses.replace(image, splits=("b" if number else "a",)) for number, image in enumerate(images)]
    parquet.write(Job(tmp_path / "out", split, CLASSES))
    assert sorted(path.name for path in (tmp_path / "out" / "data").iterdir()) == [
        "a-00000-of-00001.parquet",
        "b-00000-of-00002.parquet",
        "b-00001-of-00002.parquet",
    ]


@pytest.mark.parametrize(("most", "groups"), [(1, [1, 1, 1]), (1_000_000, [3])])
def test_parquet_holds_no_more_than_so_many_bytes_in_a_group(images, tmp_path, monkeypatch, most, groups):
    monkeypatch.setattr(parquet, "_BYTES", most)
    (tmp_path / "out").mkdir()
    parquet.write(Job(tmp_path / "out", images, CLASSES))
    about = pq.ParquetFile(tmp_path / "out" / "data" / "train-00000-of-00001.parquet").metadata
    assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == groups


def test_tables_leave_out_what_cannot_be_read(images, tmp_path):
    images[1].path.write_bytes(b"no image")
    for write in [parquet.write, *([tfds.write] if has_tfds() else [])]:
        out = tmp_path / write.__module__
        out.mkdir()
        found: list = []
        assert {image.name for image in write(Job(out, images, CLASSES, found))} == {"dogs/a.jpg", "c.jpg"}
        assert [problem.kind for problem in found] == ["unreadable image"]


def test_tensorflow_datasets_has_more_files_for_more_bytes(images, tmp_path, monkeypatch):
    if not has_tfds():
        pytest.skip("tensorflow-datasets is not installed")
    import tensorflow_datasets as reading

    monkeypatch.setattr(tfds, "_BYTES", 1)
    (tmp_path / "out").mkdir()
    tfds.write(Job(tmp_path / "out", images, CLASSES))
    files = sorted(path.name for path in (tmp_path / "out").iterdir() if "array_record" in path.name)
    assert files == [f"jaxloc_export-train.array_record-0000{number}-of-00003" for number in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder = reading.builder_from_directory(tmp_path / "out")
        names = [example["name"].decode() for example in builder.as_data_source("train")]
    assert builder.info.splits["train"].shard_lengths == [1, 1, 1]
    assert sorted(names) == ["c.jpg", "cats/b.png", "dogs/a.jpg"]


def test_tensorflow_datasets_reads_its_folder_without_tensorflow(images, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reading = pytest.importorskip("tensorflow_datasets")
    split = [dataclasses.replace(image, splits=("val" if number else "train",)) for number, image in enumerate(images)]
    (tmp_path / "out").mkdir()
    found: list = []
    assert sorted(image.name for image in tfds.write(Job(tmp_path / "out", split, CLASSES, found))) == sorted(
        image.name for image in images
    )
    assert found == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder = reading.builder_from_directory(tmp_path / "out")
        (first,) = builder.as_data_source("train")
        rest = {example["name"]: example for example in builder.as_data_source("val")}
    assert builder.info.features["objects"]["label"].names == CLASSES
    np.testing.assert_array_equal(first["image"], read_image(images[0].path).pixels)
    assert first["name"] == "dogs/a.jpg" or first["name"] == b"dogs/a.jpg"
    objects = first["objects"]
    objects = {key: [one[key] for one in objects] for key in objects[0]} if isinstance(objects, list) else objects
    np.testing.assert_array_equal(objects["box"], [one.box for one in images[0].annotations])
    np.testing.assert_array_equal(objects["label"], [1, 0])
    expected = [np.divide(np.array(one.box)[[1, 0, 3, 2]], (48, 64, 48, 64)) for one in images[0].annotations]
    np.testing.assert_allclose(np.array(objects["bbox"]), expected, rtol=1e-6)
    np.testing.assert_array_equal(first["mask"][:, :, 0] == 2, examples.square_mask(64, 48, 10, 12, 9))
    assert len(rest) == 2


def test_tensorflow_datasets_gets_only_what_it_decodes(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reading = pytest.importorskip("tensorflow_datasets")
    image = examples.images(tmp_path / "photos")[0]
    grey = tmp_path / "grey.webp"
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64).astype(np.uint8)).save(grey, lossless=True)
    (tmp_path / "out").mkdir()
    tfds.write(Job(tmp_path / "out", [dataclasses.replace(image, path=grey)], CLASSES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (example,) = reading.builder_from_directory(tmp_path / "out").as_data_source("train")
    np.testing.assert_array_equal(example["image"], read_image(grey).pixels)
