"""MaxBoxAcc and PxAP as Choe et al. (CVPR 2020) compute them, threshold by threshold and pixel by pixel, in float64."""

import numpy as np

THRESHOLDS = np.arange(0, 1, 0.001)


def components(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Cells of each component of 8 neighbours, by flood fill."""
    left = {tuple(map(int, cell)) for cell in np.argwhere(mask)}
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        left.remove(start)
        cells, open_cells = [], [start]
        while open_cells:
            row, column = open_cells.pop()
            cells.append((row, column))
            for neighbour in ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                if neighbour in left:
                    left.remove(neighbour)
                    open_cells.append(neighbour)
        found.append(cells)
    return found


def boxes_above(grey: np.ndarray, level: int, largest_only: bool) -> list[list[int]]:
    height, width = grey.shape
    found = components(grey > level)
    if not found:
        return [[0, 0, 0, 0]]
    if largest_only:
        found = [max(found, key=len)]
    boxes = []
    for cells in found:
        rows, columns = [row for row, _ in cells], [column for _, column in cells]
        right, bottom = max(columns) + 1, max(rows) + 1
        boxes.append([min(columns), min(rows), min(right, width - 1), min(bottom, height - 1)])
    return boxes


def iou(a: list[int], b: list[int]) -> float:
    """Both corners are pixels of the box."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    area_a, area_b = ((c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b))
    return width * height / (area_a + area_b - width * height)


def max_box_accuracy(maps: list, truths: list, deltas: tuple[float, ...], largest_only: bool) -> float:
    """For each overlap the best share over all thresholds; then their mean."""
    correct = np.zeros((len(deltas), len(THRESHOLDS)))
    for score_map, truth in zip(maps, truths, strict=True):
        grey = (score_map * 255).astype(np.uint8)
        whole = [[int(number) for number in box] for box in truth]
        known: dict[int, float] = {}
        for place, threshold in enumerate(THRESHOLDS):
            level = int(threshold * grey.max())
            if level not in known:
                known[level] = max(iou(box, true) for box in boxes_above(grey, level, largest_only) for true in whole)
            for row, delta in enumerate(deltas):
                correct[row, place] += known[level] >= delta
    return float(np.mean([row.max() / len(maps) for row in correct]))


def pixel_average_precision(maps: list, masks: list) -> float:
    """Σ precision(τ) · (recall(τ) − recall(τ of the next higher threshold)), from the highest threshold down."""
    scores = np.concatenate([score_map.ravel() for score_map in maps])
    inside = np.concatenate([mask.ravel() for mask in masks])
    area = recall_before = 0.0
    for threshold in [1.0, *THRESHOLDS[::-1]]:
        called = scores >= threshold
        if called.any():
            recall = (called & inside).sum() / inside.sum()
            area += (called & inside).sum() / called.sum() * (recall - recall_before)
            recall_before = recall
    return float(area)
