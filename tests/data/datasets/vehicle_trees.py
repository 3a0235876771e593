"""VeRi-776 and VehicleID in the layout of their authors."""

from pathlib import Path

from tests.data.datasets.trees import write_image


def veri(folder: Path, *, vehicles: int = 2, images: int = 2) -> Path:
    """VeRi-776: each vehicle of the test seen by two cameras, each of which gives a query; types in GB2312."""
    lists: dict[str, list[str]] = {"train": [], "test": [], "query": []}
    items = []
    for number in range(2 * vehicles * images):
        vehicle, camera = number % (2 * vehicles), number // (2 * vehicles) + 1
        name = f"{vehicle + 1:04}_c{camera:03}_{number:08}_0.jpg"
        for split in ("train",) if vehicle < vehicles else ("test", "query"):
            write_image(folder / f"image_{split}" / name, number)
            lists[split].append(name)
        items.append(f'<Item imageName="{name}" vehicleID="{vehicle + 1:04}" colorID="1" typeID="{vehicle % 3}"/>')
    for split, names in lists.items():
        (folder / f"name_{split}.txt").write_text("\r\n".join(names) + "\r\n")
    text = f'<?xml version="1.0" encoding="gb2312"?><TrainingImages><Items>{"".join(items)}</Items></TrainingImages>'
    for kind in ("train", "test"):
        (folder / f"{kind}_label.xml").write_bytes(text.encode("gb2312"))
    return folder


def vehicle_id(folder: Path, *, vehicles: int = 3, images: int = 2, learnt: int = 1) -> Path:
    """VehicleID: the first vehicles train, the others are in the tests of 800, 1600 and 2400, the later the fewer."""
    (folder / "train_test_split").mkdir(parents=True)
    (folder / "attribute").mkdir()
    lists: dict[str, list[str]] = {"train_list": [], "test_list_800": [], "test_list_1600": [], "test_list_2400": []}
    for number in range(vehicles * images):
        vehicle = number % vehicles
        write_image(folder / "image" / f"{number:07}.jpg", number)
        names = ["train_list"] if vehicle < learnt else list(lists)[1 : 1 + vehicles - vehicle]
        for name in names:
            lists[name].append(f"{number:07} {vehicle + 50}")
    for name, told in lists.items():
        (folder / "train_test_split" / f"{name}.txt").write_text("\n".join(told) + "\n")
    (folder / "attribute" / "model_attr.txt").write_text("50 3\n51 7\n")
    return folder
