"""The jobs behind the command: fit and apply DDT to image sets, apply a fitted model, localise image by image."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxloc import __version__
from jaxloc.data import find_sets
from jaxloc.errors import UsageError
from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.run import model_file, outputs
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.fit import MINIMUM_SET, fit_set
from jaxloc.run.localizer import Localizer
from jaxloc.run.locate import locate_set
from jaxloc.run.model_file import FittedSet, ModelFile
from jaxloc.run.options import Options
from jaxloc.run.stream import SetStream, open_streams

DOUBTFUL_CORRELATION = 0.3
"""Below this correlation with the aggregation map, which side of DDT's first component is object is in doubt."""

Paths = Sequence[str | os.PathLike[str]]


def colocalize(
    paths: Paths,
    out: str | os.PathLike[str],
    options: Options | None = None,
    *,
    per_folder: bool = False,
    name: str | None = None,
    update: str | os.PathLike[str] | None = None,
) -> Findings:
    """Find what each image set shares, in two passes over its pictures, and write boxes, model and report.

    The first pass sums the moments of the descriptors, the second finds the object in each picture. Memory does not
    grow with the number of pictures.

    Args:
        paths: folders, pictures, or text files of paths.
        out: folder for ``annotations.json``, ``model.safetensors``, ``report.html`` and ``overlays/``.
        options: what to do; ``Options()`` by default. With ``method="scda"`` this is ``localize``.
        per_folder: make each sub-folder its own set.
        name: the category of a single set; by default the folder's name, or that of the only set of ``update``.
        update: a model file; its sets of the same names are fitted on the pictures as well as on those before.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options = options or Options()
    if options.method == "scda":
        if update is not None:
            raise UsageError("scda fits nothing, so there is no model to update")
        return localize(paths, out, options, per_folder=per_folder, name=name)
    earlier = None if update is None else model_file.load(update)
    if earlier is not None and name is None and not per_folder and len(earlier.sets) == 1:
        name = next(iter(earlier.sets))
    sets = find_sets(paths, per_folder=per_folder, name=name, exclude=outputs.places(out))
    folder = outputs.prepare(out)
    engine = Localizer(options)
    before = {} if earlier is None else _sets_to_update(earlier, str(update), engine, options)
    fitted: dict[str, FittedSet] = {}
    results: list[_SetResult] = []
    for stream in open_streams(sets, engine, options):
        with FeatureCache(folder, options.feature_cache) as cache:
            fit = fit_set(stream, engine, options.sign, cache, before.get(stream.images.name))
            if fit is None:
                results.append(_SetResult(stream, []))
                continue
            fitted[stream.images.name] = fit
            results.append(_SetResult(stream, locate_set(stream, engine, options, fit.models, cache)))
    if not fitted and any(result.stream.sizes for result in results):
        raise UsageError(
            f"DDT needs at least {MINIMUM_SET} readable pictures in a set, and no set has them: add pictures, "
            "or use `jaxloc localize`"
        )
    model = ModelFile(
        sets=before | fitted,
        method=options.method,
        layers=engine.layers,
        sign=options.sign,
        max_side=options.max_side,
        architecture=engine.weights.network.architecture,
        weights_checksum=engine.weights.checksum,
    )
    return _finish(folder, engine, options, results, fitted, model)


def localize(
    paths: Paths,
    out: str | os.PathLike[str],
    options: Options | None = None,
    *,
    per_folder: bool = False,
    name: str | None = None,
) -> Findings:
    """Find the object of each picture on its own with SCDA, in one pass, and write boxes and report.

    Args:
        paths: folders, pictures, or text files of paths.
        out: folder for ``annotations.json``, ``report.html`` and ``overlays/``.
        options: what to do; the method is SCDA whatever they say.
        per_folder: name each picture's category after its sub-folder.
        name: the category of all; by default the folder's name.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    options = dataclasses.replace(options or Options(), method="scda")
    sets = find_sets(paths, per_folder=per_folder, name=name, exclude=outputs.places(out))
    folder = outputs.prepare(out)
    engine = Localizer(options)
    results = [_SetResult(s, locate_set(s, engine, options)) for s in open_streams(sets, engine, options)]
    return _finish(folder, engine, options, results)


