"""What was found in images: boxes, scores, masks and maps, in memory."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from jaxloc.errors import UsageError
from jaxloc.report import coco
from jaxloc.report.overlays import encode_heat
from jaxloc.report.records import Finding, Findings
from jaxloc.run.refining import whole_cells

if TYPE_CHECKING:
    from jaxloc.run.model_file import ModelFile


@dataclasses.dataclass(frozen=True)
class FoundObject:
    """The object of one image.

    Attributes:
        name: of the image: its path, or ``image_N``.
        size: rows and columns of the image in pixels, as displayed (EXIF orientation applied).
        box: ``x0, y0, x1, y1`` in pixels of the image, half-open; ``None`` where there is no object.
        score: in [0, 1), how far the object stands out; 0 where there is none.
        mask: bool ``[h, w]``, the object's cells at the resolution of the feature map.
        response: float32 ``[h, w]``, the map that the decision was made on.
        threshold: cells whose response exceeds this are candidates.
        positive_share: share of cells above the threshold, small where the shared object is absent; ``None`` for
            methods that look at each image alone.
        noisy: whether that share is at most the noise threshold, so that nothing was found.
        deviation: float32 ``[d]``, DDT's, of which ``jaxloc.ddt.alignment`` tells images that lack the shared object;
            ``None`` for other methods.
        category: class that a classifier chose, or the group of ``discover``; empty for other methods, and for a class
            that was given.
        rank: 0 for the first object of its image, 1 for that of the next class with ``top_k``, and so on.
        class_name: what the classifier calls the class that it was asked for; ``None`` for methods that ask none.
        probability: of that class in the image; ``None`` likewise.
        point: ``x, y`` in pixels of the image, where the class is seen most; ``None`` for methods without a peak.
        passes: images that the network was asked about; ``None`` likewise.
        regions: those that ``"eiss"`` went through, as in ``jaxloc.report.records.Finding``.
        objects: box and weight of every region that is object, the chosen one first, with ``regions=True``.
    """

    name: str
    size: tuple[int, int]
    found: bool
    box: tuple[float, float, float, float] | None
    score: float
    mask: np.ndarray = dataclasses.field(repr=False)
    response: np.ndarray = dataclasses.field(repr=False)
    threshold: float = dataclasses.field(repr=False)
    positive_share: float | None
    noisy: bool
    deviation: np.ndarray | None = dataclasses.field(default=None, repr=False)
    category: str = ""
    rank: int = 0
    class_name: str | None = None
    probability: float | None = None
    point: tuple[float, float] | None = None
    passes: int | None = None
    regions: tuple[tuple[float, ...], ...] = ()
    objects: tuple[tuple[float, ...], ...] = ()

    @property
    def pixels(self) -> np.ndarray:
        """The mask at the resolution of the image: bool ``[rows, columns]``."""
        return whole_cells(self.mask, self.size).mask

    def finding(self, category: str = "") -> Finding:
        """The record that overlays and exports are made of."""
        outcome = self.box, self.score, self.found, self.positive_share, self.noisy
        heat = encode_heat(self.response, self.threshold)
        named, (rows, columns) = self.category or category, self.size
        own = ("deviation", "rank", "class_name", "probability", "point", "passes", "regions", "objects")
        asked = {name: getattr(self, name) for name in own}
        return Finding(self.name, self.name, named, columns, rows, *outcome, heat=heat, **asked)


class Found(Sequence[FoundObject]):
    """What was found in each image, in the order of the images; of ``top_k`` classes one after another.

    Attributes:
        name: what the object is called, as the category of exports.
        model: what was fitted, for ``jaxloc.apply``; ``None`` if the method fits nothing.
    """

    def __init__(self, objects: Sequence[FoundObject], *, name: str, method: str, model: "ModelFile | None") -> None:
        self._objects = list(objects)
        self.name, self.method, self.model = name, method, model

    @overload
    def __getitem__(self, number: int) -> FoundObject: ...
    @overload
    def __getitem__(self, number: slice) -> list[FoundObject]: ...
    def __getitem__(self, number: Any) -> Any:
        return self._objects[number]

    def __len__(self) -> int:
        return len(self._objects)

    def __repr__(self) -> str:
        number, images = sum(one.found and not one.rank for one in self), sum(not one.rank for one in self)
        return f"Found({self.method}: an object in {number} of {images} images)"

    def findings(self) -> Findings:
        """The records that exports are made of."""
        classes = max((one.rank for one in self), default=0) + 1
        return Findings(self.name, self.method, {}, [one.finding(self.name) for one in self], [], classes_each=classes)

    def to_coco(self) -> dict[str, Any]:
        """The objects as COCO annotations, as ``annotations.json`` holds them."""
        return json.loads("".join(coco.encode(self.findings())))

    def to_supervision(self) -> list[Any]:
        """``supervision.Detections`` of each image, with masks and scores.

        Raises:
            UsageError: the package supervision is missing.
        """
        try:
            import supervision
        except ImportError as error:
            raise UsageError("this needs supervision: pip install supervision") from error
        return [
            supervision.Detections(
                xyxy=np.array([one.box], np.float32),
                mask=one.pixels[None],
                confidence=np.array([one.score], np.float32),
                class_id=np.zeros(1, int),
                data={"class_name": np.array([one.category or self.name])},
            )
            if one.box is not None
            else supervision.Detections.empty()
            for one in self
        ]
