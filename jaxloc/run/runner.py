"""A run over image sets: its plan, its passes over shards on every device and host, and its resuming after a stop."""

import contextlib
import dataclasses
import functools
import itertools
import statistics
import tempfile
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from jaxloc import __version__
from jaxloc.data import ImageSet
from jaxloc.errors import UsageError
from jaxloc.report import parquet
from jaxloc.report.records import Findings
from jaxloc.report.text import counted, some_of
from jaxloc.run import checkpoint, distributed, model_file, outputs
from jaxloc.run.alignment import SHARED, align, shared
from jaxloc.run.asking import announce
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.checkpoint import Checkpoint
from jaxloc.run.engine import compile_buckets, memory_errors
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.fit_pass import MINIMUM_SET, Fits, fit_window, load_fits
from jaxloc.run.inside_pass import fit_inside
from jaxloc.run.localize_pass import TOO_FEW, LocalizePass
from jaxloc.run.passes import Context, mine, over_shards
from jaxloc.run.plan import (
    Images,
    Window,
    buckets_from_json,
    buckets_to_json,
    default_shard_size,
    make_windows,
    plan_buckets,
)
from jaxloc.run.progress import Busy, Progress, progress
from jaxloc.run.refining import Refiner
from jaxloc.run.steps import Models, Steps
from jaxloc.run.stream import Stream
from jaxloc.run.writing import disk_errors, locked
from jaxloc.signs import SIGN_RULES

DOUBTFUL_CORRELATION = 0.3
"""Below this ``Model.correlation``, which side of DDT's first component is object is in doubt."""

_LOOKED_AT = 1024
"""Images of a set that are looked at to tell whether they share an object."""


