"""A small network, small images of three kinds, and galleries of them: what the tests of retrieval share."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from jaxloc.errors import JaxlocError
from jaxloc.models import save, weights_file
from jaxloc.options import IndexOptions, NetworkOptions
from jaxloc.run.retrieval.gallery import Gallery
from tests.models import narrow

WIDTHS = (4, 4, 6, 8, 10)
BACKBONE = narrow.register("vgg16-small", WIDTHS)
DIMENSION = 2 * WIDTHS[-1]
KINDS = {"cat": skimage.data.chelsea, "coffee": skimage.data.coffee, "face": skimage.data.astronaut}
EACH = 5
EMPTY = "face/zz_small.png"
"""Of one cell only, which is not above its own mean: nothing is selected in it."""


def write_weights(path: Path, *, seed: int = 0) -> Path:
    """Random parameters of the small network."""
    rng = np.random.default_rng(seed)
    flat = {}
    for name, shape in BACKBONE.all_shapes(head=False).items():
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        flat[name] = rng.normal(size=shape) * scale if name.endswith("kernel") else rng.normal(size=shape) * 0.05
    save(path, weights_file.make_weights(flat, BACKBONE, f"random, seed {seed}", "narrow"))
    return path


def crop(kind: str, number: int) -> Image.Image:
    """An image of a kind, always the same for the same number; two sizes."""
    image = Image.fromarray(KINDS[kind]())
    rng = np.random.default_rng([sorted(KINDS).index(kind), number])
    side = int(rng.integers(180, 260))
    left, top = int(rng.integers(image.width - side)), int(rng.integers(image.height - side))
    size = (128, 96) if number % 2 else (128, 128)
    return image.crop((left, top, left + side, top + side)).resize(size)


def write_images(folder: Path, numbers: Sequence[int] = range(EACH), *, empty: bool = True) -> Path:
    """Images of every kind, each kind in its own folder."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in numbers:
            crop(kind, number).save(folder / kind / f"{number}.png")
    if empty:
        Image.new("RGB", (40, 40), (90, 120, 30)).save(folder / EMPTY)
    return folder


def index_options(weights: Path, **values: object) -> IndexOptions:
    """Options of a small gallery: several shards."""
    return IndexOptions(**({"weights": weights, "shard_size": 3, "workers": 1} | values))


def reading(weights: Path) -> NetworkOptions:
    return NetworkOptions(weights=weights, workers=1)


def copy(gallery: Path, to: Path) -> Path:
    shutil.copytree(gallery, to)
    return to


def stored(folder: Path) -> np.ndarray:
    """Every vector of a gallery as it is on disk, before any whitening."""
    return np.concatenate(list(Gallery.open(folder).chunks()))


def names(folder: Path) -> list[str]:
    return Gallery.open(folder).whole_table()["name"].to_pylist()


def labels(folder: Path) -> np.ndarray:
    return np.array(Gallery.open(folder).whole_table()["label"].to_pylist(), object)


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def write_coco(
    path: Path, folder: Path, *, splits: dict[str, str] | None = None, leave_out: Sequence[str] = ()
) -> Path:
    """A COCO file beside the images' folder: each image's category is its sub-folder, with one box in it."""
    kinds = {kind: number for number, kind in enumerate(KINDS, 1)}
    images, annotations = [], []
    for number, image in enumerate(sorted(folder.rglob("*.png")), 1):
        name = image.relative_to(path.parent).as_posix()
        if image.relative_to(folder).as_posix() in leave_out:
            continue
        own = {"id": number, "file_name": name, "category_id": kinds[image.parent.name]}
        if splits:
            own["split"] = splits.get(image.stem, "train")
        images.append(own)
        box = {"id": number, "image_id": number, "category_id": own["category_id"], "bbox": [2, 3, 30, 20]}
        annotations.append(box)
    categories = [{"id": number, "name": kind} for kind, number in kinds.items()]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def complaint(job, *arguments, **options) -> str:
    """The one line that a job fails with."""
    with pytest.raises(JaxlocError) as caught:
        job(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
