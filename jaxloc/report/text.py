"""Text: counts, lists cut to their first lines, and JSON with an entry a line."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

SHOWN = 10
"""Lines of a list that are printed; a file beside holds all of them."""


def json_lists(lists: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """Lists by name as the last members of a JSON object, an entry a line, one entry in memory at a time."""
    for number, (name, entries) in enumerate(lists.items()):
        yield f'{"," if number else ""}\n "{name}": ['
        before, end = "\n  ", "]"
        for entry in entries:
            yield before + json.dumps(entry)
            before, end = ",\n  ", "\n ]"
        yield end
    yield "\n}\n"


def some_of(names: Sequence[str], shown: int = 3) -> str:
    """The first names, and the number of the others."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """A number and its noun, such as ``"1,200 images"``; a final ``"ry"`` becomes ``"ries"``, an ``"s"`` ``"ses"``."""
    plural = (
        noun[:-1] + "ies"
        if noun.endswith("y") and noun[-2] not in "aeou"
        else noun + ("es" if noun.endswith("s") else "s")
    )
    return f"{number:,} {noun if number == 1 else plural}"


def warnings(texts: Sequence[str], file: str) -> list[str]:
    """The first warnings, and the number of the others that ``file`` lists."""
    more = len(texts) - SHOWN
    rest = [f"… and {more:,} more warnings, listed in {file}"] if more > 0 else []
    return [*(f"Warning: {text}" for text in texts[:SHOWN]), *rest]


def reasons(heading: str, first: Iterable[tuple[str, str]], number: int, file: str = "") -> list[str]:
    """The ``first`` names of ``number`` with their reasons under a heading, and a count of the others in ``file``."""
    lines = [f"  {name}: {reason}" for name, reason in itertools.islice(first, SHOWN)]
    if number > SHOWN:
        lines.append(f"  … and {number - SHOWN:,} more" + (f", listed in {file}" if file else ""))
    return ["\n".join([f"{heading}:", *lines])] if lines else []