class Run:
    """A run over image sets; entered, it locks its folder against other writers.

    ``pooled`` is the number of sets, the last ones, whose model is fitted on the images of all sets: of too few or
    unlike images.
    ``depends`` says by name what else the results depend on; ``notes`` are warnings to begin with.
    ``overwrite`` starts over if the folder holds another run, or a finished one. ``labels`` are the classes to find in
    each set, int32 ``[sets]``, for methods that ask a classifier; ``None`` means that of the options for all.
    """

    def __init__(
        self,
        sets: Sequence[ImageSet],
        folder: Path,
        steps: Steps,
        *,
        pooled: int = 0,
        depends: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        overwrite: bool = False,
        labels: np.ndarray | None = None,
    ) -> None:
        self._images = Images(sets)
        self._steps, self._options, self._method = steps, steps.options, steps.method
        self._folder, self._model = folder, folder / "model.safetensors"
        self._checkpoint = Checkpoint(folder)
        self._depends = identity(steps, len(self._images)) | dict(depends or {})
        self._pooled, self._overwrite, self._notes = pooled, overwrite, notes
        self._labels = np.full(len(sets), steps.label, np.int32) if labels is None else labels
        refine = self._options.refine != "none"
        self._refiner = Refiner(self._options.refine, connectivity=steps.connectivity) if refine else None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if distributed.is_first():
                stack.enter_context(locked(self._folder))
            stack.enter_context(disk_errors(self._folder))
            stack.enter_context(memory_errors())
            stack.enter_context(one_blas_thread())
            stream = self._open()
            place = self._folder if distributed.count() == 1 else tempfile.gettempdir()  # that of several is remote
            limit = 0 if self._method.asks else self._options.feature_cache  # there are no features to keep
            cache = stack.enter_context(FeatureCache(place, limit))
            kept = self._checkpoint
            self._context = Context(self._images, stream, self._steps, kept, cache, self._folder, self._pooled)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._held.__exit__(*exception)

    def _open(self) -> Stream:
        """Resume the run in the folder, or plan and begin a new one."""
        kept, options = self._checkpoint, self._options
        described = checkpoint.describe_images(self._images)
        distributed.agree("images or options", checkpoint.digest(self._depends, described))
        if distributed.is_first() and self._overwrite and not kept.resumes(self._depends, described):
            outputs.clear(self._folder)
            kept.clear()
        distributed.wait("the folder")
        manifest, sizes = kept.manifest(), None
        if manifest is None:
            outputs.check_unused(self._folder)
            buckets, sizes = plan_buckets(self._images, self._steps, options)
            if distributed.is_first():
                kept.begin(self._depends, described, buckets, overwrites=self._overwrite)
        else:
            checkpoint.check_same(manifest, self._depends, described, self._folder)
            buckets = buckets_from_json(manifest)
            if distributed.is_first():
                outputs.drop_halves(self._folder)
        self._shapes = f"{len(buckets.counts)}, {100 * round(buckets.padding, 4):.1f} % of their pixels padding"
        self._windows = make_windows(
            self._images, sets_together=self._sets_together(), shard_size=options.shard_size, pooled=self._pooled
        )
        self._begun_before = kept.begun(self._windows)
        distributed.agree("images or options", checkpoint.digest(buckets_to_json(buckets)))
        if distributed.is_first() and self._is_done():
            kept.drop_spent()
        if not self._is_found():
            compile_buckets(self._steps, buckets)
        return Stream(
            self._images, options, self._steps, buckets, thumbnails_wanted=options.report_limit, known_sizes=sizes
        )

    def _sets_together(self) -> int:
        """Number of sets whose moments fit into the memory given; all of them if nothing is fitted."""
        if self._method.fit is None:
            return max(1, len(self._images.sets))
        dimensions = self._steps.dimensions
        across = sum(d * below + d + below for d, below in itertools.pairwise(dimensions))
        return max(1, self._options.moments_memory // (8 * (across + sum(d * d + d for d in dimensions))))

    def _is_found(self, window: Window | None = None) -> bool:
        windows = self._windows if window is None else [window]
        return all(self._checkpoint.file("found", shard.number).exists() for one in windows for shard in one.shards)

    def colocalize(self, before: Fits | None = None) -> Findings:
        """Fit each window's sets, added to the moments of fits ``before``, then find the object in their images.

        Without a fit, this is ``localize``.
        """
        if self._method.fit is None:
            return self.localize()
        before = before or {}
        if self._finished():
            return dataclasses.replace(self._findings(), finished_before=True)
        if not self._is_done():
            busy = Busy()
            first, second = self._progress("fitting, then locating", busy), self._progress("locating", busy)
            with first as fitting, second as locating:
                for window in self._windows:
                    if self._is_found(window) and self._checkpoint.file("fitted", window.number).exists():
                        continue
                    fitting.resume()
                    models = fit_window(self._context, window, before, fitting)
                    if self._options.parts_within:
                        models = fit_inside(self._context, window, models)
                    locating.resume()
                    self._localize(window, models, locating)
                    self._context.cache.clear()
        distributed.wait("what was found")
        if self._is_done():
            stored = [model_file.load(distributed.see(self._model)).sets]
        else:
            files = [self._checkpoint.file("fitted", window.number) for window in reversed(self._windows)]
            stored = [load_fits(distributed.see(path)) for path in files]
        distributed.wait("the fits")  # or the first host drops them at the end before another has opened them
        fitted: Fits = ChainMap(*stored, before)  # type: ignore[arg-type]  # none is written to
        if not fitted and any(item.reason == TOO_FEW for item in self._findings().skipped):
            raise self._nothing(
                f"DDT needs at least {MINIMUM_SET} readable images in a set, and no set has them: add images, "
                "or use `jaxloc localize`"
            )
        return self._finish(fitted, model=True)

    def localize(self, fitted: Fits | None = None) -> Findings:
        """Find the object of each image: on its own, or with sets that are fitted already, by name."""
        fitted = fitted or {}
        models = {n: fitted[some.name].models for n, some in enumerate(self._images.sets) if some.name in fitted}
        if self._finished():
            return dataclasses.replace(self._findings(), finished_before=True)
        if self._method.asks and distributed.is_first():
            announce(self._steps, len(self._images))
        with self._progress("locating") as shown:
            for window in self._windows:
                self._localize(window, models, shown)
        distributed.wait("what was found")
        return self._finish(fitted)

    def _localize(self, window: Window, models: Mapping[int, Models], shown: Progress) -> None:
        localizing = LocalizePass(self._context, models, self._overlay_folders, self._refiner, shown, self._labels)
        over_shards(self._context, window, "found", localizing.localize_shard, shown)

    @functools.cached_property
    def _overlay_folders(self) -> Mapping[str, str]:
        return outputs.overlay_folders(self._images.sets) if self._options.overlays else {}

    def _progress(self, purpose: str, busy: Busy | None = None) -> contextlib.AbstractContextManager[Progress]:
        return progress(purpose, sum(len(shard.images) for window in self._windows for shard in mine(window)), busy)

    def _is_done(self) -> bool:
        """Whether an earlier run has found everything, and the model it fitted exists."""
        if not (self._checkpoint.manifest() or {}).get("finished") or not self._is_found():
            return False
        fits = self._method.fit is not None and "model" not in self._depends
        return not fits or self._model.exists()

    def _finished(self) -> bool:
        """Whether an earlier run has written everything."""
        return self._is_done() and all((self._folder / name).exists() for name in ("annotations.json", "report.html"))

    def _findings(self) -> Findings:
        """What the shards of all hosts hold, with the warnings of a finished run."""
        kept = self._checkpoint
        shards = (shard for window in self._windows for shard in window.shards)
        files = [distributed.see(kept.file("found", shard.number)) for shard in shards]
        names = [images.name for images in self._images.sets]
        return Findings(
            title=", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""),
            method=self._method.title,
            score_meaning=self._method.score_meaning,
            settings=settings(self._steps) | {"padded shapes": self._shapes, "jaxloc": __version__},
            images=parquet.Images(files),
            skipped=parquet.SkippedImages(files),
            warnings=self._warnings(),
            classes_each=self._steps.classes_each,
        )

    def _warnings(self) -> list[str]:
        """Those of a finished run."""
        return list((self._checkpoint.manifest() or {}).get("warnings", []))

    def _finish(self, fitted: Fits, *, model: bool = False) -> Findings:
        """Write the final results from the shards of all hosts."""
        found = self._findings()
        if not len(found.images):
            reasons = "; ".join(f"{item.name}: {item.reason}" for item in found.skipped[:3])
            number = len(found.skipped)
            raise self._nothing(f"no readable image among {number} ({reasons}{' …' if number > 3 else ''})")
        if distributed.is_first():
            names = [images.name for images in self._images.sets if images.name in fitted]
            cut = _cut_short(found) if self._options.truncated == "keep" else []
            doubts = _doubts(found, names, fitted, self._steps)
            found = dataclasses.replace(found, warnings=[*self._notes, *cut, *doubts])
            fits = self._context.steps.model_file(fitted) if model else None
            outputs.write(self._folder, found, model=fits, limit=self._options.report_limit)
            self._checkpoint.finish(found.warnings)
        distributed.wait("the results")
        return dataclasses.replace(found, warnings=self._warnings(), begun_before=self._begun_before)

    def _nothing(self, message: str) -> UsageError:
        """The error of a run without results; its files are removed."""
        distributed.wait("the end")
        if distributed.is_first():
            self._checkpoint.clear()
        return UsageError(message)


def settings(steps: Steps) -> dict[str, str]:
    """The settings that the results depend on, by name, for reports."""
    return {
        "method": steps.method.name,
        "weights": f"{steps.weights.backbone.name} ({steps.weights.source})",
        "weights checksum": steps.weights.checksum,
        "layer": " and ".join(steps.layers),
    } | steps.options.settings(fitted=steps.method.fit is not None)


def identity(steps: Steps, number: int) -> dict[str, str]:
    """The settings that the bytes of a run of ``number`` images depend on."""
    chosen = {
        "batch": steps.options.batch or f"at most {steps.batching.batch}",
        "engine": steps.loaded.engine,
        "shard_size": steps.options.shard_size or default_shard_size(number),
    }
    return settings(steps) | {"jaxloc": __version__} | steps.options.identity(**chosen)


def _cut_short(findings: Findings) -> list[str]:
    """Which images lack their last bytes."""
    names = [finding.name for finding in findings.light() if finding.note]
    lack = "lacks its" if len(names) == 1 else "lack their"
    return (
        [f"{counted(len(names), 'image')} {lack} last bytes, kept as far as they go: {some_of(names)}"] if names else []
    )


def _doubts(findings: Findings, names: Sequence[str], fitted: Fits, steps: Steps) -> list[str]:
    """Reasons to doubt that a set's first component is object, or which side of it."""
    rule = SIGN_RULES[steps.sign]
    looked = rule.evidence is not None or not any(steps.weights.backbone.layer(one).signed for one in steps.layers)
    layers = steps.layers
    cure = "look at the report, and compare with another --sign"
    figures = _figures(findings) if names else {}
    doubts = []
    for name in names:
        agreed = all(pair in fitted[name].moments for pair in model_file.pairs(layers))
        alone = layers[:1] if agreed else layers
        values = {layer: float(fitted[name].models[layer].correlation[0]) for layer in alone}
        weak = [f"{value:.2f} at {layer}" for layer, value in values.items() if abs(value) < DOUBTFUL_CORRELATION]
        share, aligned = figures.get(name, (0.0, 1.0))
        if not fitted[name].models[layers[0]].eigenvalues[0] > 0:
            doubts.append(f"{name}: its features do not vary, so no object stands out")
        elif weak and looked:
            doubts.append(
                f"{name}: which side of the first component is object is in doubt, {rule.doubt} ({', '.join(weak)}); "
                f"{cure}"
            )
        elif share > 0.5:
            doubts.append(
                f"{name}: {100 * share:.0f} % of all cells are positive, so what was found may be what surrounds the "
                f"object; {cure}"
            )
        elif aligned < SHARED:
            doubts.append(
                f"{name}: its images share little that DDT can see (alignment {aligned:.3f}, below {SHARED}), so "
                "boxes may be wrong; look at the report, and compare with `jaxloc localize` or `jaxloc discover`"
            )
    return doubts


def _figures(findings: Findings) -> dict[str, tuple[float, float]]:
    """Mean object share of each set, and what its first images share, see ``alignment.shared``."""
    figures = {}
    for name, own in itertools.groupby(findings.light(deviations=True), lambda finding: finding.category):
        first = list(itertools.islice(own, _LOOKED_AT))
        share = statistics.fmean(finding.noise_score or 0.0 for finding in itertools.chain(first, own))
        figures[name] = share, shared(align(first))
    return figures
