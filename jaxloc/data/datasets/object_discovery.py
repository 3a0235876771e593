"""Object Discovery, the 100-image subsets (Rubinstein et al., CVPR 2013).

Images without the object ("noisy") have an empty mask, or none; in either case they keep the class of their set and
have no object. The box of an image is the tight box of its mask, as in the papers that measure CorLoc on it.
"""

from jaxloc.data.annotations.records import Annotated, Annotation, MaskFile
from jaxloc.data.datasets.files import images, read_boxes
from jaxloc.data.datasets.gathering import NO_ANNOTATION, NO_MASK, Gathering
from jaxloc.data.datasets.records import Info
from jaxloc.data.kinds import suffix

_SETS = {"Airplane100": "airplane", "Car100": "car", "Horse100": "horse"}
_BELOW = ("Data", "ObjectDiscovery-data/Data", "ObjectDiscovery-data")

INFO = Info(
    name="object-discovery",
    title="Object Discovery, 100-image subsets",
    holds="class, mask, box of the mask; noisy images are marked by empty masks",
    size="300 images of 3 classes (18 airplane, 11 car and 7 horse images are noisy), below 0.1 GB",
    licence="none stated; images of the internet, made for research",
    page="https://people.csail.mit.edu/mrub/ObjectDiscovery/",
    get=("# fetch ObjectDiscovery-data.zip from the page and unpack it",),
    layout=("Data/Airplane100/*.jpg", "Data/Airplane100/GroundTruth/*.png", "# and Car100, Horse100"),
    notes=(
        "an image with an empty mask, or with no mask file, is noisy: it keeps its class and has no object",
        "boxes are those of masks",
    ),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("Airplane100", below=_BELOW)
    for folder, category in _SETS.items():
        truth = root / folder / "GroundTruth"
        drawn = {name.removesuffix(suffix(name)): MaskFile(truth / name) for name in images(truth)}
        boxes = read_boxes(into, drawn)
        for file in images(root / folder):
            key = file.removesuffix(suffix(file))
            mask, box = drawn.get(key), boxes.get(key)
            if mask is None:
                into.report(NO_MASK, truth, f"{file} has none; taken as noisy, without the object")
            elif key not in boxes:
                into.report(NO_ANNOTATION, truth, f"{file} has a mask that cannot be read; left out")
                continue
            annotations = () if box is None else (Annotation(category, box),)
            name = f"{folder}/{file}"
            into.add(Annotated(name, category, annotations, path=root / name, mask=mask), where=root / folder)
