"""What was found in a pile, as text."""

import numpy as np

from jaxloc.report import text
from jaxloc.report.groups import UNGROUPED
from jaxloc.report.tables import text_table
from jaxloc.run.discovery.by_hand import PAGE
from jaxloc.run.discovery.discover import Discovered
from jaxloc.run.discovery.view import FOLDER

_SHOWN = 50
_FILE = "groups.json"


def discovery_text(done: Discovered, seconds: float) -> str:
    """The groups and their sizes, images without one, notes and warnings, and where to look."""
    groups = done.groups.by_name()
    named = {name: members for name, members in groups.items() if name != UNGROUPED}
    rows: list[list[object]] = []
    for name, members in [*list(named.items())[:_SHOWN], (UNGROUPED, groups.get(UNGROUPED, []))]:
        used = [one for one in members if not one.reason]
        boxes, repeated = (sum(map(bool, some)) for some in ([one.box for one in used], [one.repeats for one in used]))
        typical = f"{np.mean([one.typical for one in used]):.2f}" if used and name != UNGROUPED else "–"
        rows.append([name, len(used), boxes, repeated, len(members) - len(used), typical])
    total = [sum(int(str(row[column])) for row in rows) for column in range(1, 5)]
    head = ["group", "images", "with a box", "repeated", "skipped", "alike"]
    parts = [text_table(head, [*rows, ["all", *total, "–"]])]
    if len(named) > _SHOWN:
        parts.append(f"The largest {_SHOWN} of {len(named):,} groups; all are in {_FILE}.")
    parts += [*done.groups.notes, *text.warnings(done.groups.warnings, _FILE)]
    skipped = [(one.name, one.reason) for one in done.groups.members if one.reason]
    parts += text.reasons("Skipped", skipped, len(skipped), _FILE)
    parts += [str(problem) for problem in done.problems[: text.SHOWN]]
    alone = sum(not one.reason for one in groups.get(UNGROUPED, []))
    view = f" The images of each group are in {done.folder / FOLDER}." if (done.folder / FOLDER).is_dir() else ""
    parts.append(
        f"{text.counted(len(done.groups.members), 'image')} in {seconds:.1f} s: {text.counted(len(named), 'group')}, "
        f"{text.counted(alone, 'image')} ungrouped.{view}\n"
        f"Look at {done.folder / PAGE}, rename, merge and divide groups there, and run the same command with "
        "--decisions and the file that it hands out."
    )
    return "\n\n".join(parts)
