"""Match predictions with the truth by class and image, and name every mismatch."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.report.text import SHOWN, some_of
from jaxloc.run.evaluation.results import Note

_OBJECT = "object"
_DAMAGED = "Images all of whose true boxes are damaged, left out"
_TURNED = ": stored rotated by EXIF, and annotated as if it were not; annotate it as it is shown"
_SLACK = 0.05
"""Pixels by which a box may leave its image without being named: files round their numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One image as an image of one class.

    Attributes:
        truth: the image as the truth has it.
        prediction: as the predictions have it; ``None`` if they do not.
        objects: true objects of the class that count.
        excluded: true objects of the class that do not: flagged, or a crowd.
        found: predicted objects of the class, highest score first, of equal ones in the file's order.
        damaged: whether the truth may hold more objects of the class, whose entries are damaged.
        image_set: the set in which the object was predicted: its predicted class, also where classes do not count.
    """

    truth: Annotated
    prediction: Annotated | None
    objects: tuple[Annotation, ...]
    excluded: tuple[Annotation, ...]
    found: tuple[Annotation, ...]
    damaged: bool
    image_set: str

    @property
    def left_out(self) -> bool:
        """Whether the image does not count, because none of its objects does or they are damaged."""
        return not self.objects and (self.damaged or bool(self.excluded))

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the image, where either side knows them."""
        for image in (self.truth, self.prediction):
            if image is not None and image.width and image.height:
                return image.width, image.height
        return None


def match(
    predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated], options: EvaluateOptions
) -> tuple[dict[str, list[Case]], list[Note]]:
    """Pair images by name and boxes by class; see ``evaluate``.

    Returns:
        cases by class, in order of name, with all images of a class in the truth's order; and the mismatches.
    """
    of_splits = _of_splits(truth, options.splits)
    chosen = _of_classes(of_splits, options.classes)
    wanted = set(options.classes)
    known = {category for image in of_splits.values() for category in (*_categories(image), *_all_categories(image))}
    image_sets = {name: min(_all_categories(image), default="") for name, image in predictions.items()}
    if options.any_class:
        predictions, chosen, wanted, known = _one_class(predictions), _one_class(chosen), set(), {_OBJECT}
    _check_common(predictions, chosen)
    notes = _Notes()
    apart = "wrong in AP and left out of the rest" if options.point or options.detection else "left out"
    for name in sorted(predictions.keys() - chosen.keys()):
        if name in of_splits:
            notes.add("images of other classes", f"Predictions for images of other classes, {apart}", name)
        elif name in truth:
            notes.add("images of other splits", "Predictions for images of other splits, left out", name)
        else:
            notes.add("unknown images", "Not in the ground truth, left out", name)
    kept = {}
    for name, image in chosen.items():
        prediction = predictions.get(name)
        if prediction is not None and _sizes_differ(prediction, image):
            sizes = [(one.width, one.height) for one in (prediction, image)]
            predicted, true = (f"{width} × {height}" for width, height in sizes)
            what = f"{name} ({predicted} predicted, {true} in the ground truth{_TURNED * (sizes[0] == sizes[1][::-1])})"
            notes.add("different sizes", "Images whose size is another in the ground truth, left out", what)
        else:
            kept[name] = (image, prediction)
    if not any(prediction is not None for _, prediction in kept.values()):
        first = next(note.names[0] for note in notes.all() if note.kind == "different sizes")
        raise UsageError(f"no image is of the size that the ground truth says: {first}")
    cases: dict[str, list[Case]] = {}
    objects = {name: _by_class(image, "the ground truth", notes) for name, (image, _) in kept.items()}
    for name, (image, prediction) in kept.items():
        found = {} if prediction is None else _by_class(prediction, "the predictions", notes)
        categories = _categories(image)
        if not categories and image.damaged:
            notes.add("damaged images", _DAMAGED, name)
        elif not categories:
            notes.add("no class", "Images of the ground truth without class and without objects, left out", name)
        for category in sorted({*found, *([] if prediction is None else prediction.categories)}):
            if category not in known:
                text = "Predicted classes that the ground truth does not have, left out"
                notes.add("unknown classes", text, category)
            elif category not in categories and category in found and (not wanted or category in wanted):
                notes.add("other classes", f"Images with predictions of a class that they are not of, {apart}", name)
        for category in categories:
            case = _case(category, image, prediction, objects[name], found, options)
            if options.any_class:
                case = dataclasses.replace(case, image_set=image_sets.get(name, ""))
            cases.setdefault(category, []).append(case)
            _name_case(category, name, case, notes)
        noise = [] if prediction is None else [prediction.noise_of(category) or 0 for category in prediction.categories]
        if not all(map(math.isfinite, noise)):
            notes.add("no noise score", "Images whose noise score is no number, left out of the noise AUC", name)
    return dict(sorted(cases.items())), notes.all()


