"""Text that can be shown and written anywhere."""

from collections.abc import Sequence


def displayable(text: str) -> str:
    """``text`` with U+FFFD for lone surrogates: what undecodable bytes of file names become, and UTF-8 refuses."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def some_of(names: Sequence[str], shown: int = 3) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - shown
    return displayable(", ".join(names[:shown])) + (f" and {more:,} more" if more > 0 else "")
