"""The six classes of ImageNet that the ILSVRC networks never saw (Li et al., ECCV 2016; used by Wei et al., 2019).

The papers name the classes and not the synsets; those below bear these names in WordNet 3.0. A folder may be called
after the class instead, for images of another synset. As in the papers the images are those that have boxes.
"""

from pathlib import Path

from jaxloc.data.datasets.files import images, of_category, read_xml
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

SYNSETS = {
    "chipmunk": "n02360282",
    "rhino": "n02391994",
    "stoat": "n02442336",
    "raccoon": "n02508021",
    "rake": "n04050066",
    "wheelchair": "n04576002",
}
"""ImageNet's number of each class."""

INFO = Info(
    name="imagenet-subsets",
    title="ImageNet subsets: six classes outside ILSVRC",
    holds="class, boxes",
    size="771 images of 6 classes in the papers",
    licence="ImageNet's terms: non-commercial research and education",
    page="https://image-net.org/download.php",
    get=(
        "# with an account at image-net.org fetch the images of each synset and its bounding boxes:",
        *(f"# {wnid} {name}" for name, wnid in SYNSETS.items()),
    ),
    layout=("n02360282/n02360282_38.JPEG   # or chipmunk/", "Annotation/n02360282/n02360282_38.xml   # or chipmunk/"),
    notes=(
        "only images with boxes count, as in the papers; the papers do not name the synsets, see the module",
        "boxes are ImageNet's corners, taken without a shift",
    ),
)


def read(into: Gathering) -> None:
    """Read folders of images with their XML files."""
    root = into.find_root("Annotation")
    for category, wnid in SYNSETS.items():
        found = [folder for folder in (wnid, category) if (root / "Annotation" / folder).is_dir()]
        if not found:
            raise into.error(f"no boxes of {category}: unpack them in Annotation/{wnid} or Annotation/{category}")
        _add(into, root, found[0], category)


def _add(into: Gathering, root: Path, folder: str, category: str) -> None:
    suffixes = {name.rpartition(".")[0]: name for name in images(root / folder)}
    for path in sorted((root / "Annotation" / folder).glob("*.xml")):
        described = read_xml(into, path, first_pixel=0)
        if described is not None:
            name = f"{folder}/{suffixes.get(path.stem, f'{path.stem}.JPEG')}"
            into.add(of_category(described, category, name=name, path=root / name), where=path)
