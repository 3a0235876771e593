"""Vectors of every descriptor of a table from one pass of the network, saved in shards so that a killed run resumes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import safetensors

from jaxloc import __version__
from jaxloc._files import readable, renamed, write_safetensors, write_text
from jaxloc.data import Source
from jaxloc.descriptors import Codebooks
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.options import DescribeOptions
from jaxloc.run.engine import on_devices
from jaxloc.run.retrieval import codebooks as codebook_files
from jaxloc.run.retrieval.codebooks import choose_images, fit_codebooks, needed_codebooks
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.listing import Box
from jaxloc.run.stream import Stream, open_stream

SHARD = 256
"""Images that are described, and written, together."""

_NUMBERS = "numbers"


class Images(NamedTuple):
    """The images of a table, those that codebooks are fitted on, bool ``[n]``, and the true boxes that are known."""

    sources: Sequence[Source]
    gallery: np.ndarray
    boxes: Sequence[Box | None]


class Vectors:
    """Vectors in a folder that ``describe`` filled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the images described, int ``[n]``, and their vectors by one descriptor, ``[n, d]``."""
        parts = [(file.get_tensor(_NUMBERS), file.get_tensor(name)) for file in self._open() if name in file.keys()]  # noqa: SIM118 - no mapping
        numbers, vectors = zip(*parts, strict=True)
        return np.concatenate(numbers), np.concatenate(vectors)

    def skipped(self) -> dict[int, str]:
        """Why images could not be described, by number."""
        kept = [json.loads(file.metadata()["skipped"]) for file in self._open()]
        return {int(number): reason for some in kept for number, reason in some.items()}

    def _open(self) -> Iterator[safetensors.safe_open]:
        for path in sorted(self._folder.glob("vectors-*.safetensors")):
            cure = "delete it and run the same command again"
            with readable(path, "damaged", cure), safetensors.safe_open(path, "np") as file:
                yield file


def describe(
    images: Images,
    names: Sequence[str],
    weights: Weights,
    options: DescribeOptions,
    folder: Path,
    *,
    overwrite: bool = False,
) -> Vectors:
    """Describe images by the descriptors named; finished shards in the folder are kept.

    The weights have their classifier if a descriptor needs it.
    """
    digest = hashlib.sha256()
    for source, searched in zip(images.sources, images.gallery.tolist(), strict=True):
        digest.update(f"{source.name}\0{searched}\n".encode())
    settings = {
        "jaxloc": __version__,
        "weights": weights.checksum,
        "images": f"{len(images.sources)}, {digest.hexdigest()}",
        "descriptors": ", ".join(names),
    } | options.fingerprint()
    _agree(folder, settings, overwrite=overwrite)
    numbers = range(len(images.sources))
    shards = [numbers[start : start + SHARD] for start in numbers[::SHARD]]
    paths = [folder / f"vectors-{shard:05}.safetensors" for shard in range(len(shards))]
    missing = [(path, chosen) for path, chosen in zip(paths, shards, strict=True) if not path.exists()]
    if missing:
        engine = Describer(options, names, on_devices(weights, options))
        stream = open_stream(images.sources, engine, options)
        codebooks = _codebooks(images, names, engine, stream, folder)
        for path, chosen in missing:
            _describe_shard(path, chosen, images, names, engine, stream, codebooks)
    return Vectors(folder)


def _agree(folder: Path, settings: Mapping[str, object], *, overwrite: bool) -> None:
    """Raise ``UsageError`` unless the folder holds vectors with these settings, or none."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    if overwrite:
        for old in (*folder.glob("*.safetensors"), path):
            old.unlink(missing_ok=True)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"), object_hook=renamed) if path.exists() else None
    except ValueError as error:
        raise UsageError(f"{path}: damaged ({error}): start over with --overwrite") from error
    if kept is None:
        write_text(path, json.dumps(settings, indent=1) + "\n")
    elif kept != settings:
        differ = [name for name in settings if kept.get(name) != settings[name]]
        raise UsageError(
            f"{folder}: holds vectors with other {' and '.join(differ)}: choose another --out, or start over with "
            "--overwrite"
        )


def _codebooks(images: Images, names: Sequence[str], engine: Describer, stream: Stream, folder: Path) -> Codebooks:
    """The codebooks that the descriptors need, fitted on a sample of the gallery or read from the folder."""
    needs = set(needed_codebooks(names, engine.options).values())
    path = folder / "codebooks.safetensors"
    if not needs:
        return Codebooks()
    if not path.exists():
        searched = {images.sources[number].name: number for number in np.flatnonzero(images.gallery).tolist()}
        chosen = sorted(searched[name] for name in choose_images(searched, seed=engine.options.seed))
        fit_codebooks(path, needs, engine, stream, "fitting codebooks", chosen)
    return codebook_files.load(path)


def _describe_shard(
    path: Path,
    chosen: range,
    images: Images,
    names: Sequence[str],
    engine: Describer,
    stream: Stream,
    codebooks: Codebooks,
) -> None:
    numbers: list[np.ndarray] = [np.zeros(0, np.int64)]
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch in stream.batches("describing", only=chosen):
        real = batch.indices >= 0
        described = engine.describe(batch, names, codebooks, true_boxes=images.boxes)
        numbers.append(batch.indices[real])
        for name, vectors in jax.device_get(described.vectors).items():
            found[name].append(vectors[real])
    arrays = {name: np.concatenate(some).astype(np.float32) for name, some in found.items() if some}
    arrays[_NUMBERS] = np.concatenate(numbers).astype(np.int64)
    skipped = {str(number): stream.skipped[number] for number in chosen if number in stream.skipped}
    write_safetensors(path, arrays, {"skipped": json.dumps(skipped)})
