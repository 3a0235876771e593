"""A folder for each group, with its images linked or copied, for a file manager."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxloc.data import Source
from jaxloc.data.annotations import Annotated, Problem
from jaxloc.report.exports.names import safe_names
from jaxloc.report.exports.placement import Placement, place
from jaxloc.run import export_folder
from jaxloc.run.progress import bar

FOLDER = "groups"


def write_view(folder: Path, groups: Mapping[str, Sequence[Source]], how: Placement) -> list[Problem]:
    """Replace the folder ``groups`` of the results by one with a folder for each group; returns what was unreadable.

    Images keep their bytes, except those that are stored rotated, which are turned upright. With ``"none"`` the view of
    an earlier call is removed.
    """
    target, problems = folder / FOLDER, list[Problem]()
    export_folder.check_replaceable(target, overwrite=True)
    if how == "none":
        shutil.rmtree(target, ignore_errors=True)
        return problems
    places = safe_names({name: name for name in groups}, flat=True)
    with (
        export_folder.replacing(target) as staging,
        bar(purpose="groups", total=sum(map(len, groups.values())), unit="image") as shown,
    ):
        for group, sources in groups.items():
            files = safe_names({source.name: source.name for source in sources}, flat=True)
            for source in sources:
                image = Annotated(source.name, path=source.path)
                place(image, staging / places[group] / files[source.name], how, problems)
                shown.update()
        export_folder.write_marker(staging, {"groups": list(groups)})
    return problems
