"""The pass that finds the object in each image of a run."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloc import _interrupts
from jaxloc.data import Source, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.annotations import Rle
from jaxloc.data.annotations.records import Box
from jaxloc.errors import ImageError, PlaceError
from jaxloc.localization import Localization
from jaxloc.parts import Parts as ObjectParts
from jaxloc.report import parquet
from jaxloc.report.overlays import encode_heat
from jaxloc.report.records import Finding, Skipped
from jaxloc.run import outputs
from jaxloc.run.checkpoint import Parts, partial
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.options import Options, workers_of
from jaxloc.run.passes import STOPS, in_flight, owners, shard_features
from jaxloc.run.plan import Images, Shard
from jaxloc.run.progress import Progress
from jaxloc.run.refining import RefinedMask, Refiner
from jaxloc.run.steps import Models, Steps
from jaxloc.run.stream import Stream

TOO_FEW = f"its set has fewer than {MINIMUM_SET} readable images, and DDT needs them"
"""Why the images of a small set are skipped."""


@dataclasses.dataclass
class Locator:
    """Finds the object in a run's images, shard by shard.

    Attributes:
        images: of the run.
        stream: reads them.
        engine: the compiled steps.
        options: the job's.
        parts: where what is done is kept.
        cache: features kept by the first pass.
        folder: of the results.
        overlay_folders: below ``overlays/``, of each set by name; see ``outputs.overlay_folders``.
        refiner: makes masks of pixels, where that was asked for.
    """

    images: Images
    stream: Stream
    engine: Steps
    options: Options
    parts: Parts
    cache: FeatureCache
    folder: Path
    overlay_folders: Mapping[str, str]
    refiner: Refiner | None = None

    def locate_shard(self, shard: Shard, models: Mapping[int, Models] | None, shown: Progress) -> None:
        """Find the object in every readable image of a shard, and write the findings, unless that is done.

        Args:
            shard: the images.
            models: DDT by layer for each set that has any; ``None`` means SCDA.
            shown: the progress bar.
        """
        path = self.parts.found(shard.number)
        if path.exists():
            shown.skip(len(shard.images))
            return
        found: dict[int, Finding | None] = dict(self._kept(partial(path), shard))

        def launch(features: tuple[np.ndarray, np.ndarray, Any]) -> tuple[Any, ...]:
            indices, original_sizes, maps = features
            if maps is None:
                return indices, (), None, None
            each = [None if models is None else models.get(which) for which in owners(self.images, indices).tolist()]
            if models is not None and not any(each):
                return indices, each, None, None
            result = self.engine.localize(each, maps, original_sizes)
            shown.busy.sent(result)
            return indices, each, result, maps[self.engine.layers[0]].size

        batches = shard_features(self.stream, self.engine, shard, self.cache, "locating", shown, known=frozenset(found))
        try:
            results = _single(in_flight(batches, launch), fitted=models is not None)
            found.update(self._each(results))  # one by one, so that a stop keeps those before it
            self.cache.make_room(lambda: self._draw(found))
        except (*STOPS, PlaceError):
            self.cache.make_room(lambda: self._write(partial(path), shard, found))
            raise
        self.cache.make_room(lambda: self._write(path, shard, found))
        partial(path).unlink(missing_ok=True)
        self.stream.forget(shard.images)

    def _each(
        self, results: Iterator[tuple[int, Localization | None, ObjectParts | None]]
    ) -> Iterator[tuple[int, Finding | None]]:
        """What was found in each image; those that are refined are read again, in threads."""

        def finish(result: tuple[int, Localization | None, ObjectParts | None]) -> tuple[int, Finding | None]:
            index, one, divided = result
            return index, None if one is None else self._finding(index, one, divided)

        if self.refiner is None:
            return map(finish, results)
        workers = workers_of(self.options)
        return read_ahead(finish, results, workers=workers, ahead=2 * workers)

    def _kept(self, path: Path, shard: Shard) -> Mapping[int, Finding]:
        """What was found of a shard before the run was stopped in the middle of it."""
        if not path.exists():
            return {}
        numbers = {
            (self.images.sets[self.images.set_of(number)].name, self.images[number].name): number
            for number in shard.images
        }
        return {numbers[finding.category, finding.name]: finding for finding in parquet.read(path)[0]}

    def _write(self, path: Path, shard: Shard, found: Mapping[int, Finding | None]) -> None:
        reasons = {number: self.stream.skipped[number] for number in shard.images if number in self.stream.skipped}
        reasons |= {number: TOO_FEW for number, finding in found.items() if finding is None}
        skipped = [
            Skipped(self.images[number].name, self.images.sets[self.images.set_of(number)].name, reason)
            for number, reason in sorted(reasons.items())
        ]
        parquet.write(path, [finding for _, finding in sorted(found.items()) if finding is not None], skipped)

    def _draw(self, found: Mapping[int, Finding | None]) -> None:
        if self.options.overlays:
            findings = [(number, finding) for number, finding in sorted(found.items()) if finding is not None]
            workers = workers_of(self.options)

            def draw(one: tuple[int, Finding]) -> None:
                number, finding = one
                below = self.overlay_folders[finding.category]
                outputs.write_overlay(self.folder, finding, self.images[number], below=below)

            with contextlib.closing(read_ahead(draw, findings, workers=workers, ahead=2 * workers)) as drawn:
                for _ in _interrupts.checked(drawn):
                    pass

    def _finding(self, index: int, one: Localization, divided: ObjectParts | None) -> Finding:
        source = self.images[index]
        rows, columns = self.stream.sizes[index]
        fitted = self.options.method != "scda"
        share = float(one.positive_share)
        noisy = fitted and bool(np.float32(share) <= np.float32(self.options.noise_threshold))
        found = bool(one.found) and not noisy
        box, mask = (_edges(np.asarray(one.box)), self._mask(source, one, rows, columns)) if found else (None, None)
        parts = () if divided is None or not found else tuple(map(_edges, np.asarray(divided.box)))
        if mask is not None and mask.box is not None and mask.refined and self.options.box_from_mask:
            box = mask.box
            parts = tuple(part and _inside(part, box) for part in parts)
        heat = None
        if index in self.stream.thumbnails or self.options.overlays:
            heat = encode_heat(np.asarray(one.response), 0.0 if fitted else float(one.response.mean()))
        return Finding(
            name=source.name,
            path=source.path if isinstance(source.path, Path) else str(source.path),
            category=self.images.sets[self.images.set_of(index)].name,
            width=columns,
            height=rows,
            box=box,
            score=float(one.score) if found else 0.0,
            found=found,
            noise_score=share if fitted else None,
            noisy=noisy,
            heat=heat,
            thumbnail=self.stream.thumbnails.get(index),
            mask=None if mask is None else Rle.of(mask.mask).counts,
            parts=parts,
        )

    def _mask(self, source: Source, one: Localization, rows: int, columns: int) -> RefinedMask | None:
        """The object's pixels, refined where that was asked for."""
        cells, response = np.asarray(one.mask), np.asarray(one.response)
        if self.refiner is not None:
            with contextlib.suppress(ImageError):  # it was read a moment ago
                threshold = 0.0 if self.options.method != "scda" else float(response.mean())
                pixels = read_image(source.path).pixels
                return self.refiner.refine(pixels, response, threshold, np.asarray(one.box), cells=cells)
        if not self.options.masks and self.refiner is None:
            return None
        y, x = ((2 * np.arange(n) + 1) * k // (2 * n) for n, k in zip((rows, columns), cells.shape, strict=True))
        return RefinedMask(cells[y[:, None], x], None, refined=False)  # as grids.upsample_nearest on the device


def _single(
    batches: Iterator[tuple[Any, ...]], *, fitted: bool
) -> Iterator[tuple[int, Localization | None, ObjectParts | None]]:
    """Each image's number, object and parts, without padding; no object where its set has no model."""
    for indices, each, result, sizes in batches:
        result, sizes = jax.device_get((result, sizes))
        for position, index in enumerate(indices.tolist() if each else ()):
            if index < 0:
                continue
            if fitted and each[position] is None:
                yield index, None, None
                continue
            rows, columns = sizes[position]
            one, divided = jax.tree.map(lambda values, place=position: values[place], result)
            valid = {"response": one.response[:rows, :columns], "mask": one.mask[:rows, :columns]}
            yield index, one._replace(**valid), divided


def _inside(part: Box, whole: Box) -> Box | None:
    """A part's box as far as it lies inside the object's."""
    x0, y0 = max(part[0], whole[0]), max(part[1], whole[1])
    x1, y1 = min(part[2], whole[2]), min(part[3], whole[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _edges(box: np.ndarray) -> Box | None:
    x0, y0, x1, y1 = map(float, box)
    return None if math.isnan(x0) else (x0, y0, x1, y1)
