"""Data sets prepared by tensorflow-datasets, read without tensorflow: ``tfds:NAME[/config][:split]``."""

import dataclasses
import functools
import re
from typing import Any

from jaxloc.data.archives.array_records import count_records
from jaxloc.data.sources import Labels, Part, Record
from jaxloc.errors import PlaceError, UsageError

_SPEC = re.compile(r"tfds:(?P<name>\w[^:\[\]]*(:[\d*]+\.[\d*]+\.[\d*]+)?)(:(?P<split>.+))?$")
_DATA_SETS = 16


def is_tfds(path: str) -> bool:
    """Whether ``path`` names a data set of tensorflow-datasets."""
    return path.startswith("tfds:")


@dataclasses.dataclass(frozen=True)
class TfdsExample(Record):
    """An image of one example, by the name of its feature and the example's number in the split."""

    data_set: str
    split: str
    feature: str
    number: int

    def __str__(self) -> str:
        return f"tfds:{self.data_set}:{self.split}#{self.number:08}"

    def read(self) -> bytes:
        """Read the encoded image."""
        try:
            return find_source(self.data_set, self.split)[self.number][self.feature]
        except UsageError:
            raise
        except Exception as error:  # of its record, unless the files changed
            try:
                _check_files(find_builder(self.data_set), self.split)
            except UsageError as trouble:
                raise PlaceError(f"{trouble}, and run the same command again; finished shards are kept") from error
            raise

    def value(self, feature: str) -> Any:
        """Value of another feature of the example."""
        return find_source(self.data_set, self.split)[self.number][feature]

    def of(self, feature: str) -> "TfdsExample":
        """Record of another image of the example, such as its mask."""
        return dataclasses.replace(self, feature=feature)


class TfdsSplit(Part):
    """The examples of one split, named by their numbers.

    Args:
        data_set: name, with config and version if wanted.
        split: in tensorflow-datasets' notation, slices included.
    """

    def __init__(self, data_set: str, split: str) -> None:
        builder = find_builder(data_set)
        self.place = f"tfds://{data_set}/{split}"
        self._data_set, self._split = data_set, split
        self._feature = _find_images(data_set, builder.info.features)
        try:
            self._count = len(find_source(data_set, split))
        except (KeyError, ValueError) as error:
            known = ", ".join(builder.info.splits)
            raise UsageError(f"tfds:{data_set}:{split}: no such split; there are {known}") from error
        _check_files(builder, split)
        if not self._count:
            raise UsageError(f"tfds:{data_set}:{split}: holds no image: choose another split")

    def __len__(self) -> int:
        return self._count

    def path(self, number: int) -> TfdsExample:
        """Record of the example."""
        return TfdsExample(self._data_set, self._split, self._feature, number)

    def find_labels(self) -> Labels | None:
        """Names of the classes; reads all examples."""
        import tensorflow_datasets as tfds

        features = find_builder(self._data_set).info.features
        classes = [name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
        if self.labels is None and (len(classes) == 1 or "label" in classes):
            name = "label" if "label" in classes else classes[0]
            source = find_source(self._data_set, self._split)
            codes = (int(source[number][name]) for number in range(self._count))
            self.labels = Labels(None if code < 0 else features[name].int2str(code) for code in codes)
        return self.labels


def _check_files(builder: Any, split: str) -> None:
    if builder.info.file_format.value != "array_record":
        return
    for file in builder.info.splits[split].file_instructions:
        if count_records(file.filename) != file.examples_in_shard:
            raise UsageError(f"{file.filename}: does not hold {file.examples_in_shard} examples: prepare the set again")


def open_tfds(path: str) -> list[TfdsSplit]:
    """Open the split of ``tfds:NAME[/config][:split]``, or all splits in order of name.

    The set is searched in ``TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.

    Raises:
        UsageError: tensorflow-datasets is not installed, does not know the set, or has not prepared it.
    """
    found = _SPEC.match(path)
    if not found:
        raise UsageError(
            f"{path}: write tfds:NAME, tfds:NAME/config or tfds:NAME:split, such as tfds:cars196:train[:10%]"
        )
    builder = find_builder(found["name"])
    splits = [found["split"]] if found["split"] else sorted(builder.info.splits)
    return [TfdsSplit(found["name"], split) for split in splits]


@functools.lru_cache(_DATA_SETS)
def find_builder(data_set: str) -> Any:
    """Builder of a prepared data set."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UsageError(f"tfds:{data_set}: needs tensorflow-datasets: pip install 'jaxloc[tfds]'") from error
    try:
        builder = tfds.builder(data_set)
    except tfds.core.DatasetNotFoundError as error:
        raise UsageError(
            f"tfds:{data_set}: tensorflow-datasets knows no such set: see tensorflow.org/datasets"
        ) from error
    except Exception as error:  # a set's own code runs here
        builder = _from_files(data_set)
        if builder is None:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(f"tfds:{data_set}: cannot be opened ({reason}): {_cure(data_set)}") from error
    if not builder.info.splits:
        raise UsageError(f"tfds:{data_set}: is not prepared in {builder.data_dir}: {_cure(data_set)}")
    return builder


def _from_files(data_set: str) -> Any:
    """Builder from the prepared files alone, for a set whose code does not run here; ``None`` if there are none."""
    import tensorflow_datasets as tfds

    if ":" in data_set:
        return None
    try:
        return tfds.builder(f"{data_set}:*.*.*")
    except Exception:  # the same code may run again
        return None


def _cure(data_set: str) -> str:
    name = data_set.split(":")[0]
    return f"run 'tfds build {name} --file_format=array_record' (preparing a set needs tensorflow; reading it does not)"


@functools.lru_cache(_DATA_SETS)
def find_source(data_set: str, split: str) -> Any:
    """Examples of a split by number, with encoded images."""
    import tensorflow_datasets as tfds

    builder = find_builder(data_set)
    images = (name for name, kind in builder.info.features.items() if isinstance(kind, tfds.features.Image))
    return builder.as_data_source(split, decoders={name: tfds.decode.SkipDecoding() for name in images})


def _find_images(data_set: str, features: Any) -> str:
    import tensorflow_datasets as tfds

    images = [name for name, kind in features.items() if isinstance(kind, tfds.features.Image)]
    if not images:
        raise UsageError(f"tfds:{data_set}: has no feature of images; its features: {', '.join(features)}")
    return "image" if "image" in images else images[0]
