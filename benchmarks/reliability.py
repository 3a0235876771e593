"""How reliable the score of a box is: of the boxes in an interval of scores, the share that is right (IoU > 0.5).

RESULT is the folder that ``jaxloc colocalize DATA --per-folder --out RESULT`` wrote, TRUTH an annotation file of the
same images. The last column is the expected calibration error of each class: the mean difference, over ten equal
intervals, of the probability that a box is right and the share that is, where the probability is a logistic function of
the score's logit that is fitted on all other classes.

    python benchmarks/reliability.py RESULT TRUTH
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from jaxloc.data.annotations import read
from jaxloc.metrics import box_iou
from jaxloc.report.tables import text_table

INTERVALS = (0, 0.3, 0.4, 0.5, 0.6, 1)


def main() -> None:
    """Print the table of one result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("truth", type=Path)
    arguments = parser.parse_args()
    truth = read(arguments.truth).images
    seen: dict[str, list[tuple[float, bool]]] = {}
    for name, image in read(arguments.result / "annotations.json").images.items():
        for found in image.annotations:
            true = [box[:4] for box in truth[name].boxes[found.category]]
            right = bool(box_iou(found.box, true).max() > 0.5)
            seen.setdefault(found.category, []).append((found.score or 0.0, right))
    classes = {name: np.array(pairs, float).T for name, pairs in seen.items()}
    rows: list[list[object]] = []
    for name, (scores, right) in classes.items():
        others = np.hstack([pairs for other, pairs in classes.items() if other != name])
        fitted = LogisticRegression().fit(logits(others[0]), others[1])
        error = calibration_error(fitted.predict_proba(logits(scores))[:, 1], right)
        rows.append([name, *shares(scores, right), f"{error:.2f}"])
    rows.append(["all", *shares(*np.hstack(list(classes.values()))), "–"])
    heads = [f"{low:g}–{high:g}" for low, high in itertools.pairwise(INTERVALS)]
    print(text_table(["class", *heads, "error"], rows))


def logits(scores: np.ndarray) -> np.ndarray:
    """Logits ``[n, 1]`` of scores, which are below 1."""
    return np.log(np.maximum(scores, 1e-3) / (1 - scores))[:, None]


def shares(scores: np.ndarray, right: np.ndarray) -> list[str]:
    """The share that is right, and the number, of each interval."""
    inside = [(low <= scores) & (scores < high) for low, high in itertools.pairwise(INTERVALS)]
    return [f"{right[some].mean():.2f} of {some.sum()}" if some.any() else "–" for some in inside]


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over ten equal intervals."""
    interval = np.minimum((10 * probabilities).astype(int), 9)
    inside = [interval == one for one in np.unique(interval)]
    return sum(abs((probabilities - right)[some].mean()) * some.mean() for some in inside)


if __name__ == "__main__":
    main()
