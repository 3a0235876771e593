"""The command that compares results with the truth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors, say, say_json
from jaxloc.cli.options import BatchSize, Download, WeightsName, Workers
from jaxloc.cli.retrieval import Labels
from jaxloc.errors import UsageError

_RULES = "What counts as right"
_MORE = "More measures"
_SURE = "How sure the figures are"
_OUTPUT = "Output"
_GALLERY = "Measuring a gallery instead"


class Form(StrEnum):
    """How the result is printed."""

    table = "table"
    json = "json"
    latex = "latex"


@one_line_errors
def evaluate(
    predictions: Annotated[
        str | None,
        typer.Argument(
            help="The folder that `colocalize --out` wrote, or a COCO file, a list of COCO results, a VOC folder or "
            "a YOLO folder.",
            metavar="PREDICTIONS",
            show_default=False,
        ),
    ] = None,
    ground_truth: Annotated[
        str | None,
        typer.Argument(
            help="The truth: a COCO file, VOC folder or YOLO folder, or a data set such as cub200:FOLDER.",
            metavar="TRUTH",
            show_default=False,
        ),
    ] = None,
    iou: Annotated[
        list[float] | None,
        typer.Option(
            "--iou",
            help="Intersection over union that must be exceeded; repeat it for a column each. [default: 0.5]",
            rich_help_panel=_RULES,
        ),
    ] = None,
    at_least: Annotated[
        bool,
        typer.Option("--at-least", help="An overlap equal to --iou is enough, as in ImageNet.", rich_help_panel=_RULES),
    ] = False,
    voc_inclusive: Annotated[
        bool,
        typer.Option(
            "--voc-inclusive",
            help="Count corners as PASCAL VOC does: each box one pixel longer than its difference.",
            rich_help_panel=_RULES,
        ),
    ] = False,
    include_difficult: Annotated[
        bool,
        typer.Option(
            "--include-difficult",
            help="Objects flagged difficult count too; the papers leave them out.",
            rich_help_panel=_RULES,
        ),
    ] = False,
    include_truncated: Annotated[
        bool,
        typer.Option(
            "--include-truncated",
            help="Objects flagged truncated count too; the papers leave them out.",
            rich_help_panel=_RULES,
        ),
    ] = False,
    any_class: Annotated[
        bool,
        typer.Option("--any-class", help="Compare boxes whatever their class, as one class.", rich_help_panel=_RULES),
    ] = False,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="Only images of this split of the truth, such as test; repeatable.",
            rich_help_panel=_RULES,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Only this class, such as one of several that the truth has; repeatable.",
            metavar="NAME",
            rich_help_panel=_RULES,
        ),
    ] = None,
    pcp: Annotated[
        bool, typer.Option("--pcp", help="The share of all true boxes that are found.", rich_help_panel=_MORE)
    ] = False,
    top_one: Annotated[
        bool,
        typer.Option(
            "--top-1",
            help="A classifier predicted the classes: GT-known localisation, and top-1, where it must be right too.",
            rich_help_panel=_MORE,
        ),
    ] = False,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps",
            help="MaxBoxAcc, PxAP and saliency precision of the heat maps in the folder PREDICTIONS.",
            rich_help_panel=_MORE,
        ),
    ] = False,
    masks: Annotated[
        bool,
        typer.Option("--masks", help="Jaccard similarity and precision of pixel masks.", rich_help_panel=_MORE),
    ] = False,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="PCP of parts; those without names are matched to the true ones once for all images.",
            rich_help_panel=_MORE,
        ),
    ] = False,
    bootstrap: Annotated[
        int,
        typer.Option(
            "--bootstrap", help="Draws for confidence intervals, such as 1000; 0: none.", rich_help_panel=_SURE
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Decides the draws.", rich_help_panel=_SURE)] = 0,
    confidence: Annotated[
        float, typer.Option("--confidence", help="Share of the draws within an interval.", rich_help_panel=_SURE)
    ] = 0.95,
    form: Annotated[Form, typer.Option("--format", help="How to print.", rich_help_panel=_OUTPUT)] = Form.table,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.", rich_help_panel=_OUTPUT)] = False,
    roc: Annotated[
        bool,
        typer.Option("--roc", help="In JSON, the points of the noise score's ROC curves.", rich_help_panel=_OUTPUT),
    ] = False,
    retrieval: Annotated[
        Path | None,
        typer.Option("--retrieval", help="Measure this gallery.", metavar="GALLERY", rich_help_panel=_GALLERY),
    ] = None,
    queries: Annotated[
        list[Path] | None,
        typer.Option(
            "--queries",
            help="Images, folders, or another gallery to search it with; repeatable. [default: each of its images "
            "against the rest]",
            rich_help_panel=_GALLERY,
        ),
    ] = None,
    labels: Labels = None,
    weights: WeightsName = "vgg16",
    batch: BatchSize = None,
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Compare boxes with the truth (CorLoc and more), or measure a gallery whose labels are known (mAP, R@k).

    Objects flagged difficult or truncated do not count, nor do images that hold no others. Whatever does not fit
    (images on one side only, other sizes, unknown classes, damaged boxes) is counted and named below the table.

    Examples:
    - `jaxloc evaluate result truth.json` compares what `colocalize --out result` found with a COCO file

    - `jaxloc evaluate result VOC2007 --split trainval --voc-inclusive --bootstrap 1000` adds confidence intervals

    - `jaxloc evaluate result truth.json --iou 0.3 --iou 0.5 --iou 0.7 --maps` also sweeps the heat maps' thresholds

    - `jaxloc evaluate result cub200:CUB_200_2011 --any-class --parts --format latex` for a paper's table

    - `jaxloc evaluate --retrieval gallery --queries test-photos` measures a search
    """
    if as_json and form is Form.latex:
        raise UsageError("--json and --format latex exclude each other")
    form = Form.json if as_json else form
    if retrieval is None:
        if queries or labels:
            raise UsageError("--queries and --labels go with --retrieval GALLERY")
        if predictions is None or ground_truth is None:
            raise UsageError("give predictions and the true boxes, or --retrieval GALLERY: see --help")
        if roc and form is not Form.json:
            raise UsageError("--roc prints numbers into JSON: add --json")
        from jaxloc.run.evaluation import (
            EvaluationOptions,
            evaluate_files,
            evaluation_latex,
            evaluation_table,
            to_plain,
        )

        rules = EvaluationOptions(
            thresholds=tuple(iou or (0.5,)),
            at_least=at_least,
            voc_inclusive=voc_inclusive,
            include_difficult=include_difficult,
            include_truncated=include_truncated,
            splits=tuple(split or ()),
            classes=tuple(classes or ()),
            any_class=any_class,
            pcp=pcp,
            top_one=top_one,
            masks=masks,
            parts=parts,
            samples=bootstrap,
            seed=seed,
            confidence=confidence,
        )
        result = evaluate_files(predictions, ground_truth, rules, maps=maps)
        if form is Form.json:
            say_json(to_plain(result, roc=roc))
        else:
            say(evaluation_latex(result) if form is Form.latex else evaluation_table(result))
        return
    if predictions is not None or ground_truth is not None:
        raise UsageError("--retrieval measures a gallery: leave the files of boxes out, name queries with --queries")
    if form is Form.latex:
        raise UsageError("a gallery's figures are printed as a table or JSON: leave --format latex out")
    from jaxloc.run.options import Reading
    from jaxloc.run.retrieval.evaluation import evaluate_retrieval
    from jaxloc.run.retrieval.evaluation import to_plain as retrieval_to_plain
    from jaxloc.run.retrieval.summary import retrieval_table

    options = Reading(weights=weights, batch=batch, workers=workers, allow_download=download or None)
    measured = evaluate_retrieval(retrieval, queries or (), options, labels=labels, splits=split or ())
    if form is Form.json:
        say_json(retrieval_to_plain(measured))
    else:
        say(retrieval_table(measured))
