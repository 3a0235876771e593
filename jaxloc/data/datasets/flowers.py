"""Oxford Flowers 102 (Nilsback and Zisserman, ICVGIP 2008).

The published segmentations are JPEGs whose background is painted blue; a pixel near that blue is background.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, MaskFile
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import matlab
from jaxloc.data.datasets.gathering import NO_MASK, Gathering
from jaxloc.data.datasets.records import Info
from jaxloc.data.sources import Record

CLASSES = [
    "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold",
    "tiger lily", "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot",
    "king protea", "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily",
    "balloon flower", "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger",
    "grape hyacinth", "corn poppy", "prince of wales feathers", "stemless gentian", "artichoke", "sweet william",
    "carnation", "garden phlox", "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya",
    "cape flower", "great masterwort", "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily",
    "poinsettia", "bolero deep blue", "wallflower", "marigold", "buttercup", "oxeye daisy", "common dandelion",
    "petunia", "wild pansy", "primula", "sunflower", "pelargonium", "bishop of llandaff", "gaura", "geranium",
    "orange dahlia", "pink-yellow dahlia?", "cautleya spicata", "japanese anemone", "black-eyed susan",
    "silverbush", "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower", "tree poppy",
    "gazania", "azalea", "water lily", "rose", "thorn apple", "morning glory", "passion flower", "lotus",
    "toad lily", "anthurium", "frangipani", "clematis", "hibiscus", "columbine", "desert-rose", "tree mallow",
    "magnolia", "cyclamen", "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss", "foxglove",
    "bougainvillea", "camellia", "mallow", "mexican petunia", "bromelia", "blanket flower", "trumpet creeper",
    "blackberry lily",
]  # fmt: skip
"""Class names in the order of their numbers in ``imagelabels.mat``, which count from 1."""

_SITE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
_PARTS = {"trnid": ("train", "trainval"), "valid": ("val", "trainval"), "tstid": ("test",)}
_BLUE = (0, 0, 254)
_NEAR = 60

INFO = Info(
    name="flowers102",
    title="Oxford Flowers 102",
    holds="class, masks (where unpacked), split",
    size="8,189 images of 102 classes, 0.35 GB",
    licence="none stated; made for research",
    page=f"{_SITE}/",
    get=(
        f"curl -L {_SITE}/102flowers.tgz | tar xz",
        f"curl -LO {_SITE}/imagelabels.mat -LO {_SITE}/setid.mat",
        f"curl -L {_SITE}/102segmentations.tgz | tar xz   # masks, optional",
        "# or, with tensorflow installed: tfds build oxford_flowers102 --file_format=array_record",
    ),
    layout=("imagelabels.mat setid.mat", "jpg/image_00001.jpg", "segmim/segmim_00001.jpg   # optional"),
    splits=("train", "val", "trainval", "test"),
    tfds="oxford_flowers102",
    notes=("masks are estimated by their authors, not drawn by hand", "the copy of tensorflow-datasets has no masks"),
)


@dataclasses.dataclass(frozen=True)
class BlueScreen(Record):
    """Mask from a published segmentation (JPEG): 255 where it is not blue."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """The mask as an encoded image."""
        with Image.open(self.path) as image:
            distance = np.abs(np.asarray(image.convert("RGB"), np.float32) - np.array(_BLUE, np.float32)).max(axis=-1)
        encoded = io.BytesIO()
        Image.fromarray(np.where(distance > _NEAR, 255, 0).astype(np.uint8)).save(encoded, "PNG")
        return encoded.getvalue()

    def read_start(self, count: int) -> bytes:
        """Start of the JPEG, which holds its size."""
        with self.path.open("rb") as file:
            return file.read(count)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("setid.mat", below=("102flowers", "flowers-102"))
    labels = np.atleast_1d(*matlab(root / "imagelabels.mat", "labels"))
    masked = (root / "segmim").is_dir()
    for splits, numbers in zip(_PARTS.values(), matlab(root / "setid.mat", *_PARTS), strict=True):
        for number in map(int, np.atleast_1d(numbers) if into.wants(splits) else ()):
            label = int(labels[number - 1]) if 0 < number <= len(labels) else 0
            if not 0 < label <= len(CLASSES):
                what = f"image {number} has no class of 1 to {len(CLASSES)}; left out"
                into.report(problems.UNKNOWN_CLASS, root / "imagelabels.mat", what)
                continue
            name = f"jpg/image_{number:05}.jpg"
            screen = root / "segmim" / f"segmim_{number:05}.jpg"
            if masked and not screen.is_file():
                into.report(NO_MASK, screen, "is not there; its image is kept without")
            mask = MaskFile(BlueScreen(screen)) if screen.is_file() else None
            image = Annotated(name, CLASSES[label - 1], splits=splits, path=root / name, mask=mask)
            into.add(image, where=root / "setid.mat")


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    for example in prepared.examples(into, prepared.TRAIN_VAL_TEST):
        example.add(f"jpg/{example.text('file_name')}", CLASSES[int(example.values["label"])])
