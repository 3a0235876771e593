"""A trained Mask-CNN on disk: the head that scores parts, and the classifier of its streams."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc._files import StoredArrays, readable, write_safetensors

FORMAT = "jaxloc-maskcnn-1"


@dataclasses.dataclass(frozen=True)
class MaskCnn:
    """What was learnt.

    Attributes:
        head: parameters of ``models.fcn.PartScores``.
        classifier: ``kernel`` ``[(1 + k) 2 d, classes]`` and ``bias``.
        parts: names of the ``k`` parts.
        side: longer side of the images at most, in pixels.
        weights_checksum: of the backbone's parameters; a model is valid only with the same ones.
    """

    head: Any
    classifier: Mapping[str, np.ndarray]
    classes: list[str]
    parts: list[str]
    side: int
    architecture: str
    weights_checksum: str

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Of each class, for vectors ``[n, 1 + k, 2 d]``: float32 ``[n, classes]``."""
        scores = vectors.reshape(len(vectors), -1) @ self.classifier["kernel"] + self.classifier["bias"]
        raised = np.exp(scores - scores.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)


_TEXTS = ("classes", "parts", "side", "architecture", "weights_checksum")


def save(path: Path, model: MaskCnn) -> None:
    """Write a model in one step; the same model gives the same bytes."""
    layers = {**model.head["params"], "classifier": model.classifier}
    arrays = {f"{layer}/{name}": np.asarray(value) for layer, own in layers.items() for name, value in own.items()}
    about = {name: json.dumps(getattr(model, name)) for name in _TEXTS}
    write_safetensors(path, arrays, {"format": FORMAT, "arrays": json.dumps(sorted(arrays))} | about)


def load(path: Path) -> MaskCnn:
    """Read what ``save`` wrote; ``UsageError`` if it is missing, damaged, or something else."""
    with readable(path, "missing or damaged model of Mask-CNN", "train it again"):
        stored = StoredArrays(path)
        if stored.metadata.get("format") != FORMAT:
            raise ValueError("not a model that `jaxloc maskcnn train` wrote")
        layers: dict[str, dict[str, np.ndarray]] = {}
        for place in json.loads(stored.metadata["arrays"]):
            layer, name = place.split("/")
            layers.setdefault(layer, {})[name] = stored[place]
        classifier = layers.pop("classifier")
        return MaskCnn({"params": layers}, classifier, **{name: json.loads(stored.metadata[name]) for name in _TEXTS})
