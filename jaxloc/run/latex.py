"""Tables for papers."""

from collections.abc import Iterable, Sequence

_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}", "–": "--", "×": "$\\times$"}
)


def latex_table(
    head: Sequence[object], *blocks: Sequence[Sequence[object]], comments: Iterable[str] = (), words: int = 1
) -> str:
    """A table in the style of the package booktabs.

    Args:
        head: names of the columns.
        *blocks: rows, with a line between one block and the next.
        comments: what is said above it, each as one comment or more.
        words: columns of words, which come first; the others are numbers, set to the right.
    """

    def lines(rows: Iterable[Sequence[object]]) -> list[str]:
        return [" & ".join(str(cell).strip().translate(_ESCAPED) for cell in row) + r" \\" for row in rows]

    body = [line for rows in blocks for line in (r"\midrule", *lines(rows))]
    return "\n".join(
        [
            *(f"% {line}" for comment in comments for line in comment.splitlines()),
            rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(head) - words)}}}",
            r"\toprule",
            *lines([head]),
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
