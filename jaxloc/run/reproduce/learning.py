"""Tables of methods that learn on frozen features: few-shot recognition, and parts with their streams."""

import math
from pathlib import Path
from typing import Any

from jaxloc.metrics import Interval
from jaxloc.options import EpisodeOptions, MaskCnnOptions, ReproduceOptions, network_options
from jaxloc.run.fewshot.evaluation import evaluate_images
from jaxloc.run.maskcnn.examples import examples_of
from jaxloc.run.maskcnn.training import train_examples
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.retrieval.listing import Labelled

_NOT_RUN = "not run on this data"
_SHOTS = (1, 5)
_SHARED = ("weights", "devices", "dtype", "allow_download")


def measure_few_shot(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Accuracy among all novel classes, beside the paper's methods."""
    images = [
        Labelled(source, prepared.images[source.name].category)
        for source in prepared.together().sources
        if prepared.images[source.name].category is not None
    ]
    shared = {name: value for name, value in network_options(options).items() if name in _SHARED}
    # All novel classes at once are what is told: the episodes of two classes only have to be possible.
    few: dict[str, Any] = {"ways": 2, "episodes": 2, "mapping": ("residual", "printed"), "shots": _SHOTS}
    job = EpisodeOptions(seed=options.seed, **few, **shared)
    done = evaluate_images(images, [], job, keep=out / "kept")
    kind = f"bilinear {job.dimension}², "
    theirs = {f"{kind}nearest mean": "k-NN (FB)", f"{kind}piecewise, printed": "Ours"}
    paper, rows = papers.FEW_SHOT[prepared.name], []
    queries = done.queries
    for line in done.lines:
        if line.whole:
            named = paper.get(theirs.get(line.classifier, ""))
            mean, spread = 100 * line.accuracy.mean, 100 * line.accuracy.margin
            rows.append(
                Row(
                    line.classifier,
                    f"{line.shots}-shot, %",
                    mean,
                    math.nan if named is None else named[_SHOTS.index(line.shots)],
                    line.ways * queries[line.shots],
                    Interval(mean - spread, mean + spread),
                )
            )
    for name, numbers in paper.items():
        if name not in theirs.values():
            rows += [
                Row(name, f"{shots}-shot, %", math.nan, number, reason=_NOT_RUN)
                for shots, number in zip(_SHOTS, numbers, strict=True)
            ]
    notes = [
        f"{len(done.base[0])} classes are learnt from and {len(done.novel[0])} named; in brackets the 95 % interval of "
        f"{job.draws} draws.",
        f"The row {kind}nearest mean stands beside the paper's k-NN (FB), and {kind}piecewise, printed beside its own.",
    ]
    return Measured(rows, notes)


def measure_parts(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """PCP of the parts and accuracy of one, two and three streams on the test split."""
    chosen = {source.name: prepared.images[source.name] for source in prepared.together().sources}
    job = MaskCnnOptions(
        seed=options.seed, **{name: value for name, value in network_options(options).items() if name in _SHARED}
    )
    examples = examples_of(chosen, prepared.place, test_share=job.test_share, seed=job.seed)
    done = train_examples(examples, out / "trained", job)
    rows = [
        Row(part, "PCP, %", 100 * done.pcp.get(part, math.nan), paper, done.test)
        for part, paper in papers.MASK_CNN_PCP.items()
    ]
    rows += [
        Row(" + ".join(streams), "accuracy, %", 100 * share, papers.MASK_CNN_STREAMS.get(streams, math.nan), done.test)
        for streams, share in done.accuracies.items()
    ]
    return Measured(rows, [f"{done.train:,} images are learnt from, {done.test:,} tested on."])
