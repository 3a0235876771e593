"""Stanford Dogs (Khosla et al., FGVC workshop at CVPR 2011).

Images and boxes come from ImageNet, whose corners reach from 0 to the image's width; they are taken as they stand.
"""

from pathlib import PurePosixPath

import numpy as np

from jaxloc.data.annotations.records import Annotation
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import matlab, of_category, read_xml
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

_SITE = "http://vision.stanford.edu/aditya86/ImageNetDogs"

INFO = Info(
    name="dogs",
    title="Stanford Dogs",
    holds="class, boxes, split",
    size="20,580 images of 120 classes, 0.8 GB",
    licence="ImageNet's terms: non-commercial research and education",
    page=f"{_SITE}/main.html",
    get=(
        f"for f in images annotation lists; do curl -L {_SITE}/$f.tar | tar x; done",
        "# or, with tensorflow installed: tfds build stanford_dogs --file_format=array_record",
    ),
    layout=(
        "train_list.mat test_list.mat   # here or in lists/",
        "Images/n02085620-Chihuahua/*.jpg",
        "Annotation/n02085620-Chihuahua/n02085620_10074   # XML without extension",
    ),
    splits=("train", "test"),
    tfds="stanford_dogs",
    notes=("boxes are ImageNet's corners, taken without a shift",),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("Images", below=("stanford_dogs", "StanfordDogs"))
    lists = next((folder for folder in (root, root / "lists") if (folder / "train_list.mat").exists()), root)
    for split in INFO.splits:
        [files] = matlab(lists / f"{split}_list.mat", "file_list")
        for file in map(str, np.atleast_1d(files) if into.wants([split]) else ()):
            category = file.partition("/")[0]
            described = read_xml(into, (root / "Annotation" / file).with_suffix(""), first_pixel=0)
            if described is not None:
                name = f"Images/{file}"
                image = of_category(described, category, name=name, splits=(split,), path=root / name)
                into.add(image, where=lists / f"{split}_list.mat")


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    for example in prepared.examples(into, prepared.TRAIN_TEST):
        file = PurePosixPath(example.text("image/filename"))
        category = file.parent.name
        annotations = [Annotation(category, example.box(one["bbox"])) for one in prepared.objects(example.values)]
        example.add(f"Images/{category}/{file.name}", category, annotations)
