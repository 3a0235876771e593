"""INSTRE (Wang and Jiang, ACM TOMM 2015), with the retrieval protocol of Iscen et al. (CVPR 2017) where that is there.

Each image has a text file of boxes, ``x y width height``. An image of INSTRE-M shows two objects of INSTRE-S1: in
its folder ``01…`` the first box is the object ``01a…`` and the second ``01b…``. The protocol's boxes are corners, and
its numbers of images count from 1. Queries are read where the whole set is opened, not one of its splits.
"""

import re
from pathlib import Path

import numpy as np

from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.data.datasets.files import folders, images, lines, matlab, numbers
from jaxloc.data.datasets.gathering import NO_ANNOTATION, NO_JUDGED, Gathering
from jaxloc.data.datasets.records import Info
from jaxloc.errors import UsageError

_SETS = {"INSTRE-S1": "s1", "INSTRE-S2": "s2", "INSTRE-M": "m"}
_PROTOCOL = "gnd_instre.mat"
_NUMBER = re.compile(r"\d+")

INFO = Info(
    name="instre",
    title="INSTRE",
    holds="class (instance), boxes, subset as split; queries with boxes where the protocol's file is there",
    size="28,543 images of 250 classes, 2.3 GB; 1,250 queries",
    licence="none stated; made for research",
    page="http://isia.ict.ac.cn/dataset/instre.html",
    get=(
        "curl -L ftp://ftp.irisa.fr/local/texmex/corpus/instre/instre.tar.gz | tar xz",
        f"curl -O ftp://ftp.irisa.fr/local/texmex/corpus/instre/{_PROTOCOL}",
    ),
    layout=(
        "INSTRE-S1/01a_…/001.jpg INSTRE-S1/01a_…/001.txt",
        "# and INSTRE-S2, INSTRE-M",
        f"{_PROTOCOL}   # optional",
    ),
    splits=tuple(_SETS.values()),
    notes=("boxes are x, y, width, height, taken without a shift; those of queries are corners",),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("INSTRE-S1", below=("instre", "INSTRE_release", "INSTRE"))
    pairs = {name[:3]: name for name in folders(root / "INSTRE-S1")}
    for folder, split in _SETS.items():
        for category in folders(root / folder) if into.wants([split]) else ():
            classes = _two(category, pairs) if split == "m" else [category]
            for file in images(root / folder / category):
                _add(into, root, f"{folder}/{category}/{file}", classes, split)
    _add_queries(into, root)


def _two(folder: str, pairs: dict[str, str]) -> list[str]:
    """The two objects of INSTRE-S1 that a folder of INSTRE-M shows together."""
    number = _NUMBER.match(folder)
    keys = [f"{number[0] if number else folder}{letter}" for letter in "ab"]
    return [pairs.get(key, key) for key in keys]


def _add(into: Gathering, root: Path, name: str, classes: list[str], split: str) -> None:
    file = (root / name).with_suffix(".txt")
    if not file.is_file():
        into.report(NO_ANNOTATION, file, "is not there; its image is left out")
        return
    boxes = [numbers(file, line.split()) for line in lines(file)]
    if len(boxes) < len(classes) or any(len(box) != 4 for box in boxes):
        into.report(NO_ANNOTATION, file, f"does not hold {len(classes)} boxes of four numbers; its image is left out")
        return
    categories = classes if len(classes) > 1 else classes * len(boxes)
    told = zip(categories, boxes, strict=False)
    annotations = tuple(Annotation(category, (x, y, x + w, y + h)) for category, (x, y, w, h) in told)
    own = classes[0] if len(classes) == 1 else None
    into.add(Annotated(name, own, annotations, splits=(split,), path=root / name), where=file)


def _add_queries(into: Gathering, root: Path) -> None:
    file = root / _PROTOCOL
    if into.wanted or not file.is_file():
        return
    listed, asked, truth = (np.atleast_1d(values) for values in matlab(file, "imlist", "qimlist", "gnd"))
    known = {name.lower(): image for name, image in into.images.items()}
    database = [known.get(str(name).lower()) for name in listed]
    if len(asked) != len(truth):
        raise UsageError(f"{file}: has {len(asked)} queries and ground truth for {len(truth)}: fetch it again")
    for number, (name, entry) in enumerate(zip(map(str, asked), truth, strict=True)):
        image = known.get(name.lower())
        if image is None:
            into.report(NO_JUDGED, file, f"the query {name} is not there; left out")
            continue
        x0, y0, x1, y1 = (float(value) for value in np.ravel(entry.bbx))
        found = [database[int(place) - 1] for place in np.atleast_1d(entry.ok) if 0 < int(place) <= len(database)]
        there = [one.name for one in found if one is not None]
        if missing := np.size(entry.ok) - len(there):
            into.report(NO_JUDGED, file, f"{missing} images that {name} should find are not there; left out")
        into.add_query(f"{number:04} {name}", image, (x0, y0, x1, y1), {"ok": there}, file)
