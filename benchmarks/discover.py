"""How well ``jaxloc discover`` sorts photographs whose kinds are known, with their folders forgotten.

    python benchmarks/discover.py DATA [DATA …] [--noise KIND] [--max-side 800] [--settings]
    python benchmarks/discover.py DATA --crops 5000 [--side 160]
    python benchmarks/discover.py --vectors 100000

DATA is a folder of photographs with an ``annotations.json`` (COCO; boxes or labels alone) or a ``truth.json`` (the kind
of each file by its name). All photographs are linked into one folder under numbers. For each DATA: the groups; how many
photographs of the kind ``--noise`` (of nothing), and of the others, have none; purity, NMI and BCubed of the grouped
photographs of a kind; and, where there are boxes, CorLoc beside that of DDT with the folders known. ``--settings``
prints the measures of groups for other numbers of neighbours and resolutions instead, and looks for no boxes.
``--crops`` cuts photographs into that many, and prints the command's seconds and peak memory; ``--vectors`` groups that
many drawn descriptors of kinds of 50 instead, the part whose time does not grow in proportion.
"""

import argparse
import dataclasses
import json
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from jaxloc.data import find_sets
from jaxloc.data.annotations import Annotated, read
from jaxloc.metrics import bcubed, normalized_mutual_information, purity
from jaxloc.options import DiscoverOptions, EvaluateOptions, LocalizeOptions
from jaxloc.report.groups import UNGROUPED
from jaxloc.report.tables import text_table
from jaxloc.run import colocalize, evaluate
from jaxloc.run.discovery import discover
from jaxloc.run.discovery.describing import describe
from jaxloc.run.discovery.grouping import group_vectors
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.plan import Images

NEIGHBORS, RESOLUTIONS = (10, 15, 20, 30), (0.5, 1.0, 1.5, 2.0)
NOTHING = "BACKGROUND_Google"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--noise", default=NOTHING, help="the kind of photographs of nothing")
    parser.add_argument("--max-side", type=int, default=800, help="as of the command")
    parser.add_argument("--weights", default="vgg16", help="as of the command")
    parser.add_argument("--settings", action="store_true", help="other numbers of neighbours and resolutions, no boxes")
    parser.add_argument("--crops", type=int, help="number of photographs to cut for time and memory")
    parser.add_argument("--side", type=int, default=160, help="of the crops, in pixels")
    parser.add_argument("--vectors", type=int, help="number of descriptors to draw and to group")
    arguments = parser.parse_args()
    if arguments.vectors:
        measure_vectors(arguments.vectors)
    job = LocalizeOptions(max_side=arguments.max_side, weights=arguments.weights, report_limit=0)
    for data in arguments.data:
        with tempfile.TemporaryDirectory() as scratch:
            if arguments.crops:
                measure_crops(data, Path(scratch), arguments.crops, arguments.side, job)
                continue
            truth = read_truth(data)
            pile, names = link(data, truth, Path(scratch) / "pile")
            print(f"\n{data.name}: {len(truth)} images of {len({kind(one) for one in truth.values()})} kinds")
            if arguments.settings:
                measure_settings(pile, names, truth, Path(scratch), job, arguments.noise)
            else:
                measure(data, pile, names, truth, Path(scratch), job, arguments.noise)


def read_truth(data: Path) -> dict[str, Annotated]:
    """The true kind, and boxes if known, of each photograph by its path below the folder."""
    if (data / "annotations.json").exists():
        return dict(read(data / "annotations.json").images)
    kinds = json.loads((data / "truth.json").read_text())
    paths = {path.name: path.relative_to(data).as_posix() for path in data.rglob("*.jpg")}
    return {paths[name]: Annotated(paths[name], category) for name, category in kinds.items()}


def kind(image: Annotated) -> str:
    return image.categories[0]


def link(data: Path, truth: Mapping[str, Annotated], pile: Path) -> tuple[Path, dict[str, str]]:
    """Link the photographs into one folder, in an order that tells nothing; returns it, and the name of each link."""
    pile.mkdir()
    order = np.random.default_rng(0).permutation(sorted(truth)).tolist()
    names = {f"{number:05d}.jpg": name for number, name in enumerate(order)}
    for file, name in names.items():
        (pile / file).symlink_to((data / name).resolve())
    return pile, names


def figures(groups: Mapping[str, str], truth: Mapping[str, Annotated], noise: str) -> list[str]:
    """Number of groups; ungrouped photographs of nothing and of a kind; purity, NMI, BCubed of the rest."""
    kept = [name for name, group in groups.items() if group != UNGROUPED and kind(truth[name]) != noise]
    own, kinds = [groups[name] for name in kept], [kind(truth[name]) for name in kept]
    alone = [kind(truth[name]) == noise for name, group in groups.items() if group == UNGROUPED]
    nothing = sum(kind(one) == noise for one in truth.values())
    return [
        str(len(set(groups.values()) - {UNGROUPED})),
        f"{sum(alone)} of {nothing}",
        f"{len(alone) - sum(alone)} of {len(truth) - nothing}",
        *(
            f"{100 * value:.1f}"
            for value in (purity(own, kinds), normalized_mutual_information(own, kinds), bcubed(own, kinds).f)
        ),
    ]


