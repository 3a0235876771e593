"""The command that compares results with the truth."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors, say, say_json
from jaxloc.cli.options import BatchSize, Download, WeightsName, Workers
from jaxloc.cli.retrieval import Labels, Splits
from jaxloc.errors import UsageError


@one_line_errors
def evaluate(
    predictions: Annotated[
        Path | None, typer.Argument(help="COCO file of predictions: annotations.json.", show_default=False)
    ] = None,
    ground_truth: Annotated[
        Path | None, typer.Argument(help="COCO file with the true boxes.", show_default=False)
    ] = None,
    iou: Annotated[float, typer.Option("--iou", help="Intersection over union that must be exceeded.")] = 0.5,
    retrieval: Annotated[
        Path | None, typer.Option("--retrieval", help="Measure this gallery instead.", metavar="GALLERY")
    ] = None,
    queries: Annotated[
        list[Path] | None,
        typer.Option(
            "--queries",
            help="Pictures, folders, or another gallery to search it with; repeatable. [default: each of its pictures "
            "against the rest]",
        ),
    ] = None,
    labels: Labels = None,
    split: Splits = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    weights: WeightsName = "vgg16",
    batch: BatchSize = None,
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Compare boxes with ground truth (CorLoc), or measure a gallery whose labels are known (mAP, R@k).

    Examples:
    - `jaxloc evaluate result/annotations.json truth.json`

    - `jaxloc evaluate --retrieval gallery --queries test-photos`
    """
    if retrieval is None:
        if queries or labels or split:
            raise UsageError("--queries, --labels and --split go with --retrieval GALLERY")
        if predictions is None or ground_truth is None:
            raise UsageError("give a file of predictions and one of true boxes, or --retrieval GALLERY: see --help")
        _boxes(predictions, ground_truth, iou, as_json)
        return
    if predictions is not None or ground_truth is not None:
        raise UsageError("--retrieval measures a gallery: leave the files of boxes out, name queries with --queries")
    from jaxloc.run.options import Reading
    from jaxloc.run.retrieval.evaluation import evaluate_retrieval, to_plain
    from jaxloc.run.retrieval.summary import retrieval_table

    options = Reading(weights=weights, batch=batch, workers=workers, allow_download=download or None)
    result = evaluate_retrieval(retrieval, queries or (), options, labels=labels, splits=split or ())
    if as_json:
        say_json(to_plain(result))
    else:
        say(retrieval_table(result))


def _boxes(predictions: Path, ground_truth: Path, iou: float, as_json: bool) -> None:
    from jaxloc.run.evaluate import evaluate
    from jaxloc.run.summary import evaluation_table

    result = evaluate(predictions, ground_truth, threshold=iou)
    if as_json:
        classes = [dataclasses.asdict(score) | {"corloc": score.corloc} for score in result.classes]
        values = {"mean_corloc": result.mean_corloc, "iou": iou, "classes": classes, "unknown": result.unknown}
        say_json(values)
    else:
        say(evaluation_table(result))
