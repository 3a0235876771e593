"""From a pile of unsorted images to groups, the object in each image, and the model."""

import contextlib
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc._files import digest, write_text
from jaxloc.data import ImageSet, find_sets
from jaxloc.data.annotations import Problem
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights
from jaxloc.localizers import METHODS
from jaxloc.models import Backbone
from jaxloc.options import DiscoverOptions, LocalizeOptions, reading, workers_of
from jaxloc.report import groups as records
from jaxloc.report import groups_page, text
from jaxloc.report.groups import UNGROUPED, Groups, Member
from jaxloc.report.records import Finding, Findings
from jaxloc.report.tables import text_table
from jaxloc.run import distributed, export_folder, outputs
from jaxloc.run.checkpoint import Checkpoint, describe_images
from jaxloc.run.discovery.by_hand import PAGE, GroupsByHand, read_groups, set_aside
from jaxloc.run.discovery.describing import describe, find_repeats
from jaxloc.run.discovery.grouping import Grouping, group_vectors, names_of, typicality
from jaxloc.run.discovery.view import FOLDER, write_view
from jaxloc.run.engine import memory_errors, open_network
from jaxloc.run.jobs import Paths
from jaxloc.run.plan import Images
from jaxloc.run.retrieval.arrays_file import of_array
from jaxloc.run.runner import Run
from jaxloc.run.steps import Steps
from jaxloc.run.thumbnails import read_thumbnails
from jaxloc.run.writing import disk_errors, locked


@dataclasses.dataclass(frozen=True)
class Discovered:
    """What was found in a pile.

    Attributes:
        findings: the object of each image; its image set is its group.
        problems: images that could not be put into the folder of groups.
    """

    findings: Findings
    groups: Groups
    folder: Path
    problems: Sequence[Problem] = ()


