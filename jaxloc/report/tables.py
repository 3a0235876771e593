"""Tables as text and as LaTeX."""

from collections.abc import Iterable, Sequence

_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}", "–": "--", "×": "$\\times$"}
)


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in aligned columns; columns of numbers, except the first, are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    columns = []
    for number, column in enumerate(zip(*cells, strict=True)):
        width = max(map(len, column))
        numeric = number > 0 and len(column) > 1 and all(map(_is_number, column[1:]))
        columns.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in column] + ["─" * width])
    *lines, rule = ("  ".join(row).rstrip() for row in zip(*columns, strict=True))
    return "\n".join([lines[0], rule, *lines[1:]])


def _is_number(text: str) -> bool:
    return not text.strip("+-–.,%0123456789")


def latex_table(
    head: Sequence[object], *blocks: Sequence[Sequence[object]], comments: Iterable[str] = (), words: int = 1
) -> str:
    """A table in the style of the package booktabs, with a rule between blocks of rows and comments above it.

    The first ``words`` columns are aligned to the left, those of numbers to the right.
    """

    def lines(rows: Iterable[Sequence[object]]) -> list[str]:
        return [" & ".join(str(cell).strip().translate(_ESCAPED) for cell in row) + r" \\" for row in rows]

    return "\n".join(
        [
            *(f"% {line}" for comment in comments for line in comment.splitlines()),
            rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(head) - words)}}}",
            r"\toprule",
            *lines([head]),
            *(line for rows in blocks for line in (r"\midrule", *lines(rows))),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
