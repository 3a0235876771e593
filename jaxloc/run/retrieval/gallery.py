"""A gallery on disk: vectors in shards, a table of their images, and the settings they were made with.

::

    gallery.json                  descriptor, options, weights: written first, and changed only by a new whitening
    codebooks.safetensors         for VLAD, Fisher vectors and whitened regions
    vectors/00000000.safetensors  float32 [n, d], one shard; its metadata names its table and both checksums
    table/00000000-1f0c….parquet  the shard's rows: path, label, size, box, checksum
    whitening.safetensors         fitted on the vectors
    whitened/00000000.safetensors the vectors after it

A shard is finished once its vectors file exists: its table is written before it, each in one step, so a kill leaves
only finished shards. The same images, options and weights give the same bytes.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from jaxloc import __version__
from jaxloc._files import write_bytes, write_safetensors, write_text
from jaxloc.descriptors import INDEXED
from jaxloc.errors import UsageError
from jaxloc.options import DescribeOptions
from jaxloc.run.retrieval import arrays_file, tables
from jaxloc.run.retrieval.tables import Row, Table
from jaxloc.whitenings import WhitenSpec

FORMAT = "jaxloc-gallery-1"


@dataclasses.dataclass(frozen=True)
class Description:
    """Settings that every vector of a gallery was made with.

    Attributes:
        descriptor: its name.
        settings: options that vectors depend on.
        architecture: the network's.
        weights_checksum: of its parameters.
        shard_size: number of images in a shard, skipped ones included.
        whiten: the whitening, or ``"none"``.
        version: of jaxloc.
    """

    descriptor: str
    settings: Mapping[str, Any]
    architecture: str
    weights_checksum: str
    shard_size: int
    whiten: str
    version: str = __version__

    def difference(self, other: "Description") -> str:
        """Why vectors of the two cannot be compared, in words; empty if they can."""
        mine = {"descriptor": self.descriptor, **self.settings}
        theirs = {"descriptor": other.descriptor, **other.settings}
        different = [name for name in mine if mine[name] != theirs.get(name)]
        if different:
            return "; ".join(f"{name.replace('_', ' ')} {mine[name]} and {theirs.get(name)}" for name in different)
        if self.weights_checksum != other.weights_checksum:
            return (
                f"weights {self.architecture} {self.weights_checksum[:12]}… and "
                f"{other.architecture} {other.weights_checksum[:12]}…"
            )
        return ""


@dataclasses.dataclass(frozen=True)
class Skip:
    """An image that could not be described: its path, name, size in bytes, and the reason."""

    path: str
    name: str
    bytes: int
    reason: str


class Gallery:
    """An existing gallery.

    Attributes:
        folder: its folder.
        description: settings it was made with.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder = folder
        self.description = description

    @classmethod
    def create(cls, folder: str | os.PathLike[str], description: Description) -> "Gallery":
        """Create a gallery in an empty or new folder.

        Raises:
            UsageError: the folder holds something else.
        """
        folder = Path(folder)
        strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        if strangers:
            raise UsageError(f"{folder}: holds other files ({strangers[0]}): choose a new folder for the gallery")
        gallery = cls(folder, description)
        gallery._describe()
        return gallery

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Gallery":
        """Open a gallery.

        Raises:
            UsageError: there is none, or its description is damaged.
        """
        path = Path(folder) / "gallery.json"
        if not path.is_file():
            raise UsageError(f"{folder}: no gallery here; make one with `jaxloc index PHOTOS --out {folder}`")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise ValueError(f"not written by this version of jaxloc, {FORMAT}")
            return cls(Path(folder), _checked(Description(**values)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: damaged ({error}): index again into a new folder") from error

    @staticmethod
    def is_one(folder: str | os.PathLike[str]) -> bool:
        """Whether there is a gallery in the folder."""
        return (Path(folder) / "gallery.json").is_file()

    def _describe(self) -> None:
        values = {"format": FORMAT, **dataclasses.asdict(self.description)}
        write_text(self.folder / "gallery.json", json.dumps(values, indent=1, sort_keys=True) + "\n")

    def ask_for_whitening(self, whiten: str) -> None:
        """Change the whitening; the fitted one is dropped."""
        self.drop_whitening()
        self.description = dataclasses.replace(self.description, whiten=whiten)
        self._describe()

    @property
    def codebooks_path(self) -> Path:
        """File of the codebooks, for descriptors that need them."""
        return self.folder / "codebooks.safetensors"

    def codebooks_checksum(self) -> str:
        """SHA-256 of the codebooks' file; empty if there is none."""
        path = self.codebooks_path
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    @property
    def shards(self) -> list[int]:
        """Numbers of the finished shards, in order."""
        files = self.folder.glob("vectors/[0-9]*.safetensors")
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    # Shards.

    def write_shard(self, number: int, vectors: np.ndarray, rows: Sequence[Row], skipped: Sequence[Skip]) -> None:
        """Write or replace a shard.

        Args:
            number: of the shard.
            vectors: float32 ``[n, d]``.
            rows: of their images, ``n``.
            skipped: images without a vector.
        """
        table = tables.to_bytes(rows)
        checksum = hashlib.sha256(table).hexdigest()
        name = f"{number:08d}-{checksum[:16]}.parquet"
        write_bytes(self.folder / "table" / name, table)
        metadata = {
            "table": name,
            "table_checksum": checksum,
            "skipped": json.dumps([dataclasses.asdict(skip) for skip in skipped]),
        }
        _write_vectors(self._vectors_path(number), vectors, metadata)

    def vectors(self, number: int) -> np.ndarray:
        """A shard's vectors, float32 ``[n, d]``.

        Raises:
            UsageError: damaged.
        """
        return _read_vectors(self._vectors_path(number))

    def all_vectors(self) -> np.ndarray:
        """The vectors of every shard, in the order of the table; raises ``ValueError`` for an empty gallery."""
        return np.concatenate([part for number in self.shards if len(part := self.vectors(number))])

    def length(self, number: int) -> int:
        """Number of vectors in a shard, from its header."""
        with _opened(self._vectors_path(number)) as file:
            return int(file.get_slice("vectors").get_shape()[0])

    def vectors_checksum(self, number: int) -> str:
        """Checksum of a shard's vectors, from its header."""
        return self._metadata(number)["vectors_checksum"]

    def table(self, number: int) -> Table:
        """A shard's rows.

        Raises:
            UsageError: damaged or missing.
        """
        metadata = self._metadata(number)
        path = self.folder / "table" / metadata["table"]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(self._vectors_path(number), f"its table {path.name} cannot be read") from error
        if hashlib.sha256(data).hexdigest() != metadata["table_checksum"]:
            raise _damaged(path, "its checksum is wrong", self._vectors_path(number))
        return tables.from_bytes(data)

    def whole_table(self) -> Table:
        """The rows of every shard, in the order of the vectors."""
        return tables.join(self.table(number) for number in self.shards)

    def skipped(self, shards: Iterable[int] | None = None) -> list[Skip]:
        """Images without a vector, of these shards or of all."""
        return [skip for number in (self.shards if shards is None else shards) for skip in self._skipped(number)]

    def _skipped(self, number: int) -> list[Skip]:
        try:
            return [Skip(**skip) for skip in json.loads(self._metadata(number)["skipped"])]
        except (ValueError, TypeError) as error:
            raise _damaged(self._vectors_path(number), f"its list of skipped images: {error}") from error

    def relabel(self, labels: Mapping[str, str | None]) -> None:
        """Replace labels, shard by shard.

        Args:
            labels: by path as in the table; images that are not listed keep theirs.
        """
        for number in self.shards:
            rows = self.table(number).rows()
            changed = [row._replace(label=labels.get(row.path, row.label)) for row in rows]
            if changed != rows:
                self.write_shard(number, self.vectors(number), changed, self._skipped(number))

    def remove(self, paths: Iterable[str]) -> int:
        """Remove images, shard by shard; returns how many vectors and skipped images were removed.

        Args:
            paths: as in the table.
        """
        unwanted, removed = set(paths), 0
        for number in self.shards:
            table, skipped = self.table(number), self._skipped(number)
            keep = np.array([path not in unwanted for path in table.paths], bool)
            kept_skips = [skip for skip in skipped if skip.path not in unwanted]
            gone = int((~keep).sum()) + len(skipped) - len(kept_skips)
            if not gone:
                continue
            removed += gone
            rows = [row for row, kept in zip(table.rows(), keep, strict=True) if kept]
            if rows or kept_skips:
                self.write_shard(number, self.vectors(number)[keep], rows, kept_skips)
            else:
                self._vectors_path(number).unlink()
        self.clean()
        return removed

    def clean(self) -> None:
        """Remove the remains of a kill: half-written files, and tables and whitened vectors without a shard."""
        numbers = self.shards
        known, known_numbers = {self._metadata(number)["table"] for number in numbers}, set(numbers)
        for path in [*self.folder.glob(".*.part"), *self.folder.glob("*/.*.part")]:
            path.unlink(missing_ok=True)
        for path in self.folder.glob("table/*.parquet"):
            if path.name not in known:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("whitened/*.safetensors"):
            if not path.stem.isdigit() or int(path.stem) not in known_numbers:
                path.unlink(missing_ok=True)

    # Whitened vectors.

    @property
    def whitening_path(self) -> Path:
        """File of the fitted whitening, if there is one."""
        return self.folder / "whitening.safetensors"

    def drop_whitening(self) -> None:
        """Remove the fitted whitening and the whitened vectors."""
        self.whitening_path.unlink(missing_ok=True)
        for path in self.folder.glob("whitened/*.safetensors"):
            path.unlink(missing_ok=True)

    def write_whitened(self, number: int, vectors: np.ndarray, whitening_checksum: str) -> None:
        """Write a shard's whitened vectors in one step."""
        metadata = {"source_checksum": self.vectors_checksum(number), "whitening_checksum": whitening_checksum}
        _write_vectors(self._whitened_path(number), vectors, metadata)

    def whitened(self, number: int, whitening_checksum: str) -> np.ndarray | None:
        """A shard's whitened vectors; ``None`` if they are missing or of another whitening."""
        if not self.has_whitened(number, whitening_checksum):
            return None
        return _read_vectors(self._whitened_path(number))

    def has_whitened(self, number: int, whitening_checksum: str) -> bool:
        """Whether a shard's whitened vectors exist and are of this whitening, from their header."""
        path = self._whitened_path(number)
        if not path.is_file():
            return False
        metadata = _read_metadata(path)
        expected = (self.vectors_checksum(number), whitening_checksum)
        return (metadata.get("source_checksum"), metadata.get("whitening_checksum")) == expected

    def _metadata(self, number: int) -> dict[str, str]:
        path = self._vectors_path(number)
        metadata = _read_metadata(path)
        if not {"table", "table_checksum", "vectors_checksum", "skipped"} <= metadata.keys():
            raise _damaged(path, "not a shard of a gallery")
        return metadata

    def _vectors_path(self, number: int) -> Path:
        return self.folder / "vectors" / f"{number:08d}.safetensors"

    def _whitened_path(self, number: int) -> Path:
        return self.folder / "whitened" / f"{number:08d}.safetensors"


def _checked(made: Description) -> Description:
    """Raise ``ValueError`` unless a description is valid."""
    if made.descriptor not in INDEXED:
        raise ValueError(f"unknown descriptor {made.descriptor!r}; known: {', '.join(INDEXED)}")
    WhitenSpec.parse(made.whiten)
    texts = (made.architecture, made.weights_checksum)
    if not (all(isinstance(text, str) for text in texts) and isinstance(made.shard_size, int) and made.shard_size > 0):
        raise ValueError("a value of the wrong kind")
    if DescribeOptions().fingerprint().keys() - dict(made.settings).keys():
        raise ValueError("settings are missing")
    return made


def _write_vectors(path: Path, vectors: np.ndarray, metadata: Mapping[str, str]) -> None:
    vectors = np.ascontiguousarray(vectors, np.float32)
    own = {"format": FORMAT, "vectors_checksum": arrays_file.of_array(vectors)}
    write_safetensors(path, {"vectors": vectors}, own | dict(metadata))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[safetensors.safe_open]:
    try:
        with safetensors.safe_open(path, "np") as file:
            yield file
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _read_vectors(path: Path) -> np.ndarray:
    with _opened(path) as file:
        values = file.get_tensor("vectors")
    if arrays_file.of_array(values) != _read_metadata(path).get("vectors_checksum"):
        raise _damaged(path, "its checksum is wrong")
    return values


def _read_metadata(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        return file.metadata() or {}


def _damaged(path: Path, why: str, shard: Path | None = None) -> UsageError:
    return UsageError(
        f"{path}: damaged ({why}): delete {shard or path} and run the same `jaxloc index` again; "
        "the other shards stay as they are"
    )