def discover(
    paths: Paths,
    out: str | os.PathLike[str],
    options: DiscoverOptions | None = None,
    *,
    by_hand: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Discovered:
    """Sort a pile of images into groups of one kind, and find the object that the images of each group share.

    A first pass describes small copies of the images; communities of the graph of nearest neighbours among the
    descriptors are the groups. Then each group is an image set of ``colocalize``. Images without a group, and groups
    made by hand that are smaller than ``options.min_group``, are located with a model of the whole pile; if there is no
    group, each image is located alone. A stopped call resumes when called again. A call with other groups, or with
    groups by hand, describes nothing again.

    Args:
        paths: folders, images, globs, text files of paths, or archives; see ``jaxloc.data.find_sets``.
        out: folder for ``annotations.json``, ``report.html`` and ``model.safetensors`` as of ``colocalize``, with the
            groups as image sets; ``groups.html``, ``groups.json`` and ``groups.csv``; ``groups/``, a folder for each
            group; and ``work/``, which later calls reuse.
        options: ``DiscoverOptions()`` by default.
        by_hand: a file that ``groups.html`` handed out: groups renamed, merged and divided.
        overwrite: start over if ``out`` holds another run.
    """
    options = options or DiscoverOptions()
    for path in paths:
        outputs.check_apart(path, out, "where its groups would be found as images")
    folder = outputs.prepare(out)
    export_folder.check_replaceable(folder / FOLDER, overwrite=True)
    sets = find_sets(paths, name="pile", exclude=outputs.places(out))
    images = Images(sets)
    work = outputs.prepare(folder / "work")
    with locked(work) if distributed.is_first() else contextlib.nullcontext(), disk_errors(folder), memory_errors():
        identity = describe_images(images)
        loaded = open_network(options.job, [options.job.layer])
        described = describe(images, work, options, loaded)
        pile = _group(images, work, options, described, identity)
        hand = GroupsByHand() if by_hand is None else read_groups(by_hand, identity, pile.digest)
        hand.check(str(by_hand), pile.found)
        assigned = {name: hand.group(name, found) for name, found in pile.found.items()}
        divided = digest("\n".join(f"{name}\0{group}" for name, group in assigned.items()))
        depends = {"pile": identity["digest"][:16], "groups": divided}
        overwrite = overwrite or _is_regrouped(folder, depends)
        findings = _locate(images, assigned, folder, options, loaded, depends, sets.ignored, overwrite=overwrite)
        told = [] if by_hand is not None or not distributed.is_first() else set_aside(folder)
        groups = Groups(
            images=identity,
            grouping=pile.digest,
            settings={**findings.settings, **options.settings()},
            members=_members(findings, pile, assigned, described.vectors),
            renamed=hand.renamed,
            notes=notes_of(pile.grouping, findings.settings["method"]),
            warnings=[*told, *findings.warnings],
        )
        problems = _write(folder, groups, images, options) if distributed.is_first() else []
        distributed.wait("the groups")
    return Discovered(findings, groups, folder, problems)


def notes_of(grouping: Grouping, method: str) -> list[str]:
    """What is to be said of the groups, and of how images are located if there is none."""
    if grouping.groups.max(initial=-1) >= 0 or METHODS[method].fit is not None:
        return [*grouping.notes]
    return [*grouping.notes, f"Each image is located alone: {METHODS[method].title}."]


@dataclasses.dataclass(frozen=True)
class _Pile:
    """The groups that were found, by name of image, with a digest of them, and which image repeats which."""

    grouping: Grouping
    repeats: np.ndarray
    found: Mapping[str, str]
    digest: str


def _group(images: Images, work: Path, options: DiscoverOptions, described: Any, identity: Mapping[str, Any]) -> _Pile:
    """Group the images, or read the groups of an earlier call, on the first host."""
    path = work / "grouping.json"
    key = digest(
        "\n".join([identity["digest"], of_array(described.vectors), str(options.settings()), str(options.duplicates)])
    )
    if distributed.is_first() and _read(path, key) is None:
        repeats = find_repeats(images, work, options, described.sizes, identity["digest"])
        grouping = group_vectors(described.vectors, repeats, options)
        kept = {"of": key, "groups": grouping.groups.tolist(), "repeats": repeats.tolist(), "notes": [*grouping.notes]}
        write_text(path, json.dumps(kept) + "\n")
    distributed.wait("the grouping")
    kept = _read(distributed.see(path), key) or {}
    grouping = Grouping(np.array(kept["groups"], int), kept["notes"])
    found = {source.name: name for source, name in zip(images, names_of(grouping.groups), strict=True)}
    return _Pile(grouping, np.array(kept["repeats"], int), found, digest("\n".join(map("\0".join, found.items()))))


def _read(path: Path, key: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept if kept["of"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_regrouped(folder: Path, depends: Mapping[str, str]) -> bool:
    """Whether the folder holds a run on the same pile in other groups, which this one replaces."""
    made = (Checkpoint(folder).manifest() or {}).get("settings", {})
    if "pile" in made and made["pile"] != depends["pile"]:
        raise UsageError(
            f"{folder}: holds the groups of other images, or some have been added, removed or changed since: choose "
            "another --out, or start over with --overwrite"
        )
    return "pile" in made and made.get("groups") != depends["groups"]


def _locate(
    images: Images,
    assigned: Mapping[str, str],
    folder: Path,
    options: DiscoverOptions,
    loaded: DeviceWeights,
    depends: Mapping[str, str],
    notes: Sequence[str],
    *,
    overwrite: bool,
) -> Findings:
    """Find the object of each group; of images without one, with a model of all images."""
    members: dict[str, list[int]] = {}
    for number, group in enumerate(assigned.values()):
        members.setdefault(group, []).append(number)
    sources = images.sets[0].sources
    pooled = [name for name, own in sorted(members.items()) if name == UNGROUPED or len(own) < options.min_group]
    ordered = [*sorted(members.keys() - set(pooled)), *pooled]
    sets = [ImageSet(name, [sources[number] for number in members[name]]) for name in ordered]
    alone = ordered == [UNGROUPED]
    steps = Steps(located_alone(options.job, loaded.weights.backbone) if alone else options.job, loaded)
    with Run(sets, folder, steps, pooled=len(pooled), depends=depends, notes=notes, overwrite=overwrite) as run:
        return run.colocalize()


def located_alone(job: LocalizeOptions, backbone: Backbone) -> LocalizeOptions:
    """How images are located where there is no group: each alone, if the network has activations without a sign."""
    if backbone.layer(backbone.defaults.localization).signed:
        return job
    return dataclasses.replace(job, method="scda", layer=None, parts=0, parts_within=False)


def _members(findings: Findings, pile: _Pile, assigned: Mapping[str, str], vectors: np.ndarray) -> list[Member]:
    """Every image with what was found in it, group after group, the most typical first."""
    names, numbers = np.unique(list(assigned.values()), return_inverse=True)
    typical = np.where(names[numbers] == UNGROUPED, 0, typicality(vectors, numbers)).tolist()
    every, sizes = list(assigned), Counter(assigned.values())
    found: dict[str, Finding] = {}
    for finding in findings.light():
        found.setdefault(finding.name, finding)  # of several objects in an image, the first
    reasons = {one.name: one.reason for one in findings.skipped}
    members = []
    for number, (name, group) in enumerate(assigned.items()):
        one, other = found.get(name), int(pile.repeats[number])
        seen = {} if one is None else {field: getattr(one, field) for field in ("width", "height", "box", "score")}
        repeats = None if other == number else every[other]
        reason = reasons.get(name, "")
        members.append(Member(name, group, pile.found[name], typical[number], repeats=repeats, reason=reason, **seen))
    members.sort(key=lambda one: (one.group == UNGROUPED, -sizes[one.group], one.group, -one.typical, one.name))
    return members


def _write(folder: Path, groups: Groups, images: Images, options: DiscoverOptions) -> list[Problem]:
    """Write the page, the tables and the folder of groups."""
    sources = {source.name: source for source in images}
    shown = groups_page.choose_shown(groups, options.page_limit)
    chosen = {number: sources[groups.members[number].name].path for number in shown}
    thumbnails = read_thumbnails(chosen, workers=workers_of(options.job), **reading(options.job))
    records.write(folder, groups)
    write_text(folder / PAGE, groups_page.render_groups(groups, shown, thumbnails))
    view = {
        group: [sources[one.name] for one in members if not one.reason] for group, members in groups.by_name().items()
    }
    return write_view(folder, view, options.view)


_GROUPS_SHOWN = 50
_GROUPS_FILE = "groups.json"


def discovery_text(done: Discovered, seconds: float) -> str:
    """The groups and their sizes, images without one, notes and warnings, and where to look."""
    groups = done.groups.by_name()
    named = {name: members for name, members in groups.items() if name != UNGROUPED}
    rows: list[list[object]] = []
    for name, members in [*list(named.items())[:_GROUPS_SHOWN], (UNGROUPED, groups.get(UNGROUPED, []))]:
        used = [one for one in members if not one.reason]
        boxes, repeated = (sum(map(bool, some)) for some in ([one.box for one in used], [one.repeats for one in used]))
        typical = f"{np.mean([one.typical for one in used]):.2f}" if used and name != UNGROUPED else "–"
        rows.append([name, len(used), boxes, repeated, len(members) - len(used), typical])
    total = [sum(int(str(row[column])) for row in rows) for column in range(1, 5)]
    head = ["group", "images", "with a box", "repeated", "skipped", "alike"]
    parts = [text_table(head, [*rows, ["all", *total, "–"]])]
    if len(named) > _GROUPS_SHOWN:
        parts.append(f"The largest {_GROUPS_SHOWN} of {len(named):,} groups; all are in {_GROUPS_FILE}.")
    parts += [*done.groups.notes, *text.warnings(done.groups.warnings, _GROUPS_FILE)]
    skipped = [(one.name, one.reason) for one in done.groups.members if one.reason]
    parts += text.reasons("Skipped", skipped, len(skipped), _GROUPS_FILE)
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
