"""The sheet of predicted masks: its legend names every part, however many there are."""

import numpy as np
from PIL import Image, ImageColor

from jaxloc.data import Source
from jaxloc.report.overlays import PART_COLOURS
from jaxloc.run.maskcnn.drawing import draw_masks
from jaxloc.run.maskcnn.parts import Predicted


def test_more_parts_than_colours_share_them(tmp_path):
    parts = [f"part {number}" for number in range(len(PART_COLOURS) + 1)]
    Image.new("RGB", (40, 30)).save(tmp_path / "image.png")
    boxes = np.array([[[2, 2, 20, 20]] * len(parts)], np.float32)
    predicted = Predicted(
        shares=np.full((1, 3, 4, 1 + len(parts)), 1 / (1 + len(parts)), np.float32),
        sizes=np.array([[3, 4]]),
        boxes=boxes,
        found=np.ones((1, len(parts)), bool),
        objects=boxes[:, 0],
    )
    source = Source(tmp_path / "image.png", "image.png")
    draw_masks(tmp_path / "masks.png", [source], predicted, boxes, np.array([[30, 40]]), parts)
    with Image.open(tmp_path / "masks.png") as sheet:
        legend = np.asarray(sheet.convert("RGB"))[-28:].reshape(-1, 3)
    for colour in ("white", *PART_COLOURS):
        assert (legend == ImageColor.getrgb(colour)).all(1).any(), colour
