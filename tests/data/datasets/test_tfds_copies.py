"""Copies of tensorflow-datasets: each says what the original layout says, and is read without tensorflow."""

import contextlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from jaxloc.data import find_sets, read_image
from jaxloc.data.archives import tfds as reading
from jaxloc.data.datasets import Dataset, open_dataset
from jaxloc.errors import UsageError
from tests.data.datasets import trees

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Make tensorflow-datasets believe that it has prepared a set of these records."""
    with contextlib.ExitStack() as stack:

        def prepare(name: str, records: dict[str, list[dict[str, Any]]]) -> None:
            folder = tmp_path / "tfds"
            builder = tfds.builder(name, data_dir=folder, file_format="array_record")
            kinds = [
                tfds.core.SplitInfo(name=split, shard_lengths=[len(some)], num_bytes=1)
                for split, some in records.items()
            ]
            builder.info.set_splits(tfds.core.SplitDict(kinds))
            Path(builder.data_dir).mkdir(parents=True)
            builder.info.write_to_directory(builder.data_dir)
            monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(folder))
            forget()
            source = tfds.testing.mock_data(
                as_data_source_fn=lambda self, split, **_: records[split],
                policy=tfds.testing.MockPolicy.USE_FILES,
                data_dir=str(folder),
            )
            stack.enter_context(source)

        yield prepare
    forget()


def forget() -> None:
    reading.find_builder.cache_clear()
    reading.find_source.cache_clear()


def relative(box, *, first_pixel: int = 0, size: trees.Size = trees.SIZE) -> np.ndarray:
    """As tensorflow-datasets stores the numbers that the files write for a half-open box."""
    x0, y0, x1, y1 = box
    rows, columns = size
    shares = ((y0 + first_pixel) / rows, (x0 + first_pixel) / columns, y1 / rows, x1 / columns)
    return np.array(shares, np.float32)


def told(dataset: Dataset, *, masks: bool = True, parts: bool = True) -> dict[str, tuple]:
    """What two copies must agree on."""
    return {
        name: (
            image.category,
            image.splits,
            (image.width, image.height),
            [(one.category, one.box, one.difficult, one.truncated, one.crowd) for one in image.annotations],
            [one.parts for one in image.annotations] if parts else None,
            image.mask.read().inside.tolist() if masks and image.mask else None,
        )
        for name, image in dataset.images.items()
    }


def records_of(original: Dataset, splits: dict[str, str], make) -> dict[str, list[dict[str, Any]]]:
    """A record for each image of the original, by the splits of tensorflow-datasets."""
    return {
        theirs: [
            {"image": image.path.read_bytes()} | make(image)
            for image in original.images.values()
            if ours in image.splits
        ]
        for ours, theirs in splits.items()
    }


TRAIN_TEST = {"train": "train", "test": "test"}


def test_birds(tmp_path, prepare):
    original = open_dataset(f"cub200:{trees.cub(tmp_path)}")
    records = records_of(
        original,
        TRAIN_TEST,
        lambda image: {
            "image/filename": f"CUB_200_2011/{image.name}".encode(),
            "label": 0,
            "bbox": relative(image.annotations[0].box),
            "segmentation_mask": image.mask.path.read_bytes(),
        },
    )
    prepare("caltech_birds2011", records)
    copy = open_dataset("cub200:tfds")
    assert told(copy) == told(original)
    assert copy.problems == []
    assert told(open_dataset("cub200/test:tfds")) == told(open_dataset(f"cub200/test:{original.place}"))


def test_dogs(tmp_path, prepare):
    original = open_dataset(f"dogs:{trees.dogs(tmp_path)}")
    records = records_of(
        original,
        TRAIN_TEST,
        lambda image: {
            "image/filename": image.name.encode(),
            "label": 0,
            "objects": {"bbox": [relative(one.box) for one in image.annotations]},
        },
    )
    prepare("stanford_dogs", records)
    assert told(open_dataset("dogs:tfds")) == told(original)


def test_flowers(tmp_path, prepare):
    from jaxloc.data.datasets.flowers import CLASSES

    original = open_dataset(f"flowers102:{trees.flowers(tmp_path, masks=False)}")
    records = records_of(
        original,
        {"train": "train", "val": "validation", "test": "test"},
        lambda image: {"file_name": Path(image.name).name.encode(), "label": CLASSES.index(image.category)},
    )
    prepare("oxford_flowers102", records)
    assert told(open_dataset("flowers102:tfds")) == told(original)
    assert list(tfds.builder("oxford_flowers102").info.features["label"].names) == CLASSES


def test_pets(tmp_path, prepare):
    original = open_dataset(f"pets:{trees.pets(tmp_path)}")

    def make(image):
        parts = dict(image.annotations[0].parts)
        head = relative(parts["head"], first_pixel=1) if parts else np.zeros(4, np.float32)
        name = Path(image.name).name.encode()
        return {"file_name": name, "label": 0, "head_bbox": head, "segmentation_mask": image.mask.path.read_bytes()}

    prepare("oxford_iiit_pet", records_of(original, {"trainval": "train", "test": "test"}, make))
    copy = open_dataset("pets:tfds")
    assert told(copy) == told(original)
    assert any(one.parts for image in copy.images.values() for one in image.annotations)


def test_cars(tmp_path, prepare):
    original = open_dataset(f"cars196:{trees.cars(tmp_path)}")
    names = tfds.builder("cars196").info.features["label"].names
    records = records_of(
        original,
        TRAIN_TEST,
        lambda image: {
            "id": Path(image.name).stem.encode(),
            "label": 7,
            "bbox": relative(image.annotations[0].box, first_pixel=1),
        },
    )
    prepare("cars196", records)
    copy = open_dataset("cars196:tfds")
    assert {name: image.annotations[0].box for name, image in copy.images.items()} == {
        name: image.annotations[0].box for name, image in original.images.items()
    }
    assert {image.category for image in copy.images.values()} == {names[7]}


@pytest.mark.parametrize("year", [2007, 2012])
@pytest.mark.parametrize("by_columns", [True, False])
def test_voc(tmp_path, prepare, year, by_columns):
    from jaxloc.data.datasets.voc import CLASSES

    name = f"voc{year % 100:02}"
    original = open_dataset(f"{name}:{trees.voc(tmp_path, year=year, masks=False)}")

    def make(image):
        objects = [
            {
                "bbox": relative(one.box, first_pixel=1),
                "label": CLASSES.index(one.category),
                "is_difficult": one.difficult,
                "is_truncated": one.truncated,
                "pose": 0,
            }
            for one in image.annotations
        ]
        columns = {key: [one[key] for one in objects] for key in objects[0]}
        return {"image/filename": Path(image.name).name.encode(), "objects": columns if by_columns else objects}

    prepare(f"voc/{year}", records_of(original, {"train": "train", "val": "validation", "test": "test"}, make))
    assert told(open_dataset(f"{name}:tfds")) == told(original)
    assert list(tfds.builder(f"voc/{year}").info.features["labels"].feature.names) == CLASSES
    sets = find_sets([f"{name}/trainval:tfds"], per_label=True)
    assert {one.name: [source.name for source in one.sources] for one in sets} == {
        one.name: [source.name for source in one.sources]
        for one in find_sets([f"{name}/trainval:{original.place}"], per_label=True)
    }
    assert read_image(sets[0].sources[0].path).pixels.shape == (*trees.SIZE, 3)


def test_imagenet_is_listed_by_number_and_labelled_without_reading_images(tmp_path, prepare):
    original = open_dataset(f"imagenet/val:{trees.imagenet(tmp_path, boxes=False)}")
    records = {"train": [], "validation": []}
    for number, image in enumerate(original.images.values()):
        records["validation"].append({"image": image.path.read_bytes(), "label": number % 3, "file_name": b"x.JPEG"})
    prepare("imagenet2012", records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "count_records", lambda name: len(original.images))
        copy = open_dataset("imagenet/val:tfds")
    assert list(copy.images)[:2] == ["val/00000000", "val/00000001"]
    assert copy.images["val/00000001"].category == "n01443537"
    assert {name: len(names) for name, names in copy.sets().items()} == {"n01440764": 2, "n01443537": 2, "n01484850": 2}
    with pytest.raises(KeyError):
        copy.images["val/00000009"]
    with pytest.raises(UsageError, match=r"^imagenet:tfds: open one split at a time, such as imagenet/val:tfds$"):
        open_dataset("imagenet:tfds")


def make_coco(folder: Path) -> None:
    """A copy of COCO that was prepared elsewhere; the real set's code does not run without tensorflow."""
    with tfds.core.registered.skip_registration():

        class Coco(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.1.0")
            BUILDER_CONFIGS: ClassVar = [
                tfds.core.BuilderConfig(name="2017", version="1.1.0", description="two images")
            ]

            def _info(self):
                objects = {"bbox": tfds.features.BBoxFeature(), "is_crowd": np.bool_}
                objects["label"] = tfds.features.ClassLabel(names=["person", "cat"])
                features = {"image": tfds.features.Image(), "image/filename": tfds.features.Text()}
                features["objects"] = tfds.features.Sequence(objects)
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {"validation": self._generate_examples()}

            def _generate_examples(self):
                for number in range(2):
                    image = io.BytesIO(trees.write_image(folder / f"{number}.jpg", number).read_bytes())
                    share = relative(trees.box_of(number)).tolist()
                    one = {"bbox": tfds.features.BBox(*share), "label": 1, "is_crowd": bool(number)}
                    yield number, {"image": image, "image/filename": f"{number:012}.jpg", "objects": [one]}

    Coco(data_dir=folder, config="2017", file_format="array_record").download_and_prepare()


def test_coco_is_read_although_its_own_code_needs_tensorflow(tmp_path, monkeypatch):
    make_coco(tmp_path)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    forget()
    copy = open_dataset("coco/val2017:tfds")
    forget()
    assert sorted(copy.images) == ["val2017/000000000000.jpg", "val2017/000000000001.jpg"]
    for number in range(2):
        [one] = copy.images[f"val2017/{number:012}.jpg"].annotations
        assert (one.category, one.box, one.crowd) == ("cat", trees.box_of(number), bool(number))
    assert "tensorflow" not in sys.modules


def test_a_box_that_is_no_box_is_left_out_and_told(tmp_path, prepare):
    original = open_dataset(f"dogs:{trees.dogs(tmp_path, classes=1, images=2)}")
    boxes = [relative(trees.box_of(0)), np.array([0.9, 0.1, 0.2, 0.5], np.float32)]

    def make(image):
        return {"image/filename": image.name.encode(), "label": 0, "objects": {"bbox": boxes}}

    prepare("stanford_dogs", records_of(original, TRAIN_TEST, make))
    copy = open_dataset("dogs:tfds")
    assert [len(image.annotations) for image in copy.images.values()] == [1, 1]
    assert {problem.kind for problem in copy.problems} == {"box without area"}
    assert copy.problems[0].where == "tfds:stanford_dogs:train#00000000"


def test_a_set_without_a_copy_or_not_prepared_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    forget()
    with pytest.raises(UsageError, match=r"^tfds:caltech_birds2011: is not prepared in .*: run 'tfds build caltech"):
        open_dataset("cub200:tfds")
    with pytest.raises(
        UsageError, match=r"^tfds:coco/2017: cannot be opened \(ModuleNotFoundError: .*: run 'tfds build"
    ):
        open_dataset("coco:tfds")
    with pytest.raises(
        UsageError, match=r"^aircraft:tfds: the copy of tensorflow-datasets cannot be read .* ./tfds\)$"
    ):
        open_dataset("aircraft:tfds")
    forget()


def test_an_example_that_cannot_be_read_is_named(tmp_path, prepare):
    class Broken(list):
        def __getitem__(self, number):
            raise ValueError("truncated record")

    prepare("stanford_dogs", {"train": Broken([0]), "test": []})
    with pytest.raises(
        UsageError, match=r"^tfds:stanford_dogs:train: example 0 cannot be read \(ValueError: truncated"
    ):
        open_dataset("dogs:tfds")