def apply(
    model: str | os.PathLike[str],
    paths: Paths,
    out: str | os.PathLike[str],
    options: Options | None = None,
    *,
    category: str | None = None,
    per_folder: bool = False,
) -> Findings:
    """Find the object a fitted DDT knows in pictures it never saw, in one pass, and write boxes and report.

    Args:
        model: a ``model.safetensors`` that ``colocalize`` wrote.
        paths: folders, pictures, or text files of paths.
        out: folder for ``annotations.json``, ``report.html`` and ``overlays/``.
        options: weights, threshold and the like; method, layer, sign and size limit are the model's.
        category: which of the model's sets to look for; may be left out if it has only one.
        per_folder: look in each sub-folder for the set of its name.

    Raises:
        JaxlocError: nothing could be done; the message says why and names the cure.
    """
    fitted = model_file.load(model)
    options = dataclasses.replace(
        options or Options(),
        method="ddt+" if fitted.method == "ddt+" else "ddt",
        layer=fitted.layers[0],
        sign=fitted.sign,
        max_side=fitted.max_side,
    )
    known = ", ".join(fitted.sets)
    if category is None and not per_folder:
        if len(fitted.sets) > 1:
            raise UsageError(f"{model} knows several sets ({known}): choose one with --category, or use --per-folder")
        category = next(iter(fitted.sets))
    sets = find_sets(paths, per_folder=per_folder, name=category, exclude=outputs.places(out))
    unknown = [images.name for images in sets if images.name not in fitted.sets]
    if unknown:
        raise UsageError(f"{model} was not fitted on {', '.join(unknown)}; it knows {known}")
    folder = outputs.prepare(out)
    engine = Localizer(options)
    fitted.check_weights(engine.weights, model)
    results = [
        _SetResult(stream, locate_set(stream, engine, options, fitted.sets[stream.images.name].models))
        for stream in open_streams(sets, engine, options)
    ]
    return _finish(folder, engine, options, results, {images.name: fitted.sets[images.name] for images in sets})


@dataclasses.dataclass(frozen=True)
class _SetResult:
    stream: SetStream
    findings: list[Finding]

    def skipped(self) -> list[Skipped]:
        reasons = dict(self.stream.skipped)
        if not self.findings:
            too_few = f"its set has fewer than {MINIMUM_SET} readable pictures, and DDT needs them"
            reasons |= dict.fromkeys(self.stream.sizes, too_few)
        sources, name = self.stream.images.sources, self.stream.images.name
        return [Skipped(sources[index].name, name, reason) for index, reason in sorted(reasons.items())]


def _sets_to_update(model: ModelFile, path: str, engine: Localizer, options: Options) -> dict[str, FittedSet]:
    model.check_weights(engine.weights, path)
    if model.layers != engine.layers or model.max_side != options.max_side:
        raise UsageError(
            f"{path}: fitted on {' and '.join(model.layers)} with --max-side {model.max_side}; "
            f"asked for {' and '.join(engine.layers)} with --max-side {options.max_side}: use the same"
        )
    return dict(model.sets)


def _finish(
    folder: Path,
    engine: Localizer,
    options: Options,
    results: Sequence[_SetResult],
    fitted: Mapping[str, FittedSet] | None = None,
    model: ModelFile | None = None,
) -> Findings:
    pictures = [finding for result in results for finding in result.findings]
    skipped = [item for result in results for item in result.skipped()]
    if not pictures:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in skipped[:3])
        raise UsageError(f"no readable picture among {len(skipped)} ({reasons}{' …' if len(skipped) > 3 else ''})")
    names = [result.stream.images.name for result in results]
    findings = Findings(
        title=", ".join(names[:3]) + (f" and {len(names) - 3} more sets" if len(names) > 3 else ""),
        method=options.method,
        settings=_settings(engine, options),
        pictures=pictures,
        skipped=skipped,
        warnings=_doubts(results, fitted or {}),
    )
    outputs.write(folder, findings, model=model, overlays=options.overlays, limit=options.report_limit)
    return findings


def _doubts(results: Sequence[_SetResult], fitted: Mapping[str, FittedSet]) -> list[str]:
    """What should make the user doubt which side of a set's first component is object."""
    cure = "look at the report, and compare with another --sign"
    doubts = []
    for name, fit in fitted.items():
        weak = {layer: float(model.correlation[0]) for layer, model in fit.models.items()}
        weak = {layer: value for layer, value in weak.items() if abs(value) < DOUBTFUL_CORRELATION}
        shares = [finding.noise_score or 0 for r in results if r.stream.images.name == name for finding in r.findings]
        if weak:
            values = ", ".join(f"{value:.2f} at {layer}" for layer, value in weak.items())
            doubts.append(
                f"{name}: which side of the first component is object is in doubt, it hardly correlates with the "
                f"aggregation map ({values}); {cure}"
            )
        elif shares and np.mean(shares) > 0.5:
            doubts.append(
                f"{name}: {100 * np.mean(shares):.0f} % of all cells are positive, so what was found may be what "
                f"surrounds the object; {cure}"
            )
    return doubts


def _settings(engine: Localizer, options: Options) -> dict[str, str]:
    settings = {
        "method": options.method,
        "weights": f"{engine.weights.network.architecture} ({engine.weights.source})",
        "weights checksum": engine.weights.checksum,
        "layer": " and ".join(engine.layers),
        "shorter side at most": f"{options.max_side} pixels" if options.max_side else "unlimited",
        "connectivity": str(options.connectivity),
        "computed in": options.dtype,
    }
    if options.method != "scda":
        settings |= {"sign rule": options.sign, "noise threshold": f"{options.noise_threshold:g}"}
    return settings | {"jaxloc": __version__}
