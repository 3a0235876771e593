"""Lists of COCO results, which name images and categories by the ids of their truth, or as tools write them."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from jaxloc.errors import UsageError


def lacking(entry: Any, fields: tuple[str, ...]) -> str:
    """The fields that an entry does not have, in words; all if it is no entry."""
    return enumerated([field for field in fields if not isinstance(entry, dict) or field not in entry])


def enumerated(words: list[str]) -> str:
    """Words as a sentence lists them."""
    *some, last = words or [""]
    return f"{', '.join(some)} and {last}" if some else last


def check_results(results: list[Any], path: str) -> None:
    """Raise ``UsageError`` if an entry is no result: it lacks an id, or both box and mask."""
    for number, entry in enumerate(results, 1):
        masked = isinstance(entry, dict) and entry.get("segmentation")
        if missing := lacking(entry, ("image_id", "category_id", *([] if masked else ["bbox"]))):
            raise UsageError(
                f"{path}: not a COCO annotation file, nor a list of COCO results: entry {number} has no {missing}"
            )


def explained(results: list[Any], path: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """A list of results as an annotation file, with the images and categories of its truth.

    Where ids are none of the truth's, they may be the same as strings, an image's may be its name with or without
    folders and extension (as a number if it is one, as Ultralytics writes it), and a category's its name.
    """
    for number, entry in enumerate(results, 1):
        entry.setdefault("id", number)
        if entry.get("score") is None:
            raise UsageError(f"{path}: result {number} has no score")
    _translate(results, "image_id", [_image_keys(entry) for entry in known["images"]], "an image", path)
    categories = [(entry["id"], (str(entry["id"]),), (str(entry["name"]),)) for entry in known["categories"]]
    _translate(results, "category_id", categories, "a category", path)
    # Other fields of the truth's images are no predictions.
    images = [{name: one.get(name) for name in ("id", "file_name", "width", "height")} for one in known["images"]]
    return {"images": images, "categories": known["categories"], "annotations": results}


_Keys = tuple[Any, tuple[str, ...], tuple[str, ...]]
"""An id, the id as text, and names."""


def _image_keys(entry: Mapping[str, Any]) -> _Keys:
    name = PurePosixPath(str(entry["file_name"]).replace("\\", "/"))
    stems = {str(name), name.name, str(name.with_suffix("")), name.stem}
    return entry["id"], (str(entry["id"]),), (*stems, *(stem.lstrip("0") for stem in stems if stem.isdecimal()))


def _translate(results: list[Any], field: str, known: Sequence[_Keys], what: str, path: str) -> None:
    """Put the truth's ids in place of others, by the kind of key that most results have, the id itself first."""
    ids = {key for key, _, _ in known}
    if all(entry[field] in ids for entry in results):
        return
    texts, names = ({text: keys[0] for keys in known for text in keys[kind]} for kind in (1, 2))
    found = [[ids_of.get(str(entry[field])) for entry in results] for ids_of in (texts, names)]
    best = max(found, key=lambda some: len(some) - some.count(None))
    if all(one is None for one in best):
        example = f"{known[0][0]!r} ({known[0][2][0]})" if known else "none"
        raise UsageError(
            f"{path}: no {field} is that of {what} of the truth: the results' are like {results[0][field]!r}, the "
            f"truth's like {example}: is the truth the file that they were made for?"
        )
    for entry, own in zip(results, best, strict=True):
        entry[field] = entry[field] if own is None else own
