"""The command that compares results with the truth."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors, say, say_json


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
        say_json(values)
    else:
        say(evaluation_table(result))
