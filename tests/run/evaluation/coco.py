"""COCO files under construction."""

import json
from pathlib import Path
from typing import Any

CLASSES = ("boat", "bus", "horse")


class Coco:
    """A COCO file under construction."""

    def __init__(self, path: Path, categories: tuple[str, ...] = CLASSES) -> None:
        self.path = path
        self.numbers = {name: 10 * number for number, name in enumerate(categories)}
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, name: str, category: str | None = None, boxes=(), noise: float | None = None, **more: Any) -> "Coco":
        """An image with boxes ``(category, x0, y0, x1, y1, score)``, after which flags may follow."""
        image = {"id": 7 + len(self.images), "file_name": name, "width": 100, "height": 100, **more}
        if category is not None:
            image["category_id"] = self.numbers[category]
        if noise is not None:
            image["noise_score"] = noise
        self.images.append(image)
        for of, x0, y0, x1, y1, score, *flags in boxes:
            entry = {"image_id": image["id"], "category_id": self.numbers[of], "bbox": [x0, y0, x1 - x0, y1 - y0]}
            entry |= dict.fromkeys(flags, 1)
            self.annotations.append({"id": len(self.annotations), "score": score, **entry})
        return self

    def content(self) -> dict:
        categories = [{"id": number, "name": name} for name, number in self.numbers.items()]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}

    def save(self) -> Path:
        self.path.write_text(json.dumps(self.content()))
        return self.path
