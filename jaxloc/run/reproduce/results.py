"""A reproduced table: our numbers beside the paper's, and the deviations from its protocol."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jaxloc.metrics import Interval


@dataclasses.dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        measure: what is measured, with its unit.
        ours: NaN where it could not be measured.
        paper: NaN where the paper has none.
        images: it is measured on.
        interval: of confidence, where images are drawn.
        digits: shown behind the point.
        reason: why ``ours`` is NaN; else empty.
    """

    label: str
    measure: str
    ours: float
    paper: float = math.nan
    images: int = 0
    interval: Interval | None = None
    digits: int = 2
    reason: str = ""

    @property
    def difference(self) -> float:
        """Ours less the paper's; NaN unless both are there."""
        return self.ours - self.paper


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """A table.

    Attributes:
        source: the paper and the place in it.
        data: the data set, as the user named it.
        rows: in the paper's order.
        deviations: how this differs from the paper's protocol, or what the paper leaves open; one sentence each.
        incomplete: why these are not the numbers of the paper's images (a limit, a subset); empty if they are.
        curves: of the noise score, by class: the points of its ROC.
    """

    table: str
    title: str
    source: str
    data: str
    rows: tuple[Row, ...]
    deviations: tuple[str, ...]
    incomplete: str
    settings: Mapping[str, str]
    curves: Mapping[str, Mapping[str, list[float]]] = dataclasses.field(default_factory=dict)


def to_plain(result: Reproduction) -> dict[str, Any]:
    """The whole result as plain values for JSON; NaN stays NaN."""
    values = dataclasses.asdict(result)
    for row, plain in zip(result.rows, values["rows"], strict=True):
        plain["difference"] = row.difference
    return values


def from_plain(values: Mapping[str, Any]) -> Reproduction:
    """The inverse of ``to_plain``."""
    rows = []
    for value in values["rows"]:
        row = {name: value[name] for name in value if name != "difference"}
        rows.append(Row(**row | {"interval": row["interval"] and Interval(*row["interval"])}))
    return Reproduction(**dict(values) | {"rows": tuple(rows), "deviations": tuple(values["deviations"])})
