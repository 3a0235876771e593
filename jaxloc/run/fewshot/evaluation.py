"""How well classes that were never learnt are told apart by a few exemplars: episodes of novel classes."""

import dataclasses
import functools
import os
from collections import Counter
from pathlib import Path

import numpy as np

from jaxloc import piecewise
from jaxloc.errors import UsageError
from jaxloc.metrics import Mean, mean_of
from jaxloc.options import EpisodeOptions
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons
from jaxloc.run.engine import memory_errors
from jaxloc.run.fewshot.classifiers import accuracies
from jaxloc.run.fewshot.describing import (
    Network,
    axes_of,
    bilinear_vectors,
    scda_vectors,
    vectors_of,
    work_folder,
)
from jaxloc.run.fewshot.learning import cautions, learn, stacked
from jaxloc.run.retrieval.listing import Labelled, Paths, check_labels, find_images
from jaxloc.run.sampling import Episodes


@dataclasses.dataclass(frozen=True)
class Line:
    """Accuracy of one classifier in one kind of episode, over all splits.

    Attributes:
        whole: whether these are all novel classes at once.
        splits: mean over the episodes of each split.
    """

    classifier: str
    ways: int
    shots: int
    whole: bool
    accuracy: Mean
    splits: list[float]


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation by episodes.

    Attributes:
        lines: each classifier in each kind of episode.
        base: classes that were learnt from, of each split.
        novel: classes of the episodes, of each split.
        queries: images of each class in an episode by shots, beside its exemplars.
        skipped: why images were skipped, by name.
    """

    options: EpisodeOptions
    lines: list[Line]
    base: list[list[str]]
    novel: list[list[str]]
    queries: dict[int, int]
    warnings: list[str]
    skipped: dict[str, str]


def evaluate_episodes(
    paths: Paths,
    options: EpisodeOptions | None = None,
    *,
    base: Paths = (),
    labels: str | os.PathLike[str] | None = None,
    keep: str | os.PathLike[str] | None = None,
) -> Evaluated:
    """Measure the nearest mean and learnt mappings in episodes of novel classes.

    The axes of bilinear vectors, and mappings, come from the base classes; novel classes serve for episodes alone.

    Args:
        paths: folders, images, or text files of paths; an image's folder is its class.
        options: of the job.
        base: images of base classes; then all classes of ``paths`` are novel, and there is one split. By default the
            classes of ``paths`` are divided at random.
        labels: a COCO file of labels in place of folders.
        keep: a folder for feature maps and mappings, which later calls read; a stopped call then resumes.
    """
    images = find_images(paths, labels=labels)
    check_labels([image.label for image in images], "images")
    learnt = find_images(base, labels=labels) if base else []
    check_labels([image.label for image in learnt], "base images", several=False)
    return evaluate_images(images, learnt, options or EpisodeOptions(), keep=keep)


def evaluate_images(
    images: list[Labelled],
    learnt: list[Labelled],
    options: EpisodeOptions,
    *,
    keep: str | os.PathLike[str] | None = None,
) -> Evaluated:
    """``evaluate_episodes`` for images that are listed already; ``learnt`` are those of base classes, if given."""
    names = [*(str(image.label) for image in images), *(str(image.label) for image in learnt)]
    splits = _splits(sorted(set(names[: len(images)])), sorted(set(names[len(images) :])), options)
    found: dict[tuple[str, int, int, bool], list[np.ndarray]] = {}
    warnings: dict[str, None] = {}
    with memory_errors(), work_folder(keep) as work:
        sources = [image.source for image in (*images, *learnt)]
        network = Network(options)
        maps, skipped = network.maps(sources, work)
        kept = np.array([number for number in range(len(sources)) if number not in skipped])
        owners = np.array(names)[kept]
        queries = _check_sizes(Counter(owners.tolist()), {name for _, novel in splits for name in novel}, options)
        scda = None if network.signed else vectors_of(maps, kept, scda_vectors)
        for number, (base_names, novel) in enumerate(splits):
            among = np.isin(owners, base_names)
            axes = axes_of(maps, kept[among], options.dimension)
            bilinear = vectors_of(maps, kept, functools.partial(bilinear_vectors, axes))
            targets = np.array([novel.index(name) if name in novel else -1 for name in owners])
            for shots in options.shots:
                rules = _rules(scda, bilinear, among, owners, shots, work, options)
                if options.forms:
                    warnings |= dict.fromkeys(cautions(owners[among].tolist(), shots=shots))
                for ways, whole in ((options.ways, False), (len(novel), True)):
                    size = {"ways": ways, "shots": shots, "queries": queries[shots]}
                    drawn = Episodes(targets, **size, seed=options.seed, stream=2 * number + whole)
                    episodes = stacked(drawn, range(options.draws if whole else options.episodes))
                    for name, (vectors, mapping) in rules.items():
                        shares = np.asarray(accuracies(mapping, vectors, *episodes))
                        found.setdefault((name, ways, shots, whole), []).append(shares)
    lines = [
        Line(*kind, mean_of(np.concatenate(shares)), [float(one.mean()) for one in shares])
        for kind, shares in found.items()
    ]
    base_sets, novel_sets = map(list, zip(*splits, strict=True))
    why = {sources[number].name: reason for number, reason in skipped.items()}
    return Evaluated(options, lines, base_sets, novel_sets, queries, [*warnings], why)


def _rules(
    scda: np.ndarray | None,
    bilinear: np.ndarray,
    among: np.ndarray,
    owners: np.ndarray,
    shots: int,
    folder: Path,
    options: EpisodeOptions,
) -> dict[str, tuple[np.ndarray, piecewise.Mapping | None]]:
    """What is compared: vectors of all images, and the mapping or ``None`` for the nearest mean, by name.

    Mappings are learnt from the images ``among``, whose classes are in ``owners``.
    """
    kind = f"bilinear {options.dimension}²"
    rules: dict[str, tuple[np.ndarray, piecewise.Mapping | None]] = {}
    if scda is not None:
        rules["SCDA, nearest mean"] = scda, None
    rules[f"{kind}, nearest mean"] = bilinear, None
    base = bilinear[among], owners[among].tolist()
    for form in options.forms:
        mapping = learn(*base, folder, options, shots=shots, residual=form == "residual")
        rules[f"{kind}, piecewise, {form}"] = bilinear, mapping
    return rules


def _splits(given: list[str], base: list[str], options: EpisodeOptions) -> list[tuple[list[str], list[str]]]:
    """Base and novel classes of each split, in order of name."""
    if both := sorted(set(given) & set(base)):
        raise UsageError(f"{both[0]!r} is among the base classes and among those to name: take it out of one of them")
    least, ways = (0 if base else 1), options.ways
    if len(given) < ways + least:
        needs = f"{ways} classes" + ("" if base else " and at least one base class")
        raise UsageError(
            f"{len(given)} classes, and {ways}-way episodes need {needs}: give more classes, or fewer with --ways"
        )
    if base:
        return [(base, given)]
    number = options.base_classes or min(3 * len(given) // 4, len(given) - ways)
    if len(given) - number < ways:
        raise UsageError(
            f"{len(given)} classes less {number} base classes leave fewer than {ways}: choose fewer --base-classes or "
            "fewer --ways"
        )
    splits = []
    for split in range(options.splits):
        order = np.random.default_rng(options.seed + split).permutation(given).tolist()
        splits.append((sorted(order[:number]), sorted(order[number:])))
    return splits


def _check_sizes(images: Counter[str], novel: set[str], options: EpisodeOptions) -> dict[int, int]:
    """Queries of each class by shots; raises ``UsageError`` if a class has too few images."""
    smallest = min(sorted(novel), key=lambda name: images[name])
    count, shots = images[smallest], max(options.shots)
    if count <= shots:
        raise UsageError(
            f"{smallest!r} has {counted(count, 'readable image')}, and {shots}-shot episodes need at least "
            f"{shots + 1}: give more images, or fewer --shots"
        )
    return {shots: min(options.queries, count - shots) for shots in options.shots}


def to_plain(done: Evaluated) -> dict[str, object]:
    """An evaluation as plain values for JSON."""
    lines = [dataclasses.asdict(line) | {"accuracy": line.accuracy._asdict()} for line in done.lines]
    splits = [{"base": base, "novel": novel} for base, novel in zip(done.base, done.novel, strict=True)]
    return {
        "settings": done.options.settings(),
        "lines": lines,
        "splits": splits,
        "queries": done.queries,
        "warnings": done.warnings,
        "skipped": done.skipped,
    }


def evaluation_text(done: Evaluated, seconds: float) -> str:
    """The table of accuracies, and what was measured."""
    options = done.options
    splits, novel = len(done.novel), len(done.novel[0])
    kinds = sorted({(line.ways, line.shots, line.whole) for line in done.lines}, key=lambda kind: (kind[2], kind[1]))
    whole_set = f"; all novel classes at once in {options.draws} draws each, ± their standard deviation"
    if options.ways == novel:  # every episode is of all novel classes
        kinds, whole_set = [kind for kind in kinds if not kind[2]], ""
    heads = [f"{'all ' if whole else ''}{ways}-way {shots}-shot" for ways, shots, whole in kinds]
    cells: dict[str, dict[tuple[int, int, bool], str]] = {}
    for line in done.lines:
        spread = line.accuracy.deviation if line.whole else line.accuracy.margin
        cell = f"{100 * line.accuracy.mean:.1f} ± {100 * spread:.1f}"
        cells.setdefault(line.classifier, {})[line.ways, line.shots, line.whole] = cell
    rows = [[name, *(row[kind] for kind in kinds)] for name, row in cells.items()]
    table = text_table(["classifier", *heads], rows)
    queries = " or ".join(str(number) for number in dict.fromkeys(done.queries.values()))
    text = (
        f"Accuracy in per cent. {counted(splits, 'split')} into {len(done.base[0])} base and {novel} novel classes; "
        f"{counted(options.episodes, 'episode')} each with {queries} queries of each class, ± half the 95 % "
        f"interval{whole_set}. {seconds:.1f} s."
    )
    parts = [table, text]
    if min(done.queries.values()) < options.queries:
        parts.append(f"The smallest class leaves fewer than {options.queries} queries.")
    parts += [f"Warning: {warning}" for warning in done.warnings]
    parts += reasons("Skipped", done.skipped.items(), len(done.skipped), "the output of --json")
    return "\n\n".join(parts)
