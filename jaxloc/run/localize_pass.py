"""The localising pass: find, refine and draw the object in each image of a shard, and write the findings."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxloc.data import read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.annotations import Rle
from jaxloc.data.annotations.records import Box
from jaxloc.errors import ImageError
from jaxloc.localization import Localization
from jaxloc.options import reading, workers_of
from jaxloc.parts import Parts
from jaxloc.report import parquet
from jaxloc.report.overlays import encode_heat
from jaxloc.report.records import Finding, Skipped
from jaxloc.run import outputs
from jaxloc.run.feature_cache import FULL
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.passes import Context, Features, in_flight, shard_features
from jaxloc.run.plan import Shard
from jaxloc.run.progress import Progress
from jaxloc.run.refining import RefinedMask, Refiner, whole_cells
from jaxloc.run.steps import Models

TOO_FEW = f"its set has fewer than {MINIMUM_SET} readable images, and DDT needs them"
"""Why the images of a small set are skipped."""


_Place = tuple[int, int]
"""The number of an image, and the rank of an object in it."""


class _Located(NamedTuple):
    """One image's object on the host, without padding, and its pixels if they were read and not shrunk.

    ``rank`` numbers the objects of an image, of which methods that ask a classifier may find several.
    """

    number: int
    rank: int = 0
    found: Localization | None = None
    parts: Parts | None = None
    pixels: np.ndarray | None = None


@dataclasses.dataclass
class LocalizePass:
    """Finds the object in a run's images, shard by shard.

    Attributes:
        models: of each set that has any, by its number; empty for methods that fit nothing.
        refiner: makes masks of pixels; ``None`` keeps whole cells.
        labels: of each set, by its number, the class to find, -1 for the most probable one; for methods that ask.
    """

    context: Context
    models: Mapping[int, Models]
    overlay_folders: Mapping[str, str]
    refiner: Refiner | None
    shown: Progress
    labels: np.ndarray

    def __post_init__(self) -> None:
        self.method, self.options = self.context.steps.method, self.context.steps.options

    def localize_shard(self, shard: Shard, path: Path) -> None:
        """Find the object in every readable image of a shard; write overlays, and the findings to ``path``."""
        cache, workers = self.context.cache, workers_of(self.options)
        batches = shard_features(self.context, shard, "locating", self.shown)
        results = self._each(in_flight(batches, self._launch))
        finished: Iterator[tuple[_Place, Finding | str, bool]] = map(self._finish, results)
        if self.refiner is not None or self.options.overlays:  # which takes longer than to start a thread
            finished = read_ahead(self._finish, results, workers=workers, ahead=2 * workers)
        found: dict[_Place, Finding | str] = {}
        undrawn: dict[_Place, Finding] = {}
        for place, finding, is_drawn in finished:
            found[place] = finding
            if isinstance(finding, Finding) and not is_drawn:
                undrawn[place] = finding
        for (number, _), finding in undrawn.items():  # the disk was full, and the cache was being read
            cache.make_room(functools.partial(self._draw, number, finding, self._read(number)))
        cache.make_room(lambda: self._write(path, shard, found))
        self.context.stream.forget(shard.images)

    def _launch(self, features: Features) -> tuple[Features, list[Models | None], Any]:
        owners = self.context.owners(features.indices)
        each = [self.models.get(which) for which in owners.tolist()]
        steps = self.context.steps
        if self.method.fit and not any(each):
            return features._replace(maps={}), each, None
        seen = features.maps, features.original_sizes, features.pixels, features.sizes
        result = steps.localize(each, *seen, self.labels[owners])
        self.shown.busy.sent(result)
        size = features.maps[steps.layers[0]].size if features.maps else features.sizes
        return features._replace(maps={}), each, (result, size)

    def _each(self, batches: Iterator[tuple[Features, list[Models | None], Any]]) -> Iterator[_Located]:
        for features, each, result in batches:
            (found, parts), sizes = ((None, None), ()) if result is None else jax.device_get(result)
            for position, number in enumerate(features.indices.tolist()):
                if number < 0:
                    continue
                if found is None or (self.method.fit and each[position] is None):
                    yield _Located(number)
                    continue
                divided = jax.tree.map(lambda values, place=position: values[place], parts)
                objects = self.context.steps.of_image(found, position, sizes[position])
                for rank, one in enumerate(objects):
                    if one.passes is not None:
                        self.shown.count_passes(int(one.passes))
                    yield _Located(number, rank, one, divided, features.original(position))

    def _finish(self, located: _Located) -> tuple[_Place, Finding | str, bool]:
        """Refine, describe and draw one object.

        Returns:
            its place, what was found or why the image is skipped, and whether it is drawn.
        """
        number, one, pixels = located.number, located.found, located.pixels
        place = number, located.rank
        if one is None:
            return place, TOO_FEW, True
        reason = not_finite(one.response)
        if reason:
            return place, reason, True
        found, noisy, share = self.context.steps.decide(one)
        if pixels is None and (self.options.overlays or (found and self.refiner is not None)):
            pixels = self._read(number)
        threshold = self.method.threshold(one.response)
        box: Box | None = None
        parts: tuple[Box | None, ...] = ()
        mask: RefinedMask | None = None
        if found:
            box = _edges(one.box)
            parts = () if located.parts is None else tuple(map(_edges, np.asarray(located.parts.box)))
            mask = self._mask(number, one, threshold, pixels)
            if mask is not None and mask.box is not None and mask.refined and self.options.box_from_mask:
                box = whole = mask.box
                parts = tuple(part and _inside(part, whole) for part in parts)
        images, stream = self.context.images, self.context.stream
        drawn = number in stream.thumbnails or self.options.overlays
        source, (rows, columns) = images[number], stream.sizes[number]
        further = self.context.steps.further(one)
        class_name = further["class_name"]
        finding = Finding(
            name=source.name,
            path=source.path if isinstance(source.path, Path) else str(source.path),
            category=self._set_name(number) if class_name is None or self._given(number) else class_name,
            width=columns,
            height=rows,
            box=box,
            score=float(one.score) if found else 0.0,
            found=found,
            noise_score=share,
            noisy=noisy,
            heat=encode_heat(np.asarray(one.response), threshold) if drawn else None,
            thumbnail=stream.thumbnails.get(number),
            mask=None if mask is None else Rle.of(mask.mask).counts,
            parts=parts,
            note=stream.notes.get(number),
            rank=located.rank,
            **further,
        )
        try:
            self._draw(number, finding, pixels)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return place, finding, False
        return place, finding, True

    def _given(self, number: int) -> bool:
        """Whether the class to find was given, instead of being the classifier's choice."""
        return bool(self.labels[self.context.images.set_of(number)] >= 0)

    def _set_name(self, number: int) -> str:
        images = self.context.images
        return images.sets[images.set_of(number)].name

    def _read(self, number: int) -> np.ndarray | None:
        with contextlib.suppress(ImageError):  # it was read a moment ago
            return read_image(self.context.images[number].path, **reading(self.options)).pixels
        return None

    def _draw(self, number: int, finding: Finding, pixels: np.ndarray | None) -> None:
        if self.options.overlays and pixels is not None:
            further = f"top-{finding.rank + 1}" if finding.rank else ""  # each object has an overlay of its own
            below = "/".join(filter(None, (self.overlay_folders[self._set_name(number)], further)))
            outputs.write_overlay(self.context.folder, finding, pixels, below=below)

    def _mask(self, number: int, one: Localization, threshold: float, pixels: np.ndarray | None) -> RefinedMask | None:
        """The object's pixels, refined if asked for."""
        cells = np.asarray(one.mask)
        if self.refiner is not None and pixels is not None:
            return self.refiner.refine(pixels, one.response, threshold, np.asarray(one.box), cells)
        wanted = self.options.masks or self.refiner is not None
        return whole_cells(cells, self.context.stream.sizes[number]) if wanted else None

    def _write(self, path: Path, shard: Shard, found: Mapping[_Place, Finding | str]) -> None:
        images = self.context.images
        refused = {number: one for (number, _), one in found.items() if isinstance(one, str)}
        reasons = self.context.stream.skipped | refused
        skipped = [
            Skipped(images[number].name, self._set_name(number), reasons[number])
            for number in shard.images
            if number in reasons
        ]
        findings = [one for _, one in sorted(found.items()) if isinstance(one, Finding)]
        parquet.write(path, findings, skipped)


def not_finite(response: ArrayLike) -> str:
    """Why an image is skipped whose response has cells that are not finite; empty if all are."""
    finite = np.isfinite(response)
    if finite.all():
        return ""
    return f"the features of {(~finite).sum()} of its {finite.size} cells are not finite (NaN or infinity)"


def _inside(part: Box, whole: Box) -> Box | None:
    """The part of a box that lies inside another."""
    x0, y0, x1, y1 = max(part[0], whole[0]), max(part[1], whole[1]), min(part[2], whole[2]), min(part[3], whole[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _edges(box: ArrayLike) -> Box | None:
    x0, y0, x1, y1 = np.asarray(box).tolist()
    return None if math.isnan(x0) else (x0, y0, x1, y1)
