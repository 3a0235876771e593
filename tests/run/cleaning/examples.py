"""A small collection with everything that cleaning looks for."""

from pathlib import Path

import skimage.data
from PIL import Image

from tests.run import helpers


def write_collection(folder: Path) -> Path:
    """Two classes: motorcycles with a smaller copy and a broken file; others, with the same motorcycles among them."""
    helpers.write_photographs(folder / "motorcycle", with_object=6, without=1)
    photographs = sorted((folder / "motorcycle").iterdir())
    with Image.open(photographs[0]) as image:
        image.resize((96, 96)).save(folder / "motorcycle" / "smaller.jpg", quality=90)
    (folder / "motorcycle" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    (folder / "other").mkdir()
    Image.fromarray(skimage.data.chelsea()).resize((128, 96)).save(folder / "other" / "cat.png")
    for number in (3, 4):
        with Image.open(photographs[number]) as image:
            image.save(folder / "other" / f"stray-{number}.png")
    return folder
