"""A gallery on disk: vectors in shards, a table of their images, and the settings they were made with.

::

    gallery.json                  descriptor, options, weights: written first, and changed only by a new whitening
    codebooks.safetensors         for VLAD, Fisher vectors and whitened regions
    vectors/00000000.safetensors  float32 [n, d], one shard; its metadata names its table and both checksums
    regions/00000000.safetensors  vectors of the images' regions, for descriptors that are sums of regions
    table/00000000-1f0c….parquet  the shard's rows, one for each image
    whitening.safetensors         fitted on the vectors
    whitened/00000000.safetensors the vectors after it

A shard is finished once its vectors file exists: its table and regions are written before it, each in one step, so a
kill leaves only finished shards. The same images, options and weights give the same bytes.

A row holds an image's ``path``, absolute or, if it lies in the gallery's own folder or the one around, relative to the
gallery (``./``, ``../``), so that both can be moved together; its ``name`` relative to what the user pointed at, its
``label`` (null if unknown), and ``width`` and ``height`` of the original. ``found`` is false if no cell was selected: a
descriptor of selected cells is zero then, and ranks last. ``box`` is the object's, ``x0, y0, x1, y1`` in pixels of the
original, or null. ``bytes`` is the size of the file or its archive, ``checksum`` the image's SHA-256.
"""

import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import safetensors

from jaxloc import __version__
from jaxloc._files import readable, write_bytes, write_safetensors, write_text
from jaxloc.data.sources import escaped
from jaxloc.errors import UsageError
from jaxloc.options import IndexOptions
from jaxloc.run.retrieval import arrays_file

