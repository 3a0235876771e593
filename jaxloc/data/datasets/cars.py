"""Stanford Cars (Krause et al., 3dRR workshop at ICCV 2013).

Two layouts are in use: ``cars_train`` and ``cars_test`` with a ``devkit``, and ``car_ims`` with ``cars_annos.mat``.
Boxes count pixels from 1 and include both ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.adapter import Adapter, finish
from jaxloc.data.datasets.files import find_root, matlab
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Dataset, Info
from jaxloc.errors import UsageError

_TEST_LABELS = "cars_test_annos_withlabels.mat"

INFO = Info(
    name="cars196",
    title="Stanford Cars",
    holds="class, box, split",
    size="16,185 images of 196 classes, 2 GB",
    licence="ImageNet's terms: non-commercial research",
    page="http://ai.stanford.edu/~jkrause/cars/car_dataset.html (off line; the files live on at mirrors)",
    get=(
        "# the official page is off line: take cars_train, cars_test, devkit and cars_test_annos_withlabels.mat from a "
        "mirror you trust",
        "# or, with tensorflow installed: tfds build cars196 --file_format=array_record",
    ),
    layout=(
        "cars_train/00001.jpg cars_test/00001.jpg",
        f"devkit/cars_meta.mat devkit/cars_train_annos.mat devkit/{_TEST_LABELS}   # the last also beside devkit",
        "# or: car_ims/000001.jpg cars_annos.mat",
    ),
    splits=("train", "test"),
    papers=("few-shot fine-grained recognition by piecewise mappings: accuracy",),
    tfds="cars196",
    notes=("boxes count pixels from 1 in the files and are half-open from 0 here",),
)


class _Entry(NamedTuple):
    """One image as a MATLAB file tells it."""

    file: str
    split: str
    told: Any
    where: Path


def read(into: Gathering) -> Dataset:
    """Read either layout."""
    below = ("stanford_cars", "cars")
    try:
        root = find_root(INFO.name, into.root, "devkit/cars_meta.mat", below=below)
    except UsageError as no_devkit:
        try:
            root = find_root(INFO.name, into.root, "cars_annos.mat", below=below)
        except UsageError:
            raise no_devkit from None
    together = (root / "cars_annos.mat").is_file()
    classes_file = root / "cars_annos.mat" if together else root / "devkit" / "cars_meta.mat"
    classes = list(map(str, np.atleast_1d(matlab(classes_file, "class_names")[0])))
    for entry in _together(root) if together else _parted(root, into):
        number = int(getattr(entry.told, "class"))
        if not 0 < number <= len(classes):
            what = f"{entry.file} is of class {number}, and there are 1 to {len(classes)}; left out"
            into.report(problems.UNKNOWN_CLASS, entry.where, what)
            continue
        category = classes[number - 1]
        x0, y0, x1, y1 = (float(getattr(entry.told, f"bbox_{side}")) for side in ("x1", "y1", "x2", "y2"))
        one = Annotation(category, (x0 - 1, y0 - 1, x1, y1))
        path = root / entry.file
        into.add(Annotated(entry.file, category, (one,), splits=(entry.split,), path=path), where=entry.where)
    return finish(INFO, into, root.as_posix())


def _parted(root: Path, into: Gathering) -> Iterator[_Entry]:
    labelled = next((place for place in (root / "devkit", root) if (place / _TEST_LABELS).is_file()), root / "devkit")
    for split, where in (("train", root / "devkit" / "cars_train_annos.mat"), ("test", labelled / _TEST_LABELS)):
        if into.wants([split]):
            [told] = matlab(where, "annotations")
            for one in np.atleast_1d(told):
                yield _Entry(f"cars_{split}/{one.fname}", split, one, where)


def _together(root: Path) -> Iterator[_Entry]:
    where = root / "cars_annos.mat"
    [told] = matlab(where, "annotations")
    for one in np.atleast_1d(told):
        yield _Entry(str(one.relative_im_path), "test" if int(one.test) else "train", one, where)


def read_tfds(into: Gathering) -> Dataset:
    """Read the copy of tensorflow-datasets."""
    classes: list[str] = []
    for example in prepared.examples("cars196", into, {"train": ("train",), "test": ("test",)}):
        classes = classes or prepared.class_names("cars196", "label")
        category = classes[int(example.values["label"])]
        one = Annotation(category, example.box(example.values["bbox"], first_pixel=1))
        name = f"cars_{example.splits[0]}/{prepared.text(example.values['id'])}.jpg"
        image = Annotated(name, category, (one,), splits=example.splits, path=example.path)
        into.add(image, where=example.path, size=example.size)
    return finish(INFO, into, "tfds://cars196")


ADAPTER = Adapter(INFO, read, read_tfds)
