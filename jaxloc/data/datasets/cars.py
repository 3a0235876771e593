"""Stanford Cars (Krause et al., 3dRR workshop at ICCV 2013).

Two layouts are in use: ``cars_train`` and ``cars_test`` with a ``devkit``, and ``car_ims`` with ``cars_annos.mat``.
Boxes count pixels from 1 and include both ends.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import matlab
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

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
    tfds="cars196",
    notes=("boxes count pixels from 1 in the files and are half-open from 0 here",),
)


def read(into: Gathering) -> None:
    """Read either layout."""
    root = into.find_root("devkit/cars_meta.mat", "cars_annos.mat", below=("stanford_cars", "cars"))
    whole = root / "cars_annos.mat"
    if whole.is_file():
        files, classes_file = {"": whole}, whole
    else:
        devkit = root / "devkit"
        labelled = next((place for place in (devkit, root) if (place / _TEST_LABELS).is_file()), devkit) / _TEST_LABELS
        files, classes_file = {"train": devkit / "cars_train_annos.mat", "test": labelled}, devkit / "cars_meta.mat"
    classes = list(map(str, np.atleast_1d(matlab(classes_file, "class_names")[0])))
    for split, where in files.items():
        if not split or into.wants([split]):
            for one in np.atleast_1d(matlab(where, "annotations")[0]):
                file = f"cars_{split}/{one.fname}" if split else str(one.relative_im_path)
                _add(into, root / file, file, split or ("test" if int(one.test) else "train"), one, classes, where)


def _add(into: Gathering, path: Path, name: str, split: str, entry: Any, classes: list[str], where: Path) -> None:
    number = int(getattr(entry, "class"))
    if not 0 < number <= len(classes):
        what = f"{name} is of class {number}, and there are 1 to {len(classes)}; left out"
        into.report(problems.UNKNOWN_CLASS, where, what)
        return
    category = classes[number - 1]
    x0, y0, x1, y1 = (float(getattr(entry, f"bbox_{side}")) for side in ("x1", "y1", "x2", "y2"))
    one = Annotation(category, (x0 - 1, y0 - 1, x1, y1))
    into.add(Annotated(name, category, (one,), splits=(split,), path=path), where=where)


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    for example in prepared.examples(into, prepared.TRAIN_TEST):
        category = prepared.class_names("cars196", "label")[int(example.values["label"])]
        one = Annotation(category, example.box(example.values["bbox"], first_pixel=1))
        example.add(f"cars_{example.splits[0]}/{example.text('id')}.jpg", category, (one,))
