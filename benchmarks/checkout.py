"""Counting products from images of each alone: trained on single items, on pasted ones, and on pasted and lit ones.

DATA is the folder of GroceryStoreDataset's packaged products with its ``annotations.json`` (``split`` of each image).
Products are cut out of their store photographs, those of the split train for training and those of the split test for
the images to count, which are composed and lit with another seed. No photograph is in both.

    python benchmarks/checkout.py grocery_packaged --out /tmp/checkout
"""

import argparse
import collections
import dataclasses
import json
import shutil
import time
from pathlib import Path

from jaxloc.options import ComposeOptions, CountOptions, CutOptions, EvaluateOptions, TrainCounterOptions
from jaxloc.report.tables import text_table
from jaxloc.run.checkout import compose, count, train
from jaxloc.run.evaluation import evaluate_files
from jaxloc.run.evaluation.counts import LevelScore
from jaxloc.run.runtime import compile_cache

ALL = ("easy", "medium", "hard")
TRAINING = {
    "Single": {"levels": ("single",), "render": "none"},
    "Syn": {"render": "none"},
    "Syn, simulated": {"render": "simulated"},
}
"""What is composed to learn from, as the paper's first three rows."""


def link_products(data: Path, out: Path, kinds: int) -> None:
    """The photographs of some products, evenly over their names since neighbours look alike, by split and kind."""
    coco = json.loads((data / "annotations.json").read_text())
    by_kind: dict[str, dict[str, list[str]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for image in coco["images"]:
        by_kind[image["file_name"].split("/")[0]][image["split"]].append(image["file_name"])
    for kind in sorted(by_kind)[:: len(by_kind) // kinds][:kinds]:
        for split in ("train", "test"):
            (out / split / kind).mkdir(parents=True)
            for name in by_kind[kind][split]:
                shutil.copy(data / name, out / split / kind)


def line(name: str, one: LevelScore, seconds: float) -> list[str]:
    accuracy, distance, class_distance, class_iou = one.counting
    shares = [f"{100 * value:.2f}" for value in (class_iou, one.map50, one.mmap)]
    return [name, f"{100 * accuracy:.2f}", f"{distance:.2f}", f"{class_distance:.2f}", *shares, f"{seconds:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder, which a stopped run resumes in")
    parser.add_argument("--kinds", type=int, default=10)
    parser.add_argument("--images", type=int, default=120, help="composed to learn from")
    parser.add_argument("--test-images", type=int, default=50)
    parser.add_argument("--level", action="append", choices=ALL, help="of clutter, all by default; repeatable")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--method", default="ddt", help="that finds products in their photographs")
    asked = parser.parse_args()
    compile_cache()
    photos = asked.out / "photos"
    if not photos.exists():
        link_products(asked.data, photos, asked.kinds)
    cutting = CutOptions(method=asked.method)
    cut = ComposeOptions(images=1, side=asked.side, levels=ALL, cutting=cutting)
    start = time.perf_counter()
    for split in ("train", "test"):  # cut out once; the cutouts in OUT/cut-SPLIT are there to look at
        done = compose(photos / split, asked.out / f"cut-{split}", cut)
        print(f"{split}: {done.exemplars} products cut out, {len(done.skipped)} photographs not used", flush=True)
    print(f"cut out in {time.perf_counter() - start:.0f} s", flush=True)
    products = {split: asked.out / f"cut-{split}" / "work" / "cutouts" for split in ("train", "test")}
    levels = tuple(asked.level or ALL)
    test = dataclasses.replace(cut, images=asked.test_images, levels=levels, seed=1)
    truth = compose(products["test"], asked.out / "test", test).folder / "dataset"
    head = ["trained on", "cAcc", "ACD", "mCCD", "mCIoU", "mAP50", "mmAP", "seconds"]
    tables: dict[str, list[list[str]]] = collections.defaultdict(list)
    for name, how in TRAINING.items():
        start, folder = time.perf_counter(), asked.out / name.replace(", ", "-").lower()
        made = compose(
            products["train"], folder, dataclasses.replace(cut, images=asked.images, **{"levels": levels} | how)
        )
        options = TrainCounterOptions(side=asked.side, steps=asked.steps, validation_steps=max(10, asked.steps // 6))
        counter = train(made.folder / "dataset", folder / "model", options)
        counted = count(counter.file, [truth / "images"], folder / "counted", CountOptions())
        seconds = time.perf_counter() - start
        for threshold in (None, "best"):
            rules = EvaluateOptions(counts=True, count_threshold=threshold)
            scores = evaluate_files(counted.folder, truth, rules).counts
            assert scores is not None
            at = f"score ≥ {scores.threshold:.2f}, from validation" if threshold is None else "best threshold"
            for level, one in scores.levels.items():
                tables[f"{level}, {'best threshold' if threshold else 'threshold of validation'}"].append(
                    line(name, one, seconds)
                )
            print(f"{name}: {at}: {scores.levels['averaged'].counting}", flush=True)
    for title, rows in tables.items():
        print(f"\n{title}\n{text_table(head, rows)}")


if __name__ == "__main__":
    main()