FORMAT = "jaxloc-gallery-1"
_ROW = pa.schema(
    [
        ("path", pa.string()),
        ("name", pa.string()),
        ("label", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("found", pa.bool_()),
        ("box", pa.list_(pa.float32())),
        ("bytes", pa.int64()),
        ("checksum", pa.string()),
    ]
)


@dataclasses.dataclass(frozen=True)
class Description:
    """What every vector of a gallery was made with; ``settings`` are the options that vectors depend on."""

    descriptor: str
    settings: Mapping[str, Any]
    architecture: str
    weights_checksum: str
    shard_size: int
    whiten: str
    version: str = __version__

    def options(self, **others: Any) -> IndexOptions:
        """The options of the gallery, with ``others`` that vectors do not depend on."""
        own = {"descriptor": self.descriptor, "whiten": self.whiten, "shard_size": self.shard_size}
        return IndexOptions(**(others | own | dict(self.settings)))

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


class RegionVectors(NamedTuple):
    """Vectors of the regions of some images, one image after another.

    Attributes:
        vectors: float32 ``[m, d]``, of unit length.
        counts: int64 ``[n]``, number of regions of each image.
    """

    vectors: np.ndarray
    counts: np.ndarray

    def of(self, keep: np.ndarray) -> "RegionVectors":
        """Those of some of the images, bool ``[n]``."""
        return RegionVectors(self.vectors[np.repeat(keep, self.counts)], self.counts[keep])


class Gallery:
    """An existing gallery: its folder, and the description of what it was made with."""

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder = folder
        self.description = description
        self.codebooks_path = folder / "codebooks.safetensors"
        self.projection_path = folder / "projection.safetensors"
        self.whitening_path = folder / "whitening.safetensors"

    @classmethod
    def create(cls, folder: str | os.PathLike[str], description: Description) -> "Gallery":
        """Create a gallery in an empty or new folder; raises ``UsageError`` if it holds something else."""
        folder = Path(folder)
        strangers = [path.name for path in folder.glob("[!.]*")]
        if strangers:
            raise UsageError(f"{folder}: holds other files ({strangers[0]}): choose a new folder for the gallery")
        gallery = cls(folder, description)
        gallery._describe()
        return gallery

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Gallery":
        """Open a gallery; raises ``UsageError`` if there is none, or its description is damaged."""
        path = Path(folder) / "gallery.json"
        if not path.is_file():
            raise UsageError(f"{folder}: no gallery here; make one with `jaxloc index PHOTOS --out {folder}`")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise ValueError(f"not written by this version of jaxloc, {FORMAT}")
            made = Description(**values)
            if made.options().fingerprint().keys() - made.settings.keys():
                raise ValueError("settings are missing")
            if not isinstance(made.weights_checksum, str):
                raise ValueError("the weights have no checksum")
            return cls(Path(folder), made)
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
    def shards(self) -> list[int]:
        """Numbers of the finished shards, in order."""
        files = self.folder.glob("vectors/[0-9]*.safetensors")
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    # Shards.

    def write_shard(
        self,
        number: int,
        vectors: np.ndarray,
        rows: list[dict[str, Any]],
        skipped: Iterable[Skip],
        regions: RegionVectors | None = None,
    ) -> None:
        """Write or replace a shard: its vectors, float32 ``[n, d]``, their rows, and the images without a vector.

        Without ``regions``, those that the shard has stay.
        """
        if regions is not None:
            arrays: dict[str, np.ndarray] = {
                "vectors": regions.vectors.astype(np.float32),
                "counts": regions.counts.astype(np.int64),
            }
            arrays_file.write(self._regions_path(number), FORMAT, arrays)
        buffer = io.BytesIO()
        rows = [row | {"path": stored_path(row["path"], self.folder)} for row in rows]
        skipped = [dataclasses.replace(skip, path=stored_path(skip.path, self.folder)) for skip in skipped]
        pq.write_table(pa.Table.from_pylist(rows, schema=_ROW), buffer, compression="zstd")
        checksum = hashlib.sha256(buffer.getvalue()).hexdigest()
        name = f"{number:08d}-{checksum[:16]}.parquet"
        write_bytes(self.folder / "table" / name, buffer.getvalue())
        metadata = {
            "table": name,
            "table_checksum": checksum,
            "skipped": json.dumps([dataclasses.asdict(skip) for skip in skipped]),
        }
        _write_vectors(self._vectors_path(number), vectors, metadata)

    def vectors(self, number: int) -> np.ndarray:
        """A shard's vectors, float32 ``[n, d]``; raises ``UsageError`` if they are damaged."""
        return _read_vectors(self._vectors_path(number))

    def regions(self, number: int) -> RegionVectors | None:
        """A shard's regions, if the descriptor has some; raises ``UsageError`` if they are damaged."""
        path = self._regions_path(number)
        if not path.exists():
            return None
        return RegionVectors(**arrays_file.read(path, FORMAT, cure="index again into a new folder"))

    def chunks(self) -> Iterator[np.ndarray]:
        """The vectors of each shard that has some, in the order of the table."""
        yield from (part for number in self.shards if len(part := self.vectors(number)))

    def length(self, number: int) -> int:
        """Number of vectors in a shard, from its header."""
        path = self._vectors_path(number)
        with _readable(path), safetensors.safe_open(path, "np") as file:
            return int(file.get_slice("vectors").get_shape()[0])

    def vectors_checksum(self, number: int) -> str:
        """Checksum of a shard's vectors, from its header."""
        return self._metadata(number)["vectors_checksum"]

    def table(self, number: int) -> pa.Table:
        """A shard's rows, paths absolute; raises ``UsageError`` if they are damaged or missing."""
        metadata = self._metadata(number)
        path = self.folder / "table" / metadata["table"]
        with _readable(path, self._vectors_path(number)):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != metadata["table_checksum"]:
                raise ValueError("its checksum is wrong")
        table = pq.ParquetFile(io.BytesIO(data)).read(use_threads=False)
        return table.set_column(0, _ROW.field("path"), absolute_paths(table["path"], self.folder))

    def whole_table(self) -> pa.Table:
        """The rows of every shard, in the order of the vectors."""
        return pa.concat_tables([_ROW.empty_table(), *map(self.table, self.shards)])

    def skipped(self, shards: Iterable[int] | None = None) -> list[Skip]:
        """Images without a vector, of these shards or of all."""
        found = []
        for number in self.shards if shards is None else shards:
            skipped = self._metadata(number)["skipped"]
            with _readable(self._vectors_path(number)):
                found += [Skip(**skip) for skip in json.loads(skipped)]
        paths = absolute_paths(pa.chunked_array([[skip.path for skip in found]], pa.string()), self.folder)
        return [dataclasses.replace(skip, path=path) for skip, path in zip(found, paths.to_pylist(), strict=True)]

    def change(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace columns of the images that are listed, by path as in the table."""
        for number in self.shards:
            rows = self.table(number).to_pylist()
            changed = [row | changes.get(row["path"], {}) for row in rows]
            if changed != rows:
                self.write_shard(number, self.vectors(number), changed, self.skipped([number]))

    def remove(self, paths: Iterable[str]) -> int:
        """Remove images by path as in the table; returns how many vectors and skipped images were removed."""
        unwanted, removed = set(paths), 0
        for number in self.shards:
            rows, skipped = self.table(number).to_pylist(), self.skipped([number])
            keep = np.array([row["path"] not in unwanted for row in rows], bool)
            kept_skips = [skip for skip in skipped if skip.path not in unwanted]
            gone = int((~keep).sum()) + len(skipped) - len(kept_skips)
            if not gone:
                continue
            removed += gone
            if keep.any() or kept_skips:
                kept, regions = list(itertools.compress(rows, keep)), self.regions(number)
                self.write_shard(number, self.vectors(number)[keep], kept, kept_skips, regions and regions.of(keep))
            else:
                self._vectors_path(number).unlink()
        self.clean()
        return removed

    def clean(self) -> None:
        """Remove the remains of a kill: half-written files, and files of shards without vectors."""
        known = {self._metadata(number)["table"] for number in self.shards}
        known |= {self._whitened_path(number).name for number in self.shards}
        beside = ("table/*.parquet", "whitened/*.safetensors", "regions/*.safetensors")
        for path in itertools.chain.from_iterable(map(self.folder.glob, beside)):
            if path.name not in known:
                path.unlink(missing_ok=True)
        for path in [*self.folder.glob(".*.part"), *self.folder.glob("*/.*.part")]:
            path.unlink(missing_ok=True)

    # Whitened vectors.

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
        with _readable(path):
            if not {"table", "table_checksum", "vectors_checksum", "skipped"} <= metadata.keys():
                raise ValueError("not a shard of a gallery")
        return metadata

    def _vectors_path(self, number: int) -> Path:
        return self.folder / "vectors" / f"{number:08d}.safetensors"

    def _regions_path(self, number: int) -> Path:
        return self.folder / "regions" / f"{number:08d}.safetensors"

    def _whitened_path(self, number: int) -> Path:
        return self.folder / "whitened" / f"{number:08d}.safetensors"


def _write_vectors(path: Path, vectors: np.ndarray, metadata: Mapping[str, str]) -> None:
    vectors = np.ascontiguousarray(vectors, np.float32)
    own = {"format": FORMAT, "vectors_checksum": arrays_file.of_array(vectors)}
    write_safetensors(path, {"vectors": vectors}, own | dict(metadata))


def _read_vectors(path: Path) -> np.ndarray:
    with _readable(path), safetensors.safe_open(path, "np") as file:
        values, metadata = file.get_tensor("vectors"), file.metadata() or {}
        if arrays_file.of_array(values) != metadata.get("vectors_checksum"):
            raise ValueError("its checksum is wrong")
        return values


def _read_metadata(path: Path) -> dict[str, str]:
    with _readable(path), safetensors.safe_open(path, "np") as file:
        return file.metadata() or {}


def _readable(path: Path, shard: Path | None = None) -> contextlib.AbstractContextManager[None]:
    cure = f"delete {shard or path} and run the same `jaxloc index` again; the other shards stay as they are"
    return readable(path, "damaged", cure)


def stored_path(path: str, gallery: Path) -> str:
    """An absolute path as a gallery keeps it: relative to the gallery if it lies in the same folder or below."""
    for root, short in _roots(gallery):
        if path.startswith(root):
            return short + path.removeprefix(root)
    return path


def absolute_paths(paths: pa.ChunkedArray, gallery: Path) -> pa.ChunkedArray:
    """Paths as a gallery keeps them, made absolute; those that are absolute already stay."""
    for root, short in _roots(gallery):
        whole = pc.binary_join_element_wise(root, pc.utf8_slice_codeunits(paths, len(short)), "")
        paths = pc.if_else(pc.starts_with(paths, short), whole, paths)
    return paths


def _roots(gallery: Path) -> tuple[tuple[str, str], tuple[str, str]]:
    """The gallery's folder and the one around, escaped as the paths of images are, and what stands for each."""
    folder = os.path.abspath(gallery)
    return (escaped(os.path.join(folder, "")), "./"), (escaped(os.path.join(os.path.dirname(folder), "")), "../")
