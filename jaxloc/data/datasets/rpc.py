"""RPC (Wei, Cui, Yang, Wang & Liu, arXiv 1901.07249): images of single products, and checkout images by level.

The layout follows the published archive, which was not at hand when this was written.
"""

import dataclasses

from jaxloc.data.annotations.coco import read_coco_file
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

INFO = Info(
    name="rpc",
    title="RPC (Retail Product Checkout)",
    holds="boxes of 200 products, level of clutter (easy, medium, hard) of checkout images, split",
    size="53,739 images of single products, 6,000 and 24,000 checkout images, 25 GB",
    licence="CC BY-NC-SA 4.0",
    page="https://rpc-dataset.github.io/",
    get=(
        "# download retail_product_checkout.zip from the page (Kaggle)",
        "unzip -q retail_product_checkout.zip -d rpc",
    ),
    layout=("instances_train2019.json", "instances_test2019.json", "train2019/…", "val2019/…", "test2019/…"),
    splits=("train", "val", "test"),
    notes=("the images of train show one product each, those of val and test are checkout images",),
)
_FILES = {split: f"instances_{split}2019.json" for split in INFO.splits}


def read(into: Gathering) -> None:
    """Read the original layout; only the files of the wanted splits are parsed."""
    root = into.find_root(_FILES["test"], _FILES["train"], below=("retail_product_checkout", "rpc"))
    for split, file in _FILES.items():
        if (root / file).exists() and into.wants([split]):
            found = read_coco_file(root / file)
            into.problems += found.problems
            for name, image in found.images.items():
                place = f"{split}2019/{name}"
                into.add(dataclasses.replace(image, name=place, splits=(split,), path=root / place), where=root / file)
