"""RPC in the layout of its authors: single products, and checkout images composed of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.products import SIDE, product


def rpc(folder: Path, *, kinds: int = 3, images: int = 2) -> Path:
    """Exemplars of each kind with their boxes, and checkout images of two or three products by level."""
    categories = [{"id": kind + 1, "name": f"{kind + 1}_tea", "supercategory": "tea"} for kind in range(kinds)]
    for split in ("train", "val", "test"):
        listed, entries = [], []
        (folder / f"{split}2019").mkdir(parents=True)
        for number in range(kinds * images):
            shown = [number % kinds] if split == "train" else [number % kinds, (number + 1) % kinds]
            canvas = Image.new("RGB", (SIDE * len(shown), SIDE), (255, 255, 255))
            for place, kind in enumerate(shown):
                canvas.paste(product(kind, number // kinds), (SIDE * place, 0))
                inside = np.asarray(product(kind, number // kinds)).min(2) < 250
                rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
                box = [SIDE * place + columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
                one = {"id": len(entries) + 1, "image_id": number, "category_id": kind + 1, "bbox": list(map(int, box))}
                entries.append(one)
            canvas.save(folder / f"{split}2019" / f"{number}.jpg", quality=95)
            level = {} if split == "train" else {"level": ("easy", "medium", "hard")[number % 3]}
            size = {"width": canvas.width, "height": canvas.height}
            listed.append({"id": number, "file_name": f"{number}.jpg", **size, **level})
        content = {"images": listed, "annotations": entries, "categories": categories}
        (folder / f"instances_{split}2019.json").write_text(json.dumps(content))
    return folder