def in_other_images(
    predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated], options: EvaluateOptions
) -> dict[str, list[Case | None]]:
    """By class, all images of the truth that ``match`` has no case of, in its order; ``None`` where nothing is of it.

    Images of another size in the truth are left out.
    """
    predictions, images = asked_for(predictions, truth, options)
    classes = {category for image in images.values() for category in _categories(image)}
    cases: dict[str, list[Case | None]] = {category: [] for category in classes}
    unnamed = _Notes()  # match names the same problems
    for name, image in images.items():
        prediction = predictions.get(name)
        if prediction is not None and _sizes_differ(prediction, image):
            continue
        objects = _by_class(image, "the ground truth", unnamed)
        found = {} if prediction is None else _by_class(prediction, "the predictions", unnamed)
        for category in classes.difference(_categories(image)):
            there = category in objects or category in found
            cases[category].append(_case(category, image, prediction, objects, found, options) if there else None)
    return cases


def asked_for(
    predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated], options: EvaluateOptions
) -> tuple[Mapping[str, Annotated], Mapping[str, Annotated]]:
    """Both sides with the truth's images of the splits, and one class where classes do not count."""
    images = _of_splits(truth, options.splits)
    return (_one_class(predictions), _one_class(images)) if options.any_class else (predictions, images)


class _Notes:
    def __init__(self) -> None:
        self._names: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, kind: str, text: str, name: str) -> None:
        self._names.setdefault((kind, text), {})[name] = None

    def all(self) -> list[Note]:
        return [Note(kind, text, tuple(names)) for (kind, text), names in self._names.items()]


def _one_class(images: Mapping[str, Annotated]) -> dict[str, Annotated]:
    return {
        name: dataclasses.replace(
            image,
            category=_OBJECT,
            annotations=tuple(dataclasses.replace(one, category=_OBJECT) for one in image.annotations),
            damaged=(_OBJECT,) if image.damaged else (),
        )
        for name, image in images.items()
    }


def _of_splits(truth: Mapping[str, Annotated], splits: tuple[str, ...]) -> Mapping[str, Annotated]:
    if not splits:
        return truth
    _check_there("split", splits, {split for image in truth.values() for split in image.splits})
    return {name: image for name, image in truth.items() if set(splits) & set(image.splits)}


def _categories(image: Annotated) -> list[str]:
    """The classes that a true image counts for."""
    if image.category is not None or image.listed:
        return image.categories
    return sorted({one.category for one in image.annotations} | set(filter(None, image.damaged)))


def _all_categories(image: Annotated) -> set[str]:
    return {*image.categories, *(one.category for one in image.annotations)}


def _of_classes(truth: Mapping[str, Annotated], classes: tuple[str, ...]) -> Mapping[str, Annotated]:
    """The images that count for these classes, or may, with their objects of them."""
    if not classes:
        return truth
    _check_there("class", classes, {category for image in truth.values() for category in _categories(image)})
    chosen = {}
    for name, image in truth.items():
        own = [category for category in _categories(image) if category in classes]
        if own or (not _categories(image) and image.damaged):
            chosen[name] = dataclasses.replace(
                image,
                annotations=tuple(one for one in image.annotations if one.category in classes),
                listed=tuple((category, score) for category, score in image.listed if category in classes),
                damaged=tuple(category for category in image.damaged if category in ("", *classes)),
            )
    return chosen


def _check_there(kind: str, asked: Iterable[str], there: set[str]) -> None:
    for name in asked:
        if name not in there:
            has = some_of(sorted(there), SHOWN) or ("no splits" if kind == "split" else "none")
            raise UsageError(f"the ground truth has no images of the {kind} {name!r}; it has {has}")


