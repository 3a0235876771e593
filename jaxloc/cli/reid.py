"""Tell identities of one kind apart: learn a projection, measure a gallery."""

import dataclasses
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, GalleryFolder, Labels, Out, Paths, Splits
from jaxloc.cli.command import MORE, Fields, command
from jaxloc.cli.messages import STYLE, say, tell
from jaxloc.options import ReidOptions

_NOT_READ = {"connectivity", "backend", "feature_cache", "report_limit", "shard_weights"}

app = typer.Typer(no_args_is_help=True, help=__doc__, **STYLE)


@app.command("train", epilog=MORE)
@command
def train(
    paths: Paths,
    out: Out,
    options: Annotated[ReidOptions, Fields(leave_out=_NOT_READ)],
    labels: Labels = None,
    split: Splits = None,
) -> Sized:
    """Learn from images of identities what tells them apart; after a kill, the same command resumes.

    Folders are IDENTITY/image, or KIND/IDENTITY/image, such as a vehicle's model and the vehicle: all methods but
    triplet and ccl need the kinds. The network stays as it is: a head is learnt on its feature maps, within minutes on
    two cores. Writes projection.safetensors, for --projection of `jaxloc index`. Needs the extra: pip install
    'jaxloc[train]'.

    Examples:
    - `jaxloc reid train veri776/train:VeRi --out vehicles`, then `jaxloc index photos --out gallery --projection
      vehicles/projection.safetensors`

    - `jaxloc reid train products --labels products/annotations.json --out learnt`
    """
    from jaxloc.run.reid.train import learnt_text, train

    done = train(paths, out, options, labels=labels, splits=split or ())
    say(learnt_text(done))
    return done.skipped


@app.command("evaluate")
@command
def evaluate(
    gallery: GalleryFolder,
    draws: Annotated[int, typer.Option("--draws", help="Number of random galleries.", min=1)] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a gallery as VehicleID does: one random image of each identity is searched, the others are queries.

    Prints CMC@1 and CMC@5 and mAP, means over the draws. Identities are the gallery's labels. For VeRi's protocol, with
    cameras, see `jaxloc evaluate --retrieval gallery --queries veri776:FOLDER`.

    Examples:
    - `jaxloc index vehicleid/test_800:VehicleID --out gallery --projection learnt/projection.safetensors`, then
      `jaxloc reid evaluate gallery`
    """
    from jaxloc.run.reid.evaluation import evaluate, evaluation_text

    result = evaluate(Path(gallery), draws=draws, seed=seed)
    tell(as_json, lambda: dataclasses.asdict(result), lambda: evaluation_text(result))
