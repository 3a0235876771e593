"""FGVC-Aircraft (Maji et al., arXiv 1306.5151, 2013).

Boxes count pixels from 1 and include both ends. The last 20 rows of each image are a banner with its owner's name.
"""

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.data.datasets.files import numbers, rows
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.data.datasets.records import Info

_SITE = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft"
_SPLITS = {"train": ("train", "trainval"), "val": ("val", "trainval"), "test": ("test",)}

INFO = Info(
    name="aircraft",
    title="FGVC-Aircraft",
    holds="class (variant), box, split",
    size="10,000 images of 100 variants, 2.6 GB",
    licence="non-commercial research only",
    page=f"{_SITE}/",
    get=(f"curl -L {_SITE}/archives/fgvc-aircraft-2013b.tar.gz | tar xz",),
    layout=(
        "data/images_variant_train.txt data/images_variant_val.txt data/images_variant_test.txt",
        "data/images_box.txt",
        "data/images/0034309.jpg",
    ),
    splits=("train", "val", "trainval", "test"),
    notes=(
        "boxes count pixels from 1 in the file and are half-open from 0 here",
        "the last 20 rows of each image are a banner with its owner's name, which is not cut off",
    ),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    below = ("data", "fgvc-aircraft-2013b/data")
    root = into.find_root("images_variant_train.txt", below=below)
    boxes: dict[str, list[str]] = {}
    for key, *corners in rows(root / "images_box.txt", 5):
        if key in boxes:
            into.report(problems.DUPLICATE, root / "images_box.txt", f"{key} is listed again; the first counts")
        boxes.setdefault(key, corners)
    for split, splits in _SPLITS.items():
        where = root / f"images_variant_{split}.txt"
        for key, category in rows(where, 2) if into.wants(splits) else ():
            if key not in boxes:
                into.report(NO_ANNOTATION, where, f"{key} has no box in images_box.txt; left out")
                continue
            x0, y0, x1, y1 = numbers(root / "images_box.txt", boxes[key])
            one = Annotation(category, (x0 - 1, y0 - 1, x1, y1))
            name = f"images/{key}.jpg"
            into.add(Annotated(name, category, (one,), splits=splits, path=root / name), where=where)