def _check_common(predicted: Mapping[str, Annotated], truth: Mapping[str, Annotated]) -> None:
    if not predicted.keys() & truth.keys():
        raise UsageError(
            f"no image in common: predictions name them like {next(iter(predicted), 'nothing')!r}, the ground truth "
            f"like {next(iter(truth), 'nothing')!r}; {_why_apart(predicted, truth)}"
        )
    found, wanted = (
        {category for image in images.values() for category in _all_categories(image)} for images in (predicted, truth)
    )
    if not found & wanted:
        has, true = (some_of(sorted(some), SHOWN) or "none" for some in (found, wanted))
        raise UsageError(
            f"no category in common: predictions have {has}, the ground truth {true}; use --per-folder or --category "
            "when predicting, or --any-class here"
        )


def _why_apart(predicted: Mapping[str, Annotated], truth: Mapping[str, Annotated]) -> str:
    flat, true = ({name.replace("/", "_") for name in images} for images in (predicted, truth))
    if flat & true:
        return (
            "one side has lost its folders, as in a layout without them: give what was exported, or the export with "
            "its export.json, which says how images were called"
        )
    last, true = ({name.rpartition("/")[2] for name in images} for images in (predicted, truth))
    if last & true:
        return "several images end alike: localize again from the folder that the ground truth names start from"
    return "are they of the same images?"


def _by_class(image: Annotated, side: str, notes: _Notes) -> dict[str, list[Annotation]]:
    objects: dict[str, list[Annotation]] = {}
    for one in image.annotations:
        if not _has_area(one):
            notes.add(
                f"no area in {side}", f"Images with boxes without area in {side}, these boxes left out", image.name
            )
            continue
        if not math.isfinite(one.score):
            notes.add("no score", "Images with predictions whose score is no number, these left out", image.name)
            continue
        if image.width and image.height:
            x0, y0, x1, y1 = one.box
            over = max(-x0, -y0, x1 - image.width, y1 - image.height)
            if over > _SLACK:
                text = f"Images with boxes that reach out of them in {side}, taken as they are"
                notes.add(f"outside in {side}", text, image.name)
        objects.setdefault(one.category, []).append(one)
    return objects


def _sizes_differ(image: Annotated, other: Annotated) -> bool:
    sizes = {(one.width, one.height) for one in (image, other)}
    return len(sizes) > 1 and not any(None in size for size in sizes)


def _has_area(one: Annotation) -> bool:
    x0, y0, x1, y1 = one.box
    return x1 > x0 and y1 > y0 and all(map(math.isfinite, one.box))


def _case(
    category: str,
    truth: Annotated,
    prediction: Annotated | None,
    objects: Mapping[str, list[Annotation]],
    found: Mapping[str, list[Annotation]],
    options: EvaluateOptions,
) -> Case:
    counting: list[Annotation] = []
    excluded: list[Annotation] = []
    for one in objects.get(category, ()):
        flagged = one.crowd or (one.difficult and not options.include_difficult)
        flagged = flagged or (one.truncated and not options.include_truncated)
        (excluded if flagged else counting).append(one)
    ranked = sorted((one for one in found.get(category, ()) if not one.crowd), key=lambda one: -one.score)
    lost = {one.category for one in truth.annotations if not _has_area(one)}.union(truth.damaged)
    return Case(
        truth, prediction, tuple(counting), tuple(excluded), tuple(ranked), bool(lost & {category, ""}), category
    )


def _name_case(category: str, name: str, case: Case, notes: _Notes) -> None:
    if case.left_out and case.damaged:
        notes.add("damaged images", _DAMAGED, f"{name} ({category})")
    elif case.left_out:
        text = "Images left out because all of their objects of a class are difficult, truncated or a crowd"
        notes.add("excluded images", text, f"{name} ({category})")
    elif case.objects and case.prediction is None:
        notes.add("missing images", "Not in the predictions, counted as wrong", name)
    elif case.objects and not case.found:
        notes.add("no box", "Images without a predicted box of their class, counted as wrong", name)
    if len(case.found) > 1:
        text = "Images with several predicted boxes of a class, of which the highest score counts for CorLoc"
        notes.add("several boxes", text, name)
