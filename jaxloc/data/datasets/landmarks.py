"""Oxford 5k and Paris 6k (Philbin et al., CVPR 2007 and 2008), and their revisited protocols.

The latter are those of Radenović et al. (CVPR 2018). Query boxes are corners and are taken as they stand. Some images
of Paris are published damaged; what cannot be read is left out and reported. Queries are read where the whole set is
opened, not one of its splits.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Box
from jaxloc.data.datasets.adapter import Adapter, finish
from jaxloc.data.datasets.files import find_root, folders, images, lines, numbers
from jaxloc.data.datasets.gathering import NO_JUDGED, Gathering
from jaxloc.data.datasets.plain_pickle import read_plain_pickle
from jaxloc.data.datasets.records import Dataset, Info, Query
from jaxloc.errors import UsageError

_SITE = "https://www.robots.ox.ac.uk/~vgg/data"
_REVISITED = "http://cmp.felk.cvut.cz/revisitop"
_IMAGES = ("images", "jpg", "oxbuild_images", "paris", ".")
_JUDGED = ("good", "ok", "junk")
_REJUDGED = ("easy", "hard", "junk")
_OS = "object discovery for retrieval (OS.EGM): mAP"


def _info(
    name: str,
    title: str,
    size: str,
    page: str,
    get: tuple[str, ...],
    truth: str,
    judged: str,
    splits: tuple[str, ...] = (),
) -> Info:
    return Info(
        splits=splits,
        name=name,
        title=title,
        holds=f"queries with boxes, judged images ({judged})",
        size=size,
        licence="Flickr images: Flickr's terms of use; made for research",
        page=page,
        get=get,
        layout=(truth, "jpg/*.jpg   # or images/, or beside the ground truth; Paris also in folders below"),
        papers=(_OS,),
        notes=("images have no class; junk images count neither as found nor as missed",),
    )


OXFORD = _info(
    "oxford5k",
    "Oxford Buildings 5k",
    "5,063 images, 55 queries, 2 GB",
    f"{_SITE}/oxbuildings/",
    (
        f"mkdir jpg && curl -L {_SITE}/oxbuildings/oxbuild_images-v1.tgz | tar xz -C jpg",
        f"mkdir groundtruth && curl -L {_SITE}/oxbuildings/gt_files_170407.tgz | tar xz -C groundtruth",
    ),
    "groundtruth/all_souls_1_{query,good,ok,junk}.txt",
    ", ".join(_JUDGED),
)
PARIS = _info(
    "paris6k",
    "Paris 6k",
    "6,412 images, 55 queries, 2.5 GB",
    f"{_SITE}/parisbuildings/",
    (
        f"mkdir jpg && for i in 1 2; do curl -L {_SITE}/parisbuildings/paris_$i-v1.tgz | tar xz -C jpg; done",
        f"mkdir groundtruth && curl -L {_SITE}/parisbuildings/paris_120310.tgz | tar xz -C groundtruth",
    ),
    "groundtruth/defense_1_{query,good,ok,junk}.txt",
    ", ".join(_JUDGED),
)
ROXFORD = _info(
    "roxford5k",
    "Revisited Oxford",
    "4,993 images and 70 queries of Oxford 5k",
    f"{_REVISITED}/",
    (*OXFORD.get[:1], f"curl -LO {_REVISITED}/data/datasets/roxford5k/gnd_roxford5k.pkl"),
    "gnd_roxford5k.pkl",
    ", ".join(_REJUDGED),
    ("database", "query"),
)
RPARIS = _info(
    "rparis6k",
    "Revisited Paris",
    "6,322 images and 70 queries of Paris 6k",
    f"{_REVISITED}/",
    (*PARIS.get[:1], f"curl -LO {_REVISITED}/data/datasets/rparis6k/gnd_rparis6k.pkl"),
    "gnd_rparis6k.pkl",
    ", ".join(_REJUDGED),
    ("database", "query"),
)


def read(into: Gathering, *, info: Info) -> Dataset:
    """Read text files of ground truth; the images are all that are there."""
    root = find_root(info.name, into.root, ".")
    truth = next(
        (folder for folder in (root, *(root / name for name in folders(root))) if any(folder.glob("*_query.txt"))), None
    )
    if truth is None:
        raise UsageError(f"{info.name}:{into.root}: no *_query.txt there: see `jaxloc datasets {info.name}`")
    found = _images(root)
    for stem in sorted(found):
        into.add(_image(root, found[stem]), where=root)
    queries = []
    for file in sorted(truth.glob("*_query.txt")):
        name = file.name.removesuffix("_query.txt")
        fields = " ".join(lines(file)).split()
        if len(fields) != 5:
            raise UsageError(f"{file}: has {len(fields)} fields and not 5: image, x0, y0, x1, y1")
        x0, y0, x1, y1 = numbers(file, fields[1:])
        judged = {kind: lines(truth / f"{name}_{kind}.txt") for kind in _JUDGED}
        stem = fields[0].removeprefix("oxc1_")
        query = _query(into, name, stem, (x0, y0, x1, y1), judged, found, file)
        queries += [query] if query else []
    return finish(info, into, root.as_posix(), tuple(queries))


def read_revisited(into: Gathering, *, info: Info) -> Dataset:
    """Read the pickle of ground truth; the images are those it lists, queries last."""
    root = find_root(info.name, into.root, ".")
    file = root / f"gnd_{info.name}.pkl"
    if not file.is_file():
        raise UsageError(f"{info.name}:{into.root}: no {file.name} there: see `jaxloc datasets {info.name}`")
    told = read_plain_pickle(file)
    try:
        listed, asked = list(map(str, told["imlist"])), list(map(str, told["qimlist"]))
        entries = [
            (_box(entry["bbx"]), {kind: _places(entry[kind], listed) for kind in _REJUDGED}) for entry in told["gnd"]
        ]
        pairs = list(zip(asked, entries, strict=True))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{file}: not the ground truth of {info.title} ({reason}): fetch it again") from error
    found, database = _images(root), set(listed)
    for stem in dict.fromkeys([*listed, *asked]):
        if stem not in found:
            into.report(problems.MISSING, file, f"{stem} is not there; left out")
            continue
        split = ("database",) if stem in database else ("query",)
        into.add(_image(root, found[stem], split), where=file)
    queries = []
    for number, (stem, (box, judged)) in enumerate(() if into.wanted else pairs):
        query = _query(into, f"{number:03} {stem}", stem, box, judged, found, file)
        queries += [query] if query else []
    return finish(info, into, root.as_posix(), tuple(queries))


def _images(root: Path) -> dict[str, str]:
    """Names of all images, by their stems."""
    found: dict[str, str] = {}
    for folder in _IMAGES:
        for below in ("", *folders(root / folder)):
            place = root / folder / below
            for file in images(place):
                found.setdefault(file.rpartition(".")[0], (place / file).relative_to(root).as_posix())
    return found


def _image(root: Path, name: str, splits: tuple[str, ...] = ()) -> Annotated:
    return Annotated(name, splits=splits, path=root / name)


def _box(values: Any) -> Box:
    x0, y0, x1, y1 = map(float, values)
    return x0, y0, x1, y1


def _places(judged: Any, listed: list[str]) -> list[str]:
    return [listed[int(number)] for number in judged]


def _query(
    into: Gathering,
    name: str,
    stem: str,
    box: Box,
    judged: Mapping[str, list[str]],
    found: Mapping[str, str],
    where: Path,
) -> Query | None:
    """A query whose image is there, with the judged images that are."""
    image = into.images.get(found.get(stem, ""))
    if image is None or image.height is None or image.width is None:
        into.report(NO_JUDGED, where, f"the query {name} asks with {stem}, which is not there; left out")
        return None
    fitted = into.fit(box, (image.height, image.width), f"query {name}", where)
    if fitted is None:
        return None
    kept: dict[str, tuple[str, ...]] = {}
    for kind, stems in judged.items():
        there = [one for one in stems if found.get(one) in into.images]
        for missing in sorted(set(stems) - set(there)):
            into.report(NO_JUDGED, where, f"{missing}, {kind} for {name}; left out")
        kept[kind] = tuple(found[one] for one in there)
    return Query(name, image.name, fitted, kept)


ADAPTERS = (
    Adapter(OXFORD, functools.partial(read, info=OXFORD)),
    Adapter(PARIS, functools.partial(read, info=PARIS)),
    Adapter(ROXFORD, functools.partial(read_revisited, info=ROXFORD)),
    Adapter(RPARIS, functools.partial(read_revisited, info=RPARIS)),
)
