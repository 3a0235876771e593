"""Reproduce a table of a paper: its protocol on a prepared data set, our numbers beside its own.

Results are kept in a folder: an interrupted run resumes, and a finished table is read instead of measured again.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxloc import __version__
from jaxloc._files import write_text
from jaxloc.errors import UsageError, WeightsError
from jaxloc.models import BACKBONES, Weights
from jaxloc.options import NetworkOptions, ReproduceOptions, network_options
from jaxloc.run import outputs
from jaxloc.run.engine import load_weights, memory_errors
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.asking import measure_beam, measure_curves
from jaxloc.run.reproduce.boxes import Measured, measure_corloc, measure_noise, measure_single
from jaxloc.run.reproduce.checkout import measure_checkout
from jaxloc.run.reproduce.data import Prepared, find_data, prepare
from jaxloc.run.reproduce.identities import measure_identities
from jaxloc.run.reproduce.learning import measure_few_shot, measure_parts
from jaxloc.run.reproduce.results import Reproduction, from_plain, to_plain
from jaxloc.run.reproduce.retrieval import measure_classification, measure_landmarks, measure_retrieval
from jaxloc.run.reproduce.tables import Table, find_table
from jaxloc.run.writing import disk_errors, locked

_RESULT = "reproduction.json"
MEASURES: Mapping[str, Callable[..., Measured]] = {
    "single": measure_single,
    "colocalization": measure_corloc,
    "noise": measure_noise,
    "retrieval": measure_retrieval,
    "classification": measure_classification,
    "points": measure_beam,
    "detections": measure_beam,
    "curves": measure_curves,
    "landmarks": measure_landmarks,
    "checkout": measure_checkout,
    "few-shot": measure_few_shot,
    "parts": measure_parts,
    "identities": measure_identities,
}
"""Of a kind of table its rows, from the prepared data, a folder and the options."""


def reproduce(
    name: str,
    place: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: ReproduceOptions | None = None,
) -> Reproduction:
    """Reproduce a table of a paper and compare with the paper's numbers. Nothing is downloaded.

    Args:
        name: of the table, such as ``"ddt-voc07"``; see ``tables.TABLES``.
        place: the data set: ``NAME:FOLDER``, ``NAME:tfds``, its folder, or for DDT's tables of boxes a COCO file.
        out: folder for ``reproduction.json`` and what the jobs behind it write.
        options: ``ReproduceOptions()`` by default.

    Raises:
        JaxlocError: there is no such table, the data are not its data, weights are missing, or nothing could be done;
            the message names the cure.
    """
    table = find_table(name)
    options = options or ReproduceOptions()
    if options.methods != ("ddt",) and table.kind != "colocalization":
        raise UsageError(f"{name}: has no rows of other methods: leave --method out")
    folder = Path(out)
    data = find_data(table, place)
    asked: dict[str, Any] = {"table": name, "data": data, "jaxloc": __version__} | options.fingerprint()
    finished = None if options.overwrite else _finished(folder, asked)
    if finished is not None:
        return finished
    weights = _weights(table, options)
    options = dataclasses.replace(options, weights=options.weights or table.architecture)
    prepared = prepare(table, data, limit=options.limit)
    outputs.prepare(folder)
    with locked(folder), disk_errors(folder), memory_errors():
        more = {"weights": weights} if table.kind == "retrieval" else {}
        measured = MEASURES[table.kind](prepared, folder, options, **more)
        result = Reproduction(
            table=name,
            title=table.title,
            source=table.source,
            data=prepared.place,
            rows=tuple(measured.rows),
            deviations=tuple(_deviations(table, prepared, weights, measured, options)),
            incomplete=prepared.subset,
            settings=_settings(weights, options),
            curves=measured.curves,
        )
        write_text(folder / _RESULT, json.dumps({"asked": asked, "result": to_plain(result)}, indent=1) + "\n")
    return result


def _finished(folder: Path, asked: dict[str, Any]) -> Reproduction | None:
    """The table in a folder, if it has the settings asked for."""
    path = folder / _RESULT
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        result = from_plain(kept["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: damaged ({error}): start over with --overwrite") from error
    if kept["asked"]["table"] != asked["table"]:
        raise UsageError(
            f"{folder}: holds {kept['asked']['table']}: choose another --out for {asked['table']}, or start over with "
            "--overwrite"
        )
    return result if kept["asked"] == asked else None


def _weights(table: Table, options: ReproduceOptions) -> Weights:
    """The weights that the options name, or the paper's network."""
    try:
        chosen = network_options(options) | {"weights": options.weights or table.architecture}
        return load_weights(NetworkOptions(**chosen))
    except WeightsError as error:
        paper = BACKBONES[table.architecture]
        if options.weights is not None or paper.embedded:
            raise
        raise WeightsError(
            f"{table.name} uses {paper.title}, which does not come with jaxloc ({error}); or try "
            "--weights vgg16, which the table will tell"
        ) from error


def _settings(weights: Weights, options: ReproduceOptions) -> dict[str, str]:
    interval = {"interval": f"95 % of {options.samples:,} bootstrap draws of images"} if options.samples else {}
    return {
        "weights": f"{weights.backbone.name} ({weights.source})",
        "weights checksum": weights.checksum,
        "computed in": options.dtype,
        "jaxloc": __version__,
    } | interval


def _deviations(
    table: Table, prepared: Prepared, weights: Weights, measured: Measured, options: ReproduceOptions
) -> list[str]:
    """Deviations from the paper's protocol, the most important first."""
    found = []
    if prepared.subset:
        found.append(f"Not all of the paper's images: {prepared.subset}.")
    if weights.backbone.name != table.architecture:
        found.append(
            f"The network is {weights.backbone.title} and the paper's {BACKBONES[table.architecture].title}: get "
            f"its weights with `jaxloc weights convert FILE --install`, and leave --weights out."
        )
    if weights.backbone.preprocessing.scale != 255:
        found.append(
            f"The weights are {weights.source} with torchvision's preprocessing; the paper's are MatConvNet's, "
            "converted from Caffe, which only subtract a mean."
        )
    if options.dtype != "float32":
        found.append(f"Features are computed in {options.dtype}.")
    number, paper = sum(len(some) for some in prepared.numbers.values()), papers.IMAGES.get(prepared.name)
    if not prepared.subset and paper not in (None, number):
        found.append(f"{number:,} images, counted in each class they are in; the paper's authors tell of {paper:,}.")
    found += [f"In the data: {problem}." for problem in prepared.problems]
    return [*found, *measured.notes, *table.open]
