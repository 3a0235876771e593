"""The ``jaxloc`` command: parse, call ``jaxloc.run``, print."""

import dataclasses
import functools
import json
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from jaxloc import __version__, _interrupts
from jaxloc._cli_options import (
    Backend,
    BatchSize,
    CacheSize,
    Category,
    ComponentBackend,
    ComputeDtype,
    Connectivity,
    Download,
    Dtype,
    Layer,
    MaxSide,
    Method,
    NoiseThreshold,
    Out,
    Overlays,
    Paths,
    PerFolder,
    ReportLimit,
    Sign,
    SignRule,
    Strict,
    WeightsName,
    Workers,
)
from jaxloc.errors import JaxlocError, UsageError
from jaxloc.report.text import displayable

if TYPE_CHECKING:
    from jaxloc.run import Options

app = typer.Typer(
    name="jaxloc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the object in pictures without boxes, with nothing but a pre-trained network.\n\n"
    "Start with `jaxloc demo`, then point `jaxloc colocalize` at a folder of photographs that share an object.",
)
weights_app = typer.Typer(no_args_is_help=True, help="List, show and convert network weights.")
app.add_typer(weights_app, name="weights")

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Print an error the user can mend as one line and exit with 2 (130 for Ctrl-C) instead of a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _interrupts.remembered():
                command(*args, **kwargs)
        except JaxlocError as error:
            _complain(str(error), 2)
        except OSError as error:
            _complain(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
        except KeyboardInterrupt:
            _complain("interrupted; nothing half-written is left", 130)

    return wrapped


def _say(text: str, *, err: bool = False) -> None:
    """Print; names whose bytes are no text in any encoding show a replacement character."""
    typer.echo(displayable(text), err=err)


def _complain(message: str, code: int) -> None:
    _say(f"jaxloc: {message}", err=True)
    raise typer.Exit(code)


@app.command()
@one_line_errors
def colocalize(
    paths: Paths,
    out: Out,
    method: Annotated[Method, typer.Option("--method", "-m", help="ddt, ddt+ (two layers) or scda.")] = Method.ddt,
    weights: WeightsName = "vgg16",
    layer: Layer = "relu5_3",
    per_folder: PerFolder = False,
    category: Category = None,
    noise_threshold: NoiseThreshold = 0.0,
    sign: SignRule = Sign.aggregation,
    max_side: MaxSide = 800,
    batch: BatchSize = None,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.host,
    dtype: ComputeDtype = Dtype.float32,
    feature_cache: CacheSize = 4.0,
    update: Annotated[Path | None, typer.Option("--update", help="Add the pictures to this fitted model.")] = None,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    overlays: Overlays = False,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the object that the pictures share: a box in each, and which pictures lack it.

    Writes annotations.json (COCO), report.html and model.safetensors (for `jaxloc apply`) to the output folder.

    Examples:
    - `jaxloc colocalize photos --out result`

    - `jaxloc colocalize classes --per-folder --method ddt+ --out result` (each sub-folder is a set)
    """
    from jaxloc import run

    options = _options(
        method=method.value,
        weights=weights,
        layer=layer,
        sign=sign.value,
        noise_threshold=noise_threshold,
        max_side=max_side,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        feature_cache=_bytes(feature_cache),
        workers=workers,
        report_limit=report_limit,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    findings = run.colocalize(paths, out, options, per_folder=per_folder, name=category, update=update)
    _finish(findings, out, start, strict)


@app.command()
@one_line_errors
def localize(
    paths: Paths,
    out: Out,
    weights: WeightsName = "vgg16",
    layer: Layer = "relu5_3",
    per_folder: PerFolder = False,
    category: Category = None,
    max_side: MaxSide = 800,
    batch: BatchSize = None,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.host,
    dtype: ComputeDtype = Dtype.float32,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    overlays: Overlays = False,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the main object of each picture on its own, with SCDA.

    Writes annotations.json (COCO) and report.html to the output folder.

    Example: `jaxloc localize photos --out result --overlays`
    """
    from jaxloc import run

    options = _options(
        method="scda",
        weights=weights,
        layer=layer,
        max_side=max_side,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        workers=workers,
        report_limit=report_limit,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    findings = run.localize(paths, out, options, per_folder=per_folder, name=category)
    _finish(findings, out, start, strict)


@app.command()
@one_line_errors
def apply(
    model: Annotated[Path, typer.Argument(help="model.safetensors that `jaxloc colocalize` wrote.")],
    paths: Paths,
    out: Out,
    weights: WeightsName = "vgg16",
    per_folder: PerFolder = False,
    category: Annotated[str | None, typer.Option("--category", help="Which of the model's sets to look for.")] = None,
    noise_threshold: NoiseThreshold = 0.0,
    batch: BatchSize = None,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.host,
    dtype: ComputeDtype = Dtype.float32,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    overlays: Overlays = False,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the object of a fitted model in pictures it never saw.

    Example: `jaxloc apply result/model.safetensors new-photos --out result2`
    """
    from jaxloc import run

    options = _options(
        weights=weights,
        noise_threshold=noise_threshold,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        workers=workers,
        report_limit=report_limit,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    findings = run.apply(model, paths, out, options, category=category, per_folder=per_folder)
    _finish(findings, out, start, strict)


@app.command()
@one_line_errors
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="COCO file of predictions: annotations.json.")],
    ground_truth: Annotated[Path, typer.Argument(help="COCO file with the true boxes.")],
    iou: Annotated[float, typer.Option("--iou", help="Intersection over union that must be exceeded.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare boxes with ground truth: CorLoc for each class and their mean.

    Example: `jaxloc evaluate result/annotations.json truth.json`
    """
    from jaxloc.run.evaluate import evaluate
    from jaxloc.run.summary import evaluation_table

    result = evaluate(predictions, ground_truth, threshold=iou)
    if as_json:
        classes = [dataclasses.asdict(score) | {"corloc": score.corloc} for score in result.classes]
        values = {"mean_corloc": result.mean_corloc, "iou": iou, "classes": classes, "unknown": result.unknown}
        _say(json.dumps(_without_nan(values), indent=1))
    else:
        _say(evaluation_table(result))


@app.command()
@one_line_errors
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures and results.")] = Path("jaxloc-demo"),
    method: Annotated[Method, typer.Option("--method", "-m", help="ddt, ddt+ or scda.")] = Method.ddt,
    seed: Annotated[int, typer.Option("--seed", help="Decides where the object is placed.")] = 0,
) -> None:
    """See it work without any files: a motorcycle hidden in photographs is found, and the result scored.

    The pictures are composed from photographs that ship inside scikit-image: the motorcycle is cut out of one and
    placed at random scale, place and flip onto others; some pictures go without. Nothing is downloaded.
    """
    from jaxloc.run.demo import demo
    from jaxloc.run.summary import demo_text

    start = time.perf_counter()
    _say(
        "Composing 22 pictures from photographs that ship inside scikit-image: a motorcycle, cut out of one,\n"
        "placed onto 16 of them; 6 go without. jaxloc sees the pictures only, no boxes and no labels."
    )
    result = demo(out, _options(method=method.value), seed=seed)
    _finish(result.findings, out, start, strict=False)
    _say(demo_text(result))


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Options of the command itself."""
    if version:
        _say(f"jaxloc {__version__}")
        raise typer.Exit


@weights_app.command("list")
@one_line_errors
def weights_list() -> None:
    """Weights that can be used now, and where they are."""
    from jaxloc.models import weights
    from jaxloc.run.summary import table

    rows = [[item.name, item.kind, item.where] for item in weights.candidates()]
    _say(table(["name", "kind", "where"], rows))
    _say(f"\nThe cache folder is {weights.cache_folder()}; the hub is only asked with --download.")


@weights_app.command("show")
@one_line_errors
def weights_show(
    name: Annotated[str, typer.Argument(help="A name or a weights file.")] = "vgg16", download: Download = False
) -> None:
    """What a set of weights is: architecture, layers, preprocessing, source, checksum."""
    from jaxloc import models

    for key, value in models.describe(models.load(name, allow_download=download or None)).items():
        _say(f"{key:14} {value}")


@weights_app.command(
    "convert",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def weights_convert(context: typer.Context) -> None:
    """Convert published weights (torchvision, timm, Keras, MatConvNet, …); --help tells more."""
    from weights_convert.__main__ import app as convert_app

    convert_app(context.args, prog_name="jaxloc weights convert")


def _options(**values: Any) -> "Options":
    from jaxloc.run import Options

    return Options(**values)


def _bytes(gigabytes: float) -> int:
    if not 0 <= gigabytes < math.inf:
        raise UsageError(f"the feature cache must be a size in GB, 0 or more, not {gigabytes}")
    return int(gigabytes * 1e9)


def _finish(findings: Any, out: Path, start: float, strict: bool) -> None:
    from jaxloc.run.summary import summary

    _say(summary(findings, out, time.perf_counter() - start))
    if strict and findings.skipped:
        raise typer.Exit(3)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def main() -> None:
    """Entry point of the ``jaxloc`` script."""
    warnings.filterwarnings("ignore", module="PIL")
    app()
