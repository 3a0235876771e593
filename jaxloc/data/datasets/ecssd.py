"""ECSSD, the extended complex scene saliency dataset (Yan et al., CVPR 2013; Shi et al., TPAMI 2016).

The images have no classes: each shows an object that stands out, here of the class ``object``. Its box is the tight box
of the mask.
"""

from jaxloc.data.annotations.records import Annotated, Annotation, MaskFile
from jaxloc.data.datasets.files import images, read_boxes
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.data.datasets.records import Info
from jaxloc.data.kinds import suffix

_MASKS = ("ground_truth_mask", "masks")
_SITE = "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/data/ECSSD"

INFO = Info(
    name="ecssd",
    title="ECSSD, salient objects",
    holds="mask of the salient object, box of the mask",
    size="1,000 images without classes, below 0.1 GB",
    licence="none stated; images of the internet, made for research",
    page="https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
    get=(f"for f in images ground_truth_mask; do curl -LO {_SITE}/$f.zip && unzip $f.zip; done",),
    layout=("images/0001.jpg", "ground_truth_mask/0001.png   # or masks/"),
    notes=("every object is of the class object", "boxes are those of masks"),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root(*_MASKS, below=("ECSSD",))
    folder = next(root / name for name in _MASKS if (root / name).is_dir())
    drawn = {name.removesuffix(suffix(name)): MaskFile(folder / name) for name in images(folder)}
    boxes = read_boxes(into, drawn)
    for file in images(root / "images"):
        key = file.removesuffix(suffix(file))
        box = boxes.get(key)
        if box is None:
            what = "has a mask that is empty or cannot be read" if key in drawn else "has no mask"
            into.report(NO_ANNOTATION, folder, f"{file} {what}; left out")
            continue
        path = root / "images" / file
        image = Annotated(f"images/{file}", "object", (Annotation("object", box, mask=drawn[key]),), path=path)
        into.add(image, where=folder)
