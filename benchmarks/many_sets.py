"""Many image sets in one run of ``jaxloc colocalize --per-folder``: time, peak memory, and the boxes of separate runs.

    python benchmarks/many_sets.py PHOTOS [--sets 500] [--images 40] [--side 64] [--separate 500]

Each set is a folder of small images cut out of the photographs at random places. Separate runs are jobs of one set
each, in one process, so that they compile nothing again; a box counts as the same if all four edges are.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import run
from PIL import Image

COMMAND = "from jaxloc.cli import main; main()"


def main() -> None:
    """Run all sets together, then as many apart as asked for, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--images", type=int, default=40, help="in each set")
    parser.add_argument("--side", type=int, default=64, help="pixels a side of each image")
    parser.add_argument("--separate", type=int, help="number of sets that are also run alone [default: all]")
    parser.add_argument("--moments-memory", type=float, default=1.0, help="GB, as of the command")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sets(sorted(arguments.photos.rglob("*.jpg")), folder / "sets", arguments)
        together = [sys.executable, "-c", COMMAND, "colocalize", str(folder / "sets"), "--per-folder"]
        together += ["--out", str(folder / "together"), "--moments-memory", str(arguments.moments_memory)]
        done = run(together)
        number = arguments.sets * arguments.images
        print(f"{number:,} images in {arguments.sets:,} sets together: {done.seconds:.1f} s", end="")
        print(f" ({number / done.seconds:.0f} a second), peak {done.peak_mb:.0f} MB", flush=True)
        chosen = names[: arguments.separate]
        seconds = run_apart(folder, chosen)
        print(f"{len(chosen):,} sets in runs of their own, compilation left out: {seconds:.1f} s")
        boxes = boxes_of(folder / "together")
        apart = {f"{name}/{file}": box for name in chosen for file, box in boxes_of(folder / "apart" / name).items()}
        same = sum(boxes[name] == box for name, box in apart.items())
        print(f"boxes: {same:,} of {len(apart):,} the same")


def write_sets(photos: list[Path], folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Cut images out of the photographs, a few photographs to a set; the names of the sets."""
    rng = np.random.default_rng(0)
    side, names = arguments.side, []
    for which in range(arguments.sets):
        name = f"set{which:04d}"
        names.append(name)
        (folder / name).mkdir(parents=True)
        for number in range(arguments.images):
            with Image.open(photos[(3 * which + number % 5) % len(photos)]) as image:
                image.draft("RGB", (4 * side, 4 * side))
                image = image.convert("RGB")
                width, height = image.size
                x, y = rng.integers(0, width // 3), rng.integers(0, height // 3)
                box = (int(x), int(y), int(x + 2 * width // 3), int(y + 2 * height // 3))
                image.resize((side, side), box=box).save(folder / name / f"{number:03d}.jpg", quality=90)
    return names


def run_apart(folder: Path, names: list[str]) -> float:
    """Seconds of one job for each set."""
    from jaxloc import run as jobs

    options = jobs.Options(report_limit=0)
    with tempfile.TemporaryDirectory() as first:
        jobs.colocalize([folder / "sets" / names[0]], first, options)
    start = time.perf_counter()
    for name in names:
        jobs.colocalize([folder / "sets" / name], folder / "apart" / name, options)
    return time.perf_counter() - start


def boxes_of(folder: Path) -> dict[str, list[float] | None]:
    """The box of each image that a run found, by name."""
    coco = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    boxes: dict[str, list[float] | None] = dict.fromkeys(names.values())
    boxes.update((names[entry["image_id"]], entry["bbox"]) for entry in coco["annotations"])
    return boxes


if __name__ == "__main__":
    main()
