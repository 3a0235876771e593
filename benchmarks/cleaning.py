"""How well ``jaxloc clean`` finds the noise in a collection: noise mixed in at known shares, and what is kept.

    python benchmarks/cleaning.py DATA [--shares 10 20 30] [--classes aeroplane] [--max-side 224] [--rounds 1 2]

DATA is a folder with a sub-folder of photographs for each class and an ``annotations.json`` (COCO). To the photographs
of a class, images of other classes are linked until they make up the share, chosen by the seed among those without a
box of the class. For each class, share and rule: the area under the ROC curve of the object share, or of the alignment
(which a second round of fitting makes depend on the rule), the threshold, which share of the kept photographs is of the
class (precision), and which share of those of the class is kept (recall). Near-duplicates are not looked for. Then what
the photographs share, by which a set is told whose boxes may be wrong: the median alignment of those that it keeps,
also of a set of photographs of all classes. Last, how reliable alignment is: of the photographs of each class in an
interval of alignment, the share that is of the class, and their number.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc.metrics import roc_auc
from jaxloc.options import CleanOptions
from jaxloc.report.decisions import Decision, Decisions
from jaxloc.report.tables import text_table
from jaxloc.run import Options
from jaxloc.run.alignment import shared
from jaxloc.run.cleaning import clean

RULES: tuple[float | str, ...] = (0.0, 0.1, "knee", "alignment")
INTERVALS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 1)
NOISE = "noise-"
UNSORTED, NUMBER = "unsorted", 40


def main() -> None:
    """Clean a noisy collection for each share and number of rounds, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shares", type=int, nargs="+", default=[10, 20, 30], help="of noise, in per cent")
    parser.add_argument("--classes", nargs="+", help="[default: all]")
    parser.add_argument("--max-side", type=int, default=800, help="as of the command")
    parser.add_argument("--rounds", type=int, nargs="+", default=[1], help="as of the command")
    parser.add_argument("--seed", type=int, default=0, help="decides which photographs are the noise")
    arguments = parser.parse_args()
    truth = read_truth(arguments.data)
    aligned: list[Decision] = []
    classes = arguments.classes or sorted(truth)
    with tempfile.TemporaryDirectory() as scratch:
        for share in arguments.shares:
            web = Path(scratch) / f"web-{share}"
            for number, name in enumerate(sorted(truth)):
                if name in classes:
                    rng = np.random.default_rng([arguments.seed, share, number])
                    link(arguments.data, truth, name, share, web / name, rng)
            files = sorted(itertools.chain.from_iterable(truth.values()))
            place(arguments.data, files[:: -(-len(files) // NUMBER)], web / UNSORTED)
            for rounds in arguments.rounds:
                start = time.perf_counter()
                out = Path(scratch) / f"out-{share}"
                table, decisions = measure(web, out, classes, share, rounds, arguments.max_side)
                print(table)
                aligned += decisions.items
                print(f"{rounds} of fitting: {time.perf_counter() - start:.0f} s\n", flush=True)
    print(reliability(aligned, classes))


def read_truth(data: Path) -> dict[str, dict[str, set[str]]]:
    """By class the names of its photographs, each with the classes it has boxes of."""
    coco = json.loads((data / "annotations.json").read_text())
    categories = {entry["id"]: entry["name"] for entry in coco["categories"]}
    boxes: dict[int, set[str]] = {}
    for entry in coco["annotations"]:
        boxes.setdefault(entry["image_id"], set()).add(categories[entry["category_id"]])
    truth: dict[str, dict[str, set[str]]] = {}
    for image in coco["images"]:
        truth.setdefault(image["file_name"].split("/")[0], {})[image["file_name"]] = boxes.get(image["id"], set())
    return truth


def link(
    data: Path, truth: dict[str, dict[str, set[str]]], name: str, share: int, folder: Path, rng: np.random.Generator
) -> None:
    """Link the photographs of a class, and noise of the share, into a folder."""
    own = sorted(truth[name])
    others = sorted(file for other in truth if other != name for file, held in truth[other].items() if name not in held)
    number = round(len(own) * share / (100 - share))
    noise = [others[which] for which in sorted(rng.choice(len(others), number, replace=False))]
    place(data, own, folder)
    place(data, noise, folder, NOISE)


def place(data: Path, files: Sequence[str], folder: Path, prefix: str = "") -> None:
    """Link files into a folder, under a prefix and their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / f"{prefix}{file.replace('/', '-')}").symlink_to((data / file).resolve())


def measure(
    web: Path, out: Path, classes: Sequence[str], share: int, rounds: int, max_side: int
) -> tuple[str, Decisions]:
    """The table of one collection, and its decisions by alignment."""
    cleaned = {}
    for rule in RULES:
        options = CleanOptions(
            noise=rule, duplicates=None, rounds=rounds, review_limit=0, job=Options(max_side=max_side)
        )
        cleaned[rule] = clean(web, out, options).decisions
    rows: list[list[object]] = []
    figures = []
    for name in classes:
        numbers = np.array([value for rule in RULES for value in measured(cleaned[rule], name, rule)])
        figures.append(numbers)
        images = [item for item in cleaned[RULES[0]].items if item.category == name]
        noise = sum(is_noise(item.name) for item in images)
        rows.append([f"{name} {share} %", len(images), noise, *map("{:.3f}".format, numbers)])
    if len(classes) > 1:
        rows.append([f"mean {share} %", "–", "–", *map("{:.3f}".format, np.mean(figures, axis=0))])
    heads = [text for rule in RULES for text in ("AUC", f"t({rule})", "precision", "recall")]
    told = []
    for name in (*classes, UNSORTED):
        aligned = [item.alignment for item in cleaned["alignment"].items if item.category == name]
        told.append([name, f"{shared(np.array(aligned)):.2f}"])
    tables = text_table(["class", "photos", "noise", *heads], rows), text_table(["class", "shared"], told)
    return "\n\n".join(tables), cleaned["alignment"]


def is_noise(name: str) -> bool:
    """Whether a photograph was mixed in."""
    return name.rpartition("/")[2].startswith(NOISE)


def measured(decisions: Decisions, name: str, rule: float | str) -> tuple[float, float, float, float]:
    """Area under the measure's ROC curve, threshold, and precision and recall of what is kept, of a class."""
    own = [item for item in decisions.items if item.category == name]
    holds = [not is_noise(item.name) for item in own]
    right = sum(item.keep and held for item, held in zip(own, holds, strict=True))
    threshold = decisions.thresholds[name].value
    return (
        float(roc_auc([item.alignment if rule == "alignment" else item.noise_score for item in own], holds)),
        float("nan") if threshold is None else threshold,
        right / max(1, sum(item.keep for item in own)),
        right / sum(holds),
    )


def reliability(items: Sequence[Decision], classes: Sequence[str]) -> str:
    """The table of alignment's intervals."""
    intervals = list(itertools.pairwise(INTERVALS))
    rows: list[list[object]] = []
    for title, chosen in (*((name, [name]) for name in classes), ("all", classes)):
        own = [item for item in items if item.category in chosen]
        holds = np.array([not is_noise(item.name) for item in own])
        values = np.array([item.alignment for item in own])
        inside = [(low <= values) & (values < high) for low, high in intervals]
        cells = [f"{holds[some].mean():.2f} of {some.sum()}" if some.any() else "–" for some in inside]
        rows.append([title, *cells])
    return text_table(["alignment", *(f"{low:g}–{high:g}" for low, high in intervals)], rows)


if __name__ == "__main__":
    main()