HEAD = ["groups", "of nothing, ungrouped", "of a kind, ungrouped", "purity", "NMI", "BCubed F"]


def measure(
    data: Path,
    pile: Path,
    names: Mapping[str, str],
    truth: Mapping[str, Annotated],
    scratch: Path,
    job: LocalizeOptions,
    noise: str,
) -> None:
    start = time.perf_counter()
    done = discover([pile], scratch / "found", DiscoverOptions(job=job, view="none", page_limit=0))
    seconds = time.perf_counter() - start
    groups = {names[one.name]: one.group for one in done.groups.members}
    print(text_table(HEAD, [figures(groups, truth, noise)]))
    print(f"{seconds:.0f} s. {' '.join(done.groups.notes)}")
    if not any(one.annotations for one in truth.values()):
        return
    found = read(scratch / "found").images
    renamed = {names[name]: dataclasses.replace(image, name=names[name]) for name, image in found.items()}
    by_group = evaluate(renamed, truth, EvaluateOptions(groups=True))
    colocalize([data], scratch / "known", job, per_folder=True)
    known = evaluate(read(scratch / "known").images, truth)
    rows = [
        [one.category, f"{one.corloc:.2f}", f"{other.corloc:.2f}"]
        for one, other in zip(by_group.classes, known.classes, strict=True)
    ]
    rows.append(["mean", f"{by_group.mean_corloc:.2f}", f"{known.mean_corloc:.2f}"])
    print(text_table(["CorLoc", "groups", "known folders"], rows))


def measure_settings(
    pile: Path,
    names: Mapping[str, str],
    truth: Mapping[str, Annotated],
    scratch: Path,
    job: LocalizeOptions,
    noise: str,
) -> None:
    images = Images(find_sets([pile]))
    options = DiscoverOptions(job=job)
    vectors = describe(images, scratch / "work", options, on_devices(load_weights(job), job)).vectors
    rows = []
    for neighbors in NEIGHBORS:
        for resolution in RESOLUTIONS:
            tried = dataclasses.replace(options, neighbors=neighbors, resolution=resolution)
            found = group_vectors(vectors, np.arange(len(images)), tried).groups
            groups = {
                names[source.name]: str(group) if group >= 0 else UNGROUPED
                for source, group in zip(images, found.tolist(), strict=True)
            }
            rows.append([str(neighbors), f"{resolution:g}", *figures(groups, truth, noise)])
    print(text_table(["neighbours", "resolution", *HEAD], rows))


def measure_crops(data: Path, scratch: Path, number: int, side: int, job: LocalizeOptions) -> None:
    """Cut photographs, then time the command."""
    draw, pile = np.random.default_rng(0), scratch / "pile"
    pile.mkdir()
    paths = sorted(data.rglob("*.jpg"))
    for place in range(number):
        with Image.open(paths[place % len(paths)]) as image:
            width = min(side, *image.size)
            left, top = (int(draw.integers(extent - width + 1)) for extent in image.size)
            image.convert("RGB").crop((left, top, left + width, top + width)).resize((side, side)).save(
                pile / f"{place:06d}.jpg"
            )
    start = time.perf_counter()
    done = discover([pile], scratch / "found", DiscoverOptions(job=job, view="none"))
    seconds = time.perf_counter() - start
    again = time.perf_counter()
    options = DiscoverOptions(job=job, view="none", resolution=1.01)
    images = Images(find_sets([pile]))
    vectors = describe(images, scratch / "found" / "work", options, on_devices(load_weights(job), job)).vectors
    read_again, again = time.perf_counter() - again, time.perf_counter()
    group_vectors(vectors, np.arange(len(images)), options)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{number:,} images of {side} pixels: {seconds:.0f} s, of them grouping {time.perf_counter() - again:.1f} s "
        f"(descriptors are read in {read_again:.1f} s); {len(done.groups.by_name())} groups; peak memory "
        f"{memory:.2f} GiB"
    )


def measure_vectors(number: int) -> None:
    """Draw descriptors of kinds of 50 images and group them."""
    draw, dimension = np.random.default_rng(0), 1024
    centers = draw.normal(size=(max(1, number // 50), dimension)).astype(np.float32)
    vectors = np.repeat(centers, -(-number // len(centers)), 0)[:number]
    vectors += draw.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start, used = time.perf_counter(), time.process_time()
    found = group_vectors(vectors, np.arange(number), DiscoverOptions())
    seconds, used = time.perf_counter() - start, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{number:,} descriptors: {seconds:.1f} s ({used:.1f} s of the processors), {found.groups.max() + 1:,} groups "
        f"of {len(centers):,} kinds; peak memory {memory:.2f} GiB"
    )


if __name__ == "__main__":
    main()
