"""``jaxloc evaluate`` beside a plain script that shares nothing with it: equal to the last digit, by every rule."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from jaxloc.run import Options, colocalize
from tests.cli import cli
from tests.reference.corloc_script import corloc
from tests.run.evaluation.coco import CLASSES, Coco

RULES = list(
    itertools.product(
        (0.25, 0.5, 0.7),
        (False, True),
        (False, True),
        ((), ("difficult",), ("truncated",), ("difficult", "truncated")),
        ((), ("test",), ("train", "val")),
    )
)


def random_boxes(rng: np.random.Generator, flags: bool) -> list[tuple]:
    boxes = []
    for _ in range(rng.integers(4)):
        x, y = rng.integers(0, 15, 2).tolist()
        width, height = rng.integers(4, 12, 2).tolist()
        some = [flag for flag in ("difficult", "truncated", "iscrowd") if flags and rng.random() < 0.2]
        score = rng.integers(1, 4).item() / 4
        boxes.append((CLASSES[rng.integers(3)], x, y, x + width, y + height, score, *some))
    return boxes


def make_files(folder: Path, rng: np.random.Generator, *, own_class: bool) -> tuple[Path, Path]:
    """Small whole numbers, so that many overlaps are exactly at a threshold; some boxes reach out of their image."""
    said, true = Coco(folder / "said.json"), Coco(folder / "true.json")
    for number in range(60):
        split = ("train", "val", "test")[number % 3]
        category = CLASSES[rng.integers(3)] if own_class else None
        size = {"width": 24, "height": 22}
        boxes = random_boxes(rng, flags=True)
        true.add(f"{number}.jpg", category, boxes, split=split, **size)
        wider, higher = rng.integers(0, 5, 2).tolist()
        near = [(of, x0, y0, x1 + wider, y1 + higher, 0.75) for of, x0, y0, x1, y1, *_ in boxes]
        if rng.random() < 0.9:
            said.add(f"{number}.jpg", category, near + random_boxes(rng, flags=False), **size)
    return said.save(), true.save()


def check(said: Path, true: Path, rules: tuple, draws: int = 0, seed: int = 0) -> dict:
    iou, at_least, inclusive, ignored, splits = rules
    given = ["--iou", iou, *(["--at-least"] if at_least else []), *(["--voc-inclusive"] if inclusive else [])]
    given += [f"--include-{flag}" for flag in ("difficult", "truncated") if flag not in ignored]
    given += [word for split in splits for word in ("--split", split)]
    status, out, err = cli.invoke("evaluate", said, true, *given, "--bootstrap", draws, "--seed", seed, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    files = (json.loads(path.read_text()) for path in (said, true))
    shares, mean, overall, interval = corloc(*files, iou, at_least, inclusive, ignored, splits, draws, seed)
    measured = {one["category"]: one["corloc"] for one in found["classes"] if one["images"]}
    assert measured == shares
    assert found["mean_corloc"] == found["mean"]["CorLoc"]["value"] == mean
    assert found["overall"]["CorLoc"]["value"] == overall
    assert found["mean"]["CorLoc"].get("interval") == interval
    return shares


@pytest.mark.parametrize("own_class", [False, True])
def test_every_combination_of_rules_gives_what_the_script_gives(tmp_path, own_class):
    said, true = make_files(tmp_path, np.random.default_rng(own_class), own_class=own_class)
    rules = RULES[own_class::5]  # 5 divides no number of choices, so every two choices meet
    seen = {tuple(check(said, true, one).values()) for one in rules}
    assert len(seen) > len(rules) // 3, "the rules must matter"


def test_intervals_are_the_scripts(tmp_path):
    said, true = make_files(tmp_path, np.random.default_rng(5), own_class=False)
    for seed in (0, 3):
        check(said, true, RULES[0], draws=40, seed=seed)


@pytest.mark.photos
def test_real_predictions_give_what_the_script_gives(photos_folder, tmp_path):
    source = photos_folder / "voc07_left"
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        (tmp_path / "in" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:5]:
            (tmp_path / "in" / folder.name / photo.name).symlink_to(photo)
    colocalize([tmp_path / "in"], tmp_path / "out", Options(max_side=96), per_folder=True)
    truth = json.loads((source / "annotations.json").read_text())
    for image in truth["images"]:
        image["split"] = ("train", "val", "test")[image["id"] % 3]
    rng = np.random.default_rng(0)
    for one in truth["annotations"]:
        one["difficult"], one["truncated"] = (rng.random(2) < 0.2).astype(int).tolist()
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    shares = [check(tmp_path / "out" / "annotations.json", tmp_path / "truth.json", rules) for rules in RULES[::7]]
    assert len(shares[0]) == 6
    assert 0 < max(shares[0].values()) < 100
    check(tmp_path / "out" / "annotations.json", tmp_path / "truth.json", RULES[0], draws=100)
