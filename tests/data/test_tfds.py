"""Sets that tensorflow-datasets prepared: splits, labels, and each thing that may be missing."""

import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from jaxloc.data import find_sets, read_image, read_size
from jaxloc.data.archives import tfds as reading
from jaxloc.errors import UsageError
from tests.data.encoded import image, names_of, shades_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tfds = pytest.importorskip("tensorflow_datasets")


class JaxlocTiny(tfds.core.GeneratorBasedBuilder):
    """Seven images to train with and three to test with."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "id": tfds.features.Scalar(np.int64),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 7), "test": self._generate_examples(100, 103)}

    def _generate_examples(self, start, stop):
        for number in range(start, stop):
            yield number, {"id": number, "image": io.BytesIO(image(number)), "label": number % 2}


class JaxlocWords(JaxlocTiny):
    """No images."""

    def _info(self):
        features = tfds.features.FeaturesDict({"id": tfds.features.Scalar(np.int64)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self, start, stop):
        for number in range(start, stop):
            yield number, {"id": number}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for kind in (JaxlocTiny, JaxlocWords):
        kind(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def data_dir(prepared, monkeypatch):
    """Where tensorflow-datasets looks from here on."""

    def look_in(folder: Path) -> Path:
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(folder))
        reading.find_builder.cache_clear()
        reading.find_source.cache_clear()
        return folder

    yield look_in
    reading.find_builder.cache_clear()
    reading.find_source.cache_clear()


@pytest.fixture
def tiny(prepared, data_dir):
    return data_dir(prepared)


@pytest.mark.parametrize(
    "spec", ["tfds:jaxloc_tiny:test", "tfds:jaxloc_tiny:1.0.0:test", "tfds:jaxloc_tiny:test[:100%]"]
)
def test_a_split_is_read_by_number(tiny, spec):
    [images] = find_sets([spec])
    assert names_of([images]) == {"jaxloc_tiny": ["00000000", "00000001", "00000002"]}
    assert sorted(shades_of(images)) == [100, 101, 102]
    assert read_size(images.sources[0].path) == (6, 9)
    assert str(images.sources[2].path) == f"{spec}#00000002"


def test_slices_and_sums_of_splits_are_those_of_tensorflow_datasets(tiny):
    whole = shades_of(find_sets(["tfds:jaxloc_tiny:train"])[0])
    assert shades_of(find_sets(["tfds:jaxloc_tiny:train[2:5]"])[0]) == whole[2:5]
    assert len(find_sets(["tfds:jaxloc_tiny:train+test"])[0].sources) == 10


def test_without_a_split_all_are_read(tiny):
    [images] = find_sets(["tfds:jaxloc_tiny"])
    assert images.name == "jaxloc_tiny"
    assert [source.name for source in images.sources[2:4]] == ["test/00000002", "train/00000000"]
    assert sorted(shades_of(images)) == [*range(7), 100, 101, 102]


def test_per_label_makes_sets_of_the_classes(tiny):
    sets = find_sets(["tfds:jaxloc_tiny:train"], per_label=True)
    assert {images.name: sorted(shades_of(images)) for images in sets} == {"cat": [0, 2, 4, 6], "dog": [1, 3, 5]}


def test_records_go_to_another_process(tiny):
    source = find_sets(["tfds:jaxloc_tiny:train"])[0].sources[3]
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert read_image(again.path).pixels.shape == (6, 9, 3)


def test_tensorflow_is_not_loaded(prepared):
    code = (
        "import sys, tensorflow_datasets as tfds; "
        f"tfds.core.constants.DATA_DIR = {str(prepared)!r}; "
        "from jaxloc.data import find_sets, read_image; "
        "from tests.data.test_tfds import JaxlocTiny; "
        "[read_image(source.path) for source in find_sets(['tfds:jaxloc_tiny:train'])[0].sources]; "
        "print(sorted({'tensorflow', 'jax'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_set_that_is_not_prepared_says_how(tmp_path, data_dir):
    data_dir(tmp_path)
    with pytest.raises(UsageError) as raised:
        find_sets(["tfds:jaxloc_tiny:train"])
    assert str(raised.value) == (
        f"tfds:jaxloc_tiny: is not prepared in {tmp_path}/jaxloc_tiny/1.0.0: run 'tfds build jaxloc_tiny "
        "--file_format=array_record' (preparing a set needs tensorflow; reading it does not)"
    )


def test_an_unknown_set_or_split_is_named(tiny):
    with pytest.raises(UsageError, match=r"^tfds:no_such_set_at_all: tensorflow-datasets knows no such set: see"):
        find_sets(["tfds:no_such_set_at_all:train"])
    with pytest.raises(UsageError, match=r"^tfds:jaxloc_tiny:validation: no such split; there are "):
        find_sets(["tfds:jaxloc_tiny:validation"])
    with pytest.raises(UsageError, match=r"^tfds:jaxloc_tiny:train\[2: no such split"):
        find_sets(["tfds:jaxloc_tiny:train[2"])


@pytest.mark.parametrize("spec", ["tfds:", "tfds::train", "tfds:a:", "tfds://a"])
def test_what_is_no_name_of_a_set_is_explained(spec):
    with pytest.raises(UsageError, match="write tfds:NAME, tfds:NAME/config or tfds:NAME:split"):
        find_sets([spec])


def test_a_set_without_images_is_named(tiny):
    with pytest.raises(UsageError, match=r"^tfds:jaxloc_words: has no feature of images; its features: id"):
        find_sets(["tfds:jaxloc_words:train"])


@pytest.mark.parametrize(("length", "message"), [(None, "no such file"), (1000, "truncated, or no ArrayRecord file")])
def test_a_missing_or_truncated_file_is_refused(tmp_path, data_dir, length, message):
    data_dir(tmp_path)
    JaxlocTiny(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    reading.find_builder.cache_clear()
    [path] = tmp_path.rglob("*-train.array_record*")
    data = path.read_bytes()
    path.unlink()
    if length:
        path.write_bytes(data[:length])
    with pytest.raises(UsageError, match=rf"jaxloc_tiny-train\.array_record-00000-of-00001: {message}"):
        find_sets(["tfds:jaxloc_tiny:train"])


def test_without_tensorflow_datasets_the_cure_is_named(monkeypatch, data_dir, tmp_path):
    data_dir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UsageError, match=r"^tfds:mnist: needs tensorflow-datasets: pip install 'jaxloc\[tfds\]'$"):
        find_sets(["tfds:mnist:train"])
