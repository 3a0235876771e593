"""VOC's development kit (VOCevaldet.m, VOCap.m, VOC2007's VOCevaldet) and the rule for points, loop by loop."""

Box = tuple[float, float, float, float]


def overlap(a: Box, b: Box, *, inclusive: bool = False) -> float:
    more = 1.0 if inclusive else 0.0
    wide, high = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + more for i in (0, 1))
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0] + more) * (box[3] - box[1] + more) for box in (a, b)]
    return wide * high / (areas[0] + areas[1] - wide * high)


def curve(detections: list, objects: dict, kind: str, *, inclusive: bool = False) -> tuple[list[float], list[float]]:
    """Recall and precision after each ``(score, image, box or point)``, with objects ``{image: [(box, hard)]}``."""
    found: dict[str, list[bool]] = {image: [False] * len(some) for image, some in objects.items()}
    if kind == "box":
        positives = sum(not hard for some in objects.values() for _, hard in some)
    else:
        positives = sum(any(not hard for _, hard in some) for some in objects.values())
    right = wrong = 0
    recall, precision = [], []
    for _, image, where in sorted(detections, key=lambda one: -one[0]):
        some = objects.get(image, [])
        if kind == "box":
            best, place = -1.0, None
            for number, (box, _) in enumerate(some):
                value = overlap(where, box, inclusive=inclusive)
                if value > best:
                    best, place = value, number
            if place is not None and best > 0.5:
                if some[place][1]:
                    continue
                right, wrong = (right, wrong + 1) if found[image][place] else (right + 1, wrong)
                found[image][place] = True
            else:
                wrong += 1
        else:
            x, y = where
            hits = [hard for (x0, y0, x1, y1), hard in some if x0 <= x <= x1 and y0 <= y <= y1]
            if hits and all(hits):
                continue
            right, wrong = (right + 1, wrong) if hits else (right, wrong + 1)
        recall.append(right / positives)
        precision.append(right / (right + wrong))
    return recall, precision


def area(recall: list[float], precision: list[float]) -> float:
    recall, precision = [0.0, *recall, 1.0], [0.0, *precision, 0.0]
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    return sum((recall[n + 1] - recall[n]) * precision[n + 1] for n in range(len(recall) - 1))


def at_points(recall: list[float], precision: list[float], points: int) -> float:
    best = 0.0
    for number in range(points):
        least = number / (points - 1)
        best += max((p for r, p in zip(recall, precision, strict=True) if r >= least), default=0.0)
    return best / points
