"""The command that compares results with the truth."""

from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Form, Labels, printed_form
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import tell
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions, NetworkOptions

_GALLERY = "Measuring a gallery instead"


@command
def evaluate(
    rules: EvaluateOptions,
    options: Annotated[NetworkOptions, Fields(only={"weights", "batch", "workers", "allow_download"})],
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
    maps: Annotated[
        bool,
        typer.Option(
            "--maps",
            help="MaxBoxAcc, PxAP, saliency precision and AUC of the heat maps in the folder PREDICTIONS.",
            rich_help_panel="More measures",
            hidden=True,
        ),
    ] = False,
    form: Form = "table",
    as_json: AsJson = False,
    roc: Annotated[
        bool, typer.Option("--roc", help="In JSON, the points of the noise score's ROC curves.", hidden=True)
    ] = False,
    retrieval: Annotated[
        Path | None,
        typer.Option("--retrieval", help="Measure this gallery.", metavar="GALLERY", rich_help_panel=_GALLERY),
    ] = None,
    queries: Annotated[
        list[Path] | None,
        typer.Option(
            "--queries",
            help="Images, folders, another gallery, or a landmark data set with queries of its own, such as "
            "roxford5k:FOLDER, to search it with; repeatable. [default: each of its images against the rest]",
            rich_help_panel=_GALLERY,
        ),
    ] = None,
    labels: Labels = None,
) -> None:
    """Compare boxes with the truth (CorLoc and more), or measure a gallery whose labels are known (mAP, R@k).

    Objects flagged difficult or truncated do not count, nor do images that hold no others. Whatever does not fit
    (images on one side only, other sizes, unknown classes, damaged boxes) is counted and named below the table.

    Examples:
    - `jaxloc evaluate result truth.json` compares what `colocalize --out result` found with a COCO file

    - `jaxloc evaluate result VOC2007 --split trainval --voc-inclusive --bootstrap 1000` adds confidence intervals

    - `jaxloc evaluate result truth.json --iou 0.3 --iou 0.5 --iou 0.7 --maps` also sweeps the heat maps' thresholds

    - `jaxloc evaluate result cub200:CUB_200_2011 --any-class --parts --format latex` for a paper's table

    - `jaxloc evaluate result voc07/test:VOCdevkit --point --detection --recalls 11` for average precision as in VOC

    - `jaxloc evaluate --retrieval gallery --queries test-photos` measures a search

    - `jaxloc evaluate --retrieval gallery --queries roxford5k:FOLDER` takes a benchmark's own queries
    """
    form = printed_form(form, as_json)
    if retrieval is None:
        if queries or labels:
            raise UsageError("--queries and --labels go with --retrieval GALLERY")
        if predictions is None or ground_truth is None:
            raise UsageError("give predictions and the true boxes, or --retrieval GALLERY: see --help")
        if roc and form != "json":
            raise UsageError("--roc prints numbers into JSON: add --json")
        from jaxloc.run.evaluation import evaluate_files, evaluation_latex, evaluation_table, to_plain

        result = evaluate_files(predictions, ground_truth, rules, maps=maps)
        table = evaluation_latex if form == "latex" else evaluation_table
        tell(form == "json", lambda: to_plain(result, roc=roc), lambda: table(result))
        return
    if predictions is not None or ground_truth is not None:
        raise UsageError("--retrieval measures a gallery: leave the files of boxes out, name queries with --queries")
    if form == "latex":
        raise UsageError("a gallery's figures are printed as a table or JSON: leave --format latex out")
    from jaxloc.data.datasets import is_spec, open_dataset

    asked = [str(query) for query in queries or ()]
    dataset = open_dataset(asked[0]) if len(asked) == 1 and is_spec(asked[0]) else None
    if dataset is not None and dataset.queries:
        from jaxloc.run.retrieval import protocols
        from jaxloc.run.retrieval.summary import protocol_table

        if labels or rules.splits:
            raise UsageError(f"{asked[0]}: its queries are judged: leave --labels and --split out")
        judged = protocols.evaluate_protocol(retrieval, dataset, options)
        tell(form == "json", lambda: protocols.to_plain(judged), lambda: protocol_table(judged))
        return
    from jaxloc.run.retrieval.evaluation import evaluate_retrieval
    from jaxloc.run.retrieval.evaluation import to_plain as retrieval_to_plain
    from jaxloc.run.retrieval.summary import retrieval_table

    measured = evaluate_retrieval(retrieval, queries or (), options, labels=labels, splits=rules.splits)
    tell(form == "json", lambda: retrieval_to_plain(measured), lambda: retrieval_table(measured))
