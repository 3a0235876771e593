"""VeRi-776 (Liu et al., ECCV 2016) and VehicleID (Liu et al., CVPR 2016): images of vehicles cut out already.

The class of an image is its vehicle, its coarse class the vehicle's type or model. Names in VeRi say the vehicle and
the camera, ``0001_c002_00016450_0.jpg``; images of a query's vehicle from the same camera count neither way.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.datasets.files import lines, rows
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info, Query
from jaxloc.errors import UsageError

_FOLDERS = {"train": "image_train", "test": "image_test", "query": "image_query"}
_WRONG_TYPE, _RIGHT_TYPE = "0", "2"
"""Three vehicles of VeRi are labelled with a type that does not exist; its authors name the right one."""

VERI = Info(
    name="veri776",
    title="VeRi-776",
    holds="class (vehicle), coarse class (type), split; queries with images of other cameras",
    size="49,357 images of 776 vehicles, 1.1 GB; 1,678 queries",
    licence="non-commercial research only, on request",
    page="https://vehiclereid.github.io/VeRi/",
    get=("# ask the authors for it, as its page says",),
    layout=(
        "name_train.txt name_test.txt name_query.txt",
        "image_train/0001_c001_00016450_0.jpg image_test image_query",
        "train_label.xml test_label.xml   # optional: the types",
    ),
    splits=tuple(_FOLDERS),
    notes=(
        "a query's own vehicle from its own camera counts neither way, as in the authors' evaluation",
        "type 0, which does not exist, is read as type 2, as the authors correct it",
    ),
)

VEHICLE_ID = Info(
    name="vehicleid",
    title="VehicleID",
    holds="class (vehicle), coarse class (model, of 10,319 vehicles), split",
    size="221,763 images of 26,267 vehicles, 8 GB",
    licence="research only, on request",
    page="https://www.pkuml.org/resources/pku-vehicleid.html",
    get=("# ask the authors for it, as its page says",),
    layout=(
        "train_test_split/train_list.txt train_test_split/test_list_800.txt   # and 1600, 2400, …",
        "attribute/model_attr.txt   # optional: the models",
        "image/0000001.jpg",
    ),
    splits=("train", "test_800", "test_1600", "test_2400"),
    notes=("the splits of the test overlap; evaluate with one gallery image of each vehicle, ten draws",),
)


def read_veri(into: Gathering) -> None:
    """Read VeRi's layout; queries where no split is asked for."""
    root = into.find_root("name_train.txt", below=("VeRi", "VeRi-776", "veri"))
    for split, folder in _FOLDERS.items():
        if not into.wants([split]):
            continue
        where = root / f"name_{split}.txt"
        types = _types(into, root / ("train_label.xml" if split == "train" else "test_label.xml"))
        for file in lines(where):
            name, vehicle = f"{folder}/{file}", file.partition("_")[0]
            image = Annotated(name, vehicle, splits=(split,), path=root / name, coarse=types.get(file))
            into.add(image, where=where)
    if into.wanted:
        return
    cameras: dict[str, dict[str, list[str]]] = {}
    queries = []
    for name, image in into.images.items():
        vehicle, camera = Path(name).name.split("_")[:2]
        if "test" in image.splits:
            cameras.setdefault(vehicle, {}).setdefault(camera, []).append(name)
        elif "query" in image.splits:
            queries.append((name, vehicle, camera))
    for name, vehicle, camera in queries:
        seen = cameras.get(vehicle, {})
        good = [other for place in seen if place != camera for other in seen[place]]
        into.queries.append(Query(name, name, None, {"good": tuple(good), "junk": tuple(seen.get(camera, ()))}))


def _types(into: Gathering, path: Path) -> dict[str, str]:
    """The type of each image; none without the file."""
    if not path.is_file():
        return {}
    try:
        # Its encoding, GB2312, is none that the parser knows, and all that counts is ASCII.
        text = path.read_bytes().decode("ascii", "replace").partition("?>")[2] or path.read_text()
        entries = list(ElementTree.fromstring(text).iter("Item"))
    except (OSError, ValueError, ElementTree.ParseError) as error:
        into.report(problems.DAMAGED, path, f"is not readable as XML ({error}); the types are left out")
        return {}
    types = {str(entry.get("imageName")): entry.get("typeID") for entry in entries}
    return {name: f"type {_RIGHT_TYPE if kind == _WRONG_TYPE else kind}" for name, kind in types.items() if kind}


def read_vehicle_id(into: Gathering) -> None:
    """Read VehicleID's layout."""
    root = into.find_root("train_test_split", below=("VehicleID_V1.0", "VehicleID"))
    lists = root / "train_test_split"
    found = sorted(lists.glob("test_list_*.txt"), key=lambda path: (len(path.name), path.name))
    tests = {f"test_{path.stem.rpartition('_')[2]}": path for path in found}
    splits: dict[str, list[str]] = {}
    vehicles: dict[str, str] = {}
    for split, path in {"train": lists / "train_list.txt", **tests}.items():
        for key, vehicle in rows(path, 2) if into.wants([split]) else ():
            splits.setdefault(key, []).append(split)
            if vehicles.setdefault(key, vehicle) != vehicle:
                raise UsageError(f"{path}: {key} is of vehicle {vehicle}, and of {vehicles[key]} elsewhere")
    attributes = root / "attribute" / "model_attr.txt"
    models = dict(rows(attributes, 2)) if attributes.is_file() else {}
    for key, vehicle in vehicles.items():
        name, model = f"image/{key}.jpg", models.get(vehicle)
        coarse = None if model is None else f"model {model}"
        image = Annotated(name, vehicle, splits=tuple(splits[key]), path=root / name, coarse=coarse)
        into.add(image, where=lists)
