"""EISS and beam search of one image in float64, and a classifier of three classes that looks at colours."""

import numpy as np

SIDE, CELLS = 28, 7


def toy_image(rows: int = 48, columns: int = 64) -> np.ndarray:
    """A red ellipse, x 28 to 52, y 17 to 35. No two places are alike, so that no two windows score the same."""
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    ground = [0.25 + 0.1 * np.sin(x / 5), 0.3 + 0.1 * np.cos(y / 7), 0.45 + 0.1 * np.sin((x + y) / 9)]
    image = np.stack(ground, -1)
    image[..., 0] += 0.05 * np.sin(1.7 * x + 2.9 * y) + 0.002 * y - 0.001 * x
    ellipse = ((x - 40) / 12) ** 2 + ((y - 26) / 9) ** 2
    red = [0.95 - 0.25 * ellipse + 0.03 * np.sin(2.3 * x - 1.1 * y), 0.2 + 0 * x, 0.15 + 0.05 * np.sin(x * y / 11)]
    return np.where((ellipse < 1)[..., None], np.stack(red, -1), image)


def toy_features(images: np.ndarray) -> np.ndarray:
    """Cell means ``[n, 7, 7, 3]`` of red without blue, green and blue."""
    red = np.maximum(images[..., 0] - images[..., 2], 0)
    values = np.stack([red, images[..., 1], images[..., 2]], -1)
    return values.reshape(len(images), CELLS, SIDE // CELLS, CELLS, SIDE // CELLS, 3).mean((2, 4))


def red_weights() -> np.ndarray:
    """Of each cell in the first class: red in the middle counts for it, red at the border against it."""
    inner = np.zeros((CELLS, CELLS))
    inner[1:-1, 1:-1] = 1 / 25
    return 12 * (inner - np.where(inner > 0, 0, 1 / 24)) + 6 / 49


def toy_head(maps: np.ndarray) -> np.ndarray:
    red = np.einsum("nyx,yx->n", maps[..., 0], red_weights())
    logits = np.stack([red, 4 * maps[..., 1].mean((1, 2)), 4 * maps[..., 2].mean((1, 2))], -1)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def bilinear(low: float, high: float, length: int, number: int) -> np.ndarray:
    """Pillow's bilinear weights, anti-aliased, of the pixels of ``[low, high)``."""
    scale = (high - low) / number
    pixel, centre = np.arange(length)[None], low + (np.arange(number)[:, None] + 0.5) * scale
    covered = np.clip(np.minimum(pixel + 1, high) - np.maximum(pixel, low), 0, 1)
    weights = np.maximum(0, 1 - np.abs(pixel + 0.5 - centre) / max(scale, 1)) * covered
    return weights / weights.sum(1, keepdims=True)


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[:2]
    down, across = bilinear(box[1], box[3], rows, SIDE), bilinear(box[0], box[2], columns, SIDE)
    return np.einsum("yh,xw,hwc->yxc", down, across, image, optimize=True)


def eiss(image: np.ndarray, *, classes=None, k=1, alpha=0.8, eta=10.0, best=5, grid=None, max_iterations=30) -> dict:
    """Boxes of the canvas after each iteration, the two scores of each, and how the search ended."""
    scale = np.array([image.shape[1] / SIDE, image.shape[0] / SIDE] * 2)
    whole = (0, 0, SIDE, SIDE)
    canvas = crop(image, whole * scale)
    passes = 0

    def ask(boxes: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of each box cropped, and of the canvas without it."""
        nonlocal passes
        passes += 2 * len(boxes)
        erased = np.repeat(canvas[None], len(boxes), 0)
        for one, (x0, y0, x1, y1) in zip(erased, boxes, strict=True):
            one[y0:y1, x0:x1] = 0
        cropped = np.stack([crop(image, np.array(box) * scale) for box in boxes])
        return toy_head(toy_features(cropped)), toy_head(toy_features(erased))

    first = ask([whole])
    classes = np.argsort(-first[0][0], kind="stable")[:k] if classes is None else np.asarray(classes)
    reference = first[0][0, classes]
    regions, sides = [whole], (SIDE, SIDE)
    scores = [tuple(float(part[0, classes] @ reference) for part in first)]
    converged = False
    while len(regions) <= max_iterations and not converged:
        region = regions[-1]
        window = [max(1, int(np.floor(side * alpha + 1e-3))) for side in sides]
        places = []
        for axis in (0, 1):
            slack = region[axis + 2] - region[axis] - window[axis]
            number = slack + 1 if grid is None else min(grid, slack + 1)
            steps = [(2 * i * slack + number - 1) // (2 * max(number - 1, 1)) for i in range(number)]
            places.append([region[axis] + step for step in steps])
        boxes = [(x, y, x + window[0], y + window[1]) for y in places[1] for x in places[0]]
        cropped, erased = (part[:, classes] @ reference for part in ask(boxes))
        order = [*np.argsort(-cropped, kind="stable")[:best], *np.argsort(erased, kind="stable")[:best]]
        low, high = (edge(np.array(boxes)[order], axis=0) for edge in (np.min, np.max))
        union = (*map(int, low[:2]), *map(int, high[2:]))
        scores.append(tuple(float(part[0, classes] @ reference) for part in ask([union])))
        sides = window if union == region else (union[2] - union[0], union[3] - union[1])
        regions.append(union)
        converged = scores[-1][0] - scores[-1][1] < eta / 100 * scores[0][0]
    cropped, erased = np.array(scores).T
    return {
        "box": np.array(regions[-1]) * scale,
        "regions": np.array(regions),
        "cropped": cropped,
        "erased": erased,
        "converged": converged,
        "passes": passes,
        "classes": classes,
    }


def stretch(part: np.ndarray, axis: int) -> np.ndarray:
    """One axis enlarged by a cell, bilinear at half-pixel centres, edges clamped."""
    length = part.shape[axis]
    place = np.clip((np.arange(length + 1) + 0.5) * length / (length + 1) - 0.5, 0, length - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, length - 1)
    share = (place - low).reshape([-1 if i == axis else 1 for i in range(part.ndim)])
    return np.take(part, low, axis) * (1 - share) + np.take(part, high, axis) * share


def beam(image: np.ndarray, target: int, *, width: int = 8, depth: int = 10) -> list[list[tuple[float, tuple]]]:
    """``(score, box)`` of the kept candidates of each level, best first."""
    rows, columns = image.shape[:2]
    parents, levels = [(0.0, 0.0, float(columns), float(rows))], []
    for _ in range(depth):
        found: list[tuple[float, tuple]] = []
        for parent in parents:
            (cells,) = toy_features(crop(image, np.array(parent))[None])
            x0, y0, x1, y1 = parent
            dx, dy = (x1 - x0) / CELLS, (y1 - y0) / CELLS
            parts = [stretch(cells[:, :-1], 1), stretch(cells[:, 1:], 1), stretch(cells[:-1], 0), stretch(cells[1:], 0)]
            boxes = [(x0, y0, x1 - dx, y1), (x0 + dx, y0, x1, y1), (x0, y0, x1, y1 - dy), (x0, y0 + dy, x1, y1)]
            found += zip(toy_head(np.stack(parts))[:, target].tolist(), boxes, strict=True)
        kept: list[tuple[float, tuple]] = []
        for score, box in sorted(found, key=lambda one: -one[0]):
            new = all(np.abs(np.subtract(box, other)).max() >= 1e-4 * max(rows, columns) for _, other in kept)
            if new and len(kept) < width:
                kept.append((score, box))
        levels.append(kept)
        parents = [box for _, box in kept]
    return levels


def heat(levels: list[list[tuple[float, tuple]]], rows: int, columns: int, cells: int) -> np.ndarray:
    """Sum of the scores of the boxes over each cell's centre."""
    total = np.zeros((cells, cells))
    y, x = ((np.arange(cells) + 0.5) / cells * side for side in (rows, columns))
    for score, (x0, y0, x1, y1) in (one for level in levels for one in level):
        total += score * ((y >= y0) & (y < y1))[:, None] * ((x >= x0) & (x < x1))
    return total


def enlarge(cells: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A map resized bilinearly."""
    down, across = (
        bilinear(0, cells.shape[0], cells.shape[0], rows),
        bilinear(0, cells.shape[1], cells.shape[1], columns),
    )
    return down @ cells @ across.T


def spread(cells: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Mean of the map over all cells, weighted by the cosine of their descriptors with each one's."""
    descriptors = features.reshape(-1, features.shape[-1])
    lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
    unit = descriptors / np.where(lengths > 0, lengths, 1)
    cosines = unit @ unit.T
    total = cosines.sum(1)
    return (cosines @ cells.ravel() / np.where(total > 0, total, 1)).reshape(cells.shape)
