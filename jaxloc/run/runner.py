"""One run over image sets: planned, done shard by shard on every device and host, written, and gone on with."""

import contextlib
import dataclasses
import functools
import tempfile
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from jaxloc import __version__
from jaxloc.data import ImageSet
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options import LocalizeOptions
from jaxloc.report import parquet
from jaxloc.report.records import Findings
from jaxloc.run import checkpoint, distributed, model_file, outputs
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.checkpoint import Parts
from jaxloc.run.engine import compile_buckets, memory_errors
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.fit_pass import MINIMUM_SET, Fitter
from jaxloc.run.localize_pass import TOO_FEW, Locator
from jaxloc.run.model_file import FittedSet, ModelFile
from jaxloc.run.plan import Images, Window, buckets_to_json, default_shard_size, make_windows, plan_buckets
from jaxloc.run.progress import Busy, Progress, progress
from jaxloc.run.refining import Refiner
from jaxloc.run.steps import Models, Steps
from jaxloc.run.stream import Stream
from jaxloc.run.writing import disk_errors, locked

DOUBTFUL_CORRELATION = 0.3
"""Below this correlation with the aggregation map, which side of DDT's first component is object is in doubt."""


class Run:
    """A run over image sets; entered, it holds its folder against other writers.

    Args:
        sets: the images.
        folder: where results go; ``outputs.prepare`` has made it.
        engine: the compiled steps.
        options: the job's.
        depends: what else the result depends on, by name.
        overwrite: start over where the folder holds another run, or a finished one.
    """

    def __init__(
        self,
        sets: Sequence[ImageSet],
        folder: Path,
        engine: Steps,
        options: LocalizeOptions,
        *,
        depends: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        self._images = Images(sets)
        self._engine = engine
        self._options = options
        self._folder = folder
        self._parts = Parts(self._folder)
        self._depends = _how(engine, options, len(self._images)) | dict(depends or {})
        self._overwrite = overwrite
        refine = options.refine != "none"
        self._refiner = Refiner(options.refine, connectivity=options.connectivity) if refine else None
        self._held = contextlib.ExitStack()
        self._windows: list[Window] = []
        self._shapes = ""
        self._begun_before = 0
        self._stream: Stream
        self._cache: FeatureCache

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if distributed.is_first():
                stack.enter_context(locked(self._folder))
            stack.enter_context(disk_errors(self._folder))
            stack.enter_context(memory_errors())
            stack.enter_context(one_blas_thread())
            self._open()
            place = self._folder if distributed.count() == 1 else tempfile.gettempdir()  # that of several is remote
            self._cache = stack.enter_context(FeatureCache(place, self._options.feature_cache))
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._held.__exit__(*exception)

    def _open(self) -> None:
        """Go on with the run that is there, or plan and begin a new one."""
        described = checkpoint.describe_images(self._images)
        distributed.agree("images or options", checkpoint.digest(self._depends, described))
        if distributed.is_first() and self._overwrite and not self._parts.go_on(self._depends, described):
            outputs.clear(self._folder)
            self._parts.clear()
        distributed.wait("the folder")
        manifest = self._parts.manifest()
        if manifest is None:
            outputs.check_unused(self._folder)
            buckets = plan_buckets(self._images, self._engine, self._options)
            if distributed.is_first():
                self._parts.begin(self._depends, described, buckets, overwrites=self._overwrite)
        else:
            checkpoint.check_same(manifest, self._depends, described, self._folder)
            buckets = checkpoint.kept_buckets(manifest)
            if distributed.is_first():
                self._parts.clean()
        self._shapes = f"{len(buckets.counts)}, {100 * round(buckets.padding, 4):.1f} % of their pixels padding"
        self._stream = Stream(
            self._images,
            self._options,
            self._engine,
            buckets,
            thumbnails_wanted=self._options.report_limit,
        )
        self._windows = make_windows(
            self._images, sets_together=self._sets_together(), shard_size=self._options.shard_size
        )
        self._begun_before = self._parts.begun(self._windows)
        distributed.agree("images or options", checkpoint.digest(buckets_to_json(buckets)))
        if distributed.is_first() and self._is_done():
            self._parts.drop_spent()
        if not self._is_found():
            compile_buckets(self._engine, buckets)

    def _sets_together(self) -> int:
        """Sets whose moments fit into the memory given; all of them where nothing is fitted."""
        if self._options.method == "scda":
            return max(1, len(self._images.sets))
        dimensions = self._engine.dimensions
        return max(1, self._options.moments_memory // sum(8 * (d * d + d) for d in dimensions))

    def _is_found(self, window: Window | None = None) -> bool:
        windows = self._windows if window is None else [window]
        return all(self._parts.found(shard.number).exists() for one in windows for shard in one.shards)

    def colocalize(self, before: Mapping[str, FittedSet]) -> Findings:
        """Fit each window's sets, and find the object in their images.

        Args:
            before: earlier fits by set, whose moments are added to.
        """
        fitter = Fitter(
            self._images,
            self._stream,
            self._engine,
            self._options.sign,
            self._options.components,
            self._parts,
            self._cache,
            before,
            self._as_file,
        )
        if self._finished():
            return dataclasses.replace(self._findings(self._warnings()), finished_before=True)
        if not self._is_done():
            busy = Busy()
            first, second = self._progress("fitting, then locating", busy), self._progress("locating", busy)
            with first as fitting, second as locating:
                for window in self._windows:
                    if self._is_found(window) and self._parts.fitted(window.number).exists():
                        continue
                    fitting.go_on()
                    models = fitter.fit_window(window, fitting)
                    locating.go_on()
                    self._locate(window, models, locating)
                    self._cache.clear()
        distributed.wait("what was found")
        if self._is_done():
            stored = [model_file.load(distributed.see(self._model)).sets]
        else:
            files = [self._parts.fitted(window.number) for window in reversed(self._windows)]
            stored = [checkpoint.load_fits(distributed.see(path)).sets for path in files]
        distributed.wait("the fits")  # or the first host drops them at the end before another has opened them
        fitted: Mapping[str, FittedSet] = ChainMap(*stored, before)  # type: ignore[arg-type]  # none is written to
        if not fitted and any(item.reason == TOO_FEW for item in self._findings([]).skipped):
            raise self._nothing(
                f"DDT needs at least {MINIMUM_SET} readable images in a set, and no set has them: add images, "
                "or use `jaxloc localize`"
            )
        names = [images.name for images in self._images.sets if images.name in fitted]
        return self._finish(lambda: _doubts(self._findings([]), names, fitted), self._as_file(fitted))

    def localize(self) -> Findings:
        """Find the object of each image on its own."""
        return self._one_pass(None, {})

    def apply(self, fitted: Mapping[str, FittedSet]) -> Findings:
        """Find the object in images of sets that are fitted already, by name."""
        models = {number: fitted[images.name].models for number, images in enumerate(self._images.sets)}
        return self._one_pass(models, fitted)

    def _one_pass(self, models: Mapping[int, Models] | None, fitted: Mapping[str, FittedSet]) -> Findings:
        if self._finished():
            return dataclasses.replace(self._findings(self._warnings()), finished_before=True)
        with self._progress("locating") as shown:
            for window in self._windows:
                self._locate(window, models, shown)
        distributed.wait("what was found")
        names = [images.name for images in self._images.sets if images.name in fitted]
        return self._finish(lambda: _doubts(self._findings([]), names, fitted))

    def _locate(self, window: Window, models: Mapping[int, Models] | None, shown: Progress) -> None:
        locator = Locator(
            self._images,
            self._stream,
            self._engine,
            self._options,
            self._parts,
            self._cache,
            self._folder,
            self._overlay_folders,
            self._refiner,
        )
        for shard in distributed.mine(window.shards):
            locator.locate_shard(shard, models, shown)

    @functools.cached_property
    def _overlay_folders(self) -> Mapping[str, str]:
        return outputs.overlay_folders(self._images.sets) if self._options.overlays else {}

    def _progress(self, purpose: str, busy: Busy | None = None) -> contextlib.AbstractContextManager[Progress]:
        mine = sum(len(shard.images) for window in self._windows for shard in distributed.mine(window.shards))
        return progress(purpose, mine, busy=busy)

    @property
    def _fits(self) -> bool:
        return self._options.method != "scda" and "model" not in self._depends

    @property
    def _model(self) -> Path:
        return self._folder / "model.safetensors"

    def _is_done(self) -> bool:
        """Whether an earlier run has found everything, and what it fitted is there."""
        finished = bool((self._parts.manifest() or {}).get("finished"))
        return finished and self._is_found() and (not self._fits or self._model.exists())

    def _finished(self) -> bool:
        """Whether an earlier run has written everything."""
        return self._is_done() and all((self._folder / name).exists() for name in ("annotations.json", "report.html"))

    def _warnings(self) -> list[str]:
        return list((self._parts.manifest() or {}).get("warnings", []))

    def _findings(self, warnings: list[str]) -> Findings:
        files = [
            distributed.see(self._parts.found(shard.number)) for window in self._windows for shard in window.shards
        ]
        names = [images.name for images in self._images.sets]
        return Findings(
            title=", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""),
            method=self._options.method,
            settings=_settings(self._engine, self._options) | {"padded shapes": self._shapes, "jaxloc": __version__},
            images=parquet.Images(files),
            skipped=parquet.SkippedImages(files),
            warnings=warnings,
        )

    def _finish(self, doubts: Callable[[], list[str]], model: ModelFile | None = None) -> Findings:
        """Write what there is one of from the shards of all hosts."""
        found = self._findings([])
        if not len(found.images):
            reasons = "; ".join(f"{item.name}: {item.reason}" for item in found.skipped[:3])
            number = len(found.skipped)
            raise self._nothing(f"no readable image among {number} ({reasons}{' …' if number > 3 else ''})")
        if distributed.is_first():
            warnings = doubts()
            outputs.write(self._folder, self._findings(warnings), model=model, limit=self._options.report_limit)
            self._parts.finish(warnings)
        distributed.wait("the results")
        return dataclasses.replace(self._findings(self._warnings()), begun_before=self._begun_before)

    def _nothing(self, message: str) -> UsageError:
        """The error of a run that found nothing, of which nothing is kept."""
        distributed.wait("the end")
        if distributed.is_first():
            self._parts.clear()
        return UsageError(message)

    def _as_file(self, fitted: Mapping[str, FittedSet]) -> ModelFile:
        return ModelFile(
            sets=fitted,
            method=self._options.method,
            layers=self._engine.layers,
            sign=self._options.sign,
            max_side=self._options.max_side,
            architecture=self._engine.weights.network.architecture,
            weights_checksum=self._engine.weights.checksum,
        )


def _doubts(findings: Findings, names: Sequence[str], fitted: Mapping[str, FittedSet]) -> list[str]:
    """What should make the user doubt which side of a set's first component is object."""
    cure = "look at the report, and compare with another --sign"
    shares: dict[str, tuple[float, int]] = {}
    for finding in findings.light() if names else ():
        total, number = shares.get(finding.category, (0.0, 0))
        shares[finding.category] = total + (finding.noise_score or 0), number + 1
    doubts = []
    for name in names:
        weak = {layer: float(model.correlation[0]) for layer, model in fitted[name].models.items()}
        weak = {layer: value for layer, value in weak.items() if abs(value) < DOUBTFUL_CORRELATION}
        total, number = shares.get(name, (0.0, 1))
        if weak:
            values = ", ".join(f"{value:.2f} at {layer}" for layer, value in weak.items())
            doubts.append(
                f"{name}: which side of the first component is object is in doubt, it hardly correlates with the "
                f"aggregation map ({values}); {cure}"
            )
        elif total / number > 0.5:
            doubts.append(
                f"{name}: {100 * total / number:.0f} % of all cells are positive, so what was found may be what "
                f"surrounds the object; {cure}"
            )
    return doubts


def _settings(engine: Steps, options: LocalizeOptions) -> dict[str, str]:
    """What the result depends on, for people."""
    return {
        "method": options.method,
        "weights": f"{engine.weights.network.architecture} ({engine.weights.source})",
        "weights checksum": engine.weights.checksum,
        "layer": " and ".join(engine.layers),
    } | options.settings(fitted=METHODS[options.method].fit is not None)


def _how(engine: Steps, options: LocalizeOptions, number: int) -> dict[str, str]:
    """What the bytes of a run depend on beside its images."""
    chosen = {
        "batch": options.batch or f"at most {engine.batching.batch}",
        "shard_size": options.shard_size or default_shard_size(number),
    }
    return _settings(engine, options) | {"jaxloc": __version__} | options.identity(**chosen)
