"""Names of the same images that start from different folders."""

from collections.abc import Iterable

from jaxloc.data.places import normal_form
from jaxloc.run.evaluation.results import Note


def pair_alike(predicted: Iterable[str], truth: Iterable[str]) -> dict[str, str]:
    """Pair names that differ in Unicode normalisation or letter case only; names that have their like are left out.

    Returns:
        the true name by the predicted one.
    """
    known, own = set(truth), set(predicted)
    ours, theirs = (_by_form(names) for names in (own - known, known - own))
    return {ours[form]: theirs[form] for form in ours.keys() & theirs.keys()}


def _by_form(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(normal_form(name), []).append(name)
    return {form: some[0] for form, some in found.items() if len(some) == 1}


def pair_endings(predicted: Iterable[str], truth: Iterable[str]) -> dict[str, str]:
    """Pair names by their longest common ending, in whole folders, where it belongs to one name of each side alone.

    Returns:
        the true name by the predicted one; names without a pair are left out.
    """
    left, right = ({name: name.split("/") for name in names} for names in (predicted, truth))
    pairs: dict[str, str] = {}
    for length in range(max(map(len, [*left.values(), *right.values()]), default=0), 0, -1):
        ours, theirs = _by_ending(left, length), _by_ending(right, length)
        found = {ours[ending]: theirs[ending] for ending in ours.keys() & theirs.keys()}
        pairs |= {one: other for one, other in found.items() if one is not None and other is not None}
        left = {name: folders for name, folders in left.items() if name not in pairs}
        taken = set(pairs.values())
        right = {name: folders for name, folders in right.items() if name not in taken}
    return pairs


def _by_ending(names: dict[str, list[str]], length: int) -> dict[tuple[str, ...], str | None]:
    """The name with each ending of this many folders; ``None`` where several have it."""
    found: dict[tuple[str, ...], str | None] = {}
    for name, folders in names.items():
        if len(folders) >= length:
            ending = tuple(folders[-length:])
            found[ending] = None if ending in found else name
    return found


def paired_note(pairs: dict[str, str]) -> Note:
    """The note that says how names were paired."""
    text = "No image has the same name on both sides; images were matched by the longest common ending of their names"
    return Note("matched names", text, tuple(f"{one} with {other}" for one, other in pairs.items()))
