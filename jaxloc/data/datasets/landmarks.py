"""Oxford 5k and Paris 6k (Philbin et al., CVPR 2007 and 2008), and their revisited protocols.

The latter are those of Radenović et al. (CVPR 2018). Query boxes are corners and are taken as they stand. Some images
of Paris are published damaged; what cannot be read is left out and reported. Queries are read where the whole set is
opened, not one of its splits.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Box
from jaxloc.data.datasets.files import folders, images, lines, numbers
from jaxloc.data.datasets.gathering import NO_JUDGED, Gathering
from jaxloc.data.datasets.plain_pickle import read_plain_pickle
from jaxloc.data.datasets.records import Info
from jaxloc.errors import UsageError

_SITE = "https://www.robots.ox.ac.uk/~vgg/data"
_REVISITED = "http://cmp.felk.cvut.cz/revisitop"
_FOLDERS = ("images", "jpg", "oxbuild_images", "paris", ".")
_JUDGED = ("good", "ok", "junk")
_REJUDGED = ("easy", "hard", "junk")


def _info(name: str, title: str, size: str, folder: str, images: str, truth: str, file: str) -> Info:
    return Info(
        name=name,
        title=title,
        holds=f"queries with boxes, judged images ({', '.join(_JUDGED)})",
        size=size,
        licence="Flickr images: Flickr's terms of use; made for research",
        page=f"{_SITE}/{folder}/",
        get=(
            f"mkdir jpg && {images}",
            f"mkdir groundtruth && curl -L {_SITE}/{folder}/{truth} | tar xz -C groundtruth",
        ),
        layout=(file, "jpg/*.jpg   # or images/, or beside the ground truth; Paris also in folders below"),
        notes=("images have no class; junk images count neither as found nor as missed",),
    )


def _revisited(info: Info, title: str, size: str) -> Info:
    name, file = f"r{info.name}", f"gnd_r{info.name}.pkl"
    return dataclasses.replace(
        info,
        name=name,
        title=title,
        holds=f"queries with boxes, judged images ({', '.join(_REJUDGED)})",
        size=size,
        page=f"{_REVISITED}/",
        get=(info.get[0], f"curl -LO {_REVISITED}/data/datasets/{name}/{file}"),
        layout=(file, info.layout[1]),
        splits=("database", "query"),
    )


INFOS = (
    _info(
        "oxford5k",
        "Oxford Buildings 5k",
        "5,063 images, 55 queries, 2 GB",
        "oxbuildings",
        f"curl -L {_SITE}/oxbuildings/oxbuild_images-v1.tgz | tar xz -C jpg",
        "gt_files_170407.tgz",
        "groundtruth/all_souls_1_{query,good,ok,junk}.txt",
    ),
    _info(
        "paris6k",
        "Paris 6k",
        "6,412 images, 55 queries, 2.5 GB",
        "parisbuildings",
        f"for i in 1 2; do curl -L {_SITE}/parisbuildings/paris_$i-v1.tgz | tar xz -C jpg; done",
        "paris_120310.tgz",
        "groundtruth/defense_1_{query,good,ok,junk}.txt",
    ),
)
REVISITED = (
    _revisited(INFOS[0], "Revisited Oxford", "4,993 images and 70 queries of Oxford 5k"),
    _revisited(INFOS[1], "Revisited Paris", "6,322 images and 70 queries of Paris 6k"),
)


def read(into: Gathering) -> None:
    """Read text files of ground truth; the images are all that are there."""
    root = into.find_root(".")
    truth = next(
        (one for one in (root, *(root / name for name in folders(root))) if any(one.glob("*_query.txt"))), None
    )
    if truth is None:
        raise into.error(f"no *_query.txt there: see `jaxloc datasets {into.info.name}`")
    found = _find_images(root)
    for stem in sorted(found):
        into.add(Annotated(found[stem], path=root / found[stem]), where=root)
    for file in sorted(truth.glob("*_query.txt")):
        name = file.name.removesuffix("_query.txt")
        fields = " ".join(lines(file)).split()
        if len(fields) != 5:
            raise UsageError(f"{file}: has {len(fields)} fields and not 5: image, x0, y0, x1, y1")
        x0, y0, x1, y1 = numbers(file, fields[1:])
        judged = {kind: lines(truth / f"{name}_{kind}.txt") for kind in _JUDGED}
        _add_query(into, name, fields[0].removeprefix("oxc1_"), (x0, y0, x1, y1), judged, found, file)


def read_revisited(into: Gathering) -> None:
    """Read the pickle of ground truth; the images are those it lists, queries last."""
    root = into.find_root(".")
    file = root / f"gnd_{into.info.name}.pkl"
    if not file.is_file():
        raise into.error(f"no {file.name} there: see `jaxloc datasets {into.info.name}`")
    content = read_plain_pickle(file)
    try:
        listed, asked = list(map(str, content["imlist"])), list(map(str, content["qimlist"]))
        queries = [
            (stem, _box(entry["bbx"]), {kind: [listed[int(number)] for number in entry[kind]] for kind in _REJUDGED})
            for stem, entry in zip(asked, content["gnd"], strict=True)
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{file}: not the ground truth of {into.info.title} ({reason}): fetch it again") from error
    found, database = _find_images(root), set(listed)
    for stem in dict.fromkeys([*listed, *asked]):
        if stem not in found:
            into.report(problems.MISSING, file, f"{stem} is not there; left out")
            continue
        splits = ("database",) if stem in database else ("query",)
        into.add(Annotated(found[stem], splits=splits, path=root / found[stem]), where=file)
    for number, (stem, box, judged) in enumerate(() if into.wanted else queries):
        _add_query(into, f"{number:03} {stem}", stem, box, judged, found, file)


def _find_images(root: Path) -> dict[str, str]:
    """Names of all images, by their stems."""
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        for below in ("", *folders(root / folder)):
            place = root / folder / below
            for file in images(place):
                found.setdefault(file.rpartition(".")[0], (place / file).relative_to(root).as_posix())
    return found


def _box(values: Any) -> Box:
    x0, y0, x1, y1 = map(float, values)
    return x0, y0, x1, y1


def _add_query(
    into: Gathering,
    name: str,
    stem: str,
    box: Box,
    judged: Mapping[str, list[str]],
    found: Mapping[str, str],
    where: Path,
) -> None:
    """Add a query whose image is there, with the judged images that are there."""
    image = into.images.get(found.get(stem, ""))
    if image is None:
        into.report(NO_JUDGED, where, f"the query {name} asks with {stem}, which is not there; left out")
        return
    there = {kind: [one for one in stems if found.get(one) in into.images] for kind, stems in judged.items()}
    if into.add_query(name, image, box, {kind: map(found.__getitem__, stems) for kind, stems in there.items()}, where):
        for kind, stems in judged.items():
            for missing in sorted(set(stems) - set(there[kind])):
                into.report(NO_JUDGED, where, f"{missing}, {kind} for {name}; left out")
