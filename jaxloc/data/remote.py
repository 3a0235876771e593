"""Files at remote places (``gs://``, ``s3://``, ``https://``, …), through fsspec."""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxloc.data.sources import Labels, Part, Record, Texts
from jaxloc.errors import UsageError

if TYPE_CHECKING:
    import fsspec

_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "abfs": "adlfs", "az": "adlfs"}
_PACKAGES |= {"http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko", "smb": "smbprotocol"}
_REMOTE = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])")


def is_remote(path: str) -> bool:
    """Whether this is an address such as ``gs://bucket/photos`` (also as a path object writes it, ``gs:/bucket``)."""
    return _REMOTE.match(path) is not None


def find(address: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """The file system that an address belongs to, and its path there.

    Raises:
        UsageError: the package that knows this kind of address is missing, or there is none.
    """
    protocol = address.split(":")[0]
    try:
        import fsspec.core
    except ImportError as error:
        raise UsageError(f"{address}: reading remote files needs fsspec: pip install 'jaxloc[remote]'") from error
    try:
        return fsspec.core.url_to_fs(_REMOTE.sub(r"\1://", address, count=1))
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        cure = f"pip install {package}" if package else " ".join(str(error).split())
        raise UsageError(f"{address}: reading {protocol}:// needs another package: {cure}") from error
    except ValueError as error:
        raise UsageError(f"{address}: cannot be opened ({' '.join(str(error).split())}): check the address") from error


class Entry(NamedTuple):
    """A file or folder: its place, whether it is a folder, and the bytes of a file where a listing said them."""

    place: str
    is_folder: bool
    size: int | None


def stat(address: str) -> Entry:
    """What is at an address, which is given in its usual spelling.

    Raises:
        UsageError: there is nothing, or it cannot be reached.
    """
    system, path = find(address)
    with _Reaching(address):
        return _entry(system, path, system.info(path))


def walk(address: str) -> dict[str, int | None]:
    """Every file below a folder, hidden ones left out, and its bytes where they are known.

    Raises:
        UsageError: it cannot be listed.
    """
    system, path = find(address)
    with _Reaching(address):
        found = {_address(system, place): entry.get("size") for place, entry in system.find(path, detail=True).items()}
    root = _address(system, path)
    return {place: size for place, size in found.items() if "/." not in place[len(root) :]}


def match(pattern: str) -> list[Entry]:
    """The files and folders that a pattern with ``*`` names, in order.

    Raises:
        UsageError: the place cannot be listed.
    """
    system, path = find(pattern)
    with _Reaching(pattern):
        return sorted(_entry(system, place, about) for place, about in system.glob(path, detail=True).items())


def join(folder: str, entry: str) -> str:
    """The address of a file that is named relative to a folder, or by an address of its own."""
    if is_remote(entry):
        return entry
    protocol, _, rest = folder.partition("://")
    return f"{protocol}://{posixpath.normpath(f'{rest}/{entry}')}"


def read(place: str, start: int | None = None, stop: int | None = None) -> bytes:
    """The bytes of a local or remote file, or those from ``start`` to ``stop``; nothing is kept open.

    Raises:
        OSError: it cannot be read.
    """
    if is_remote(place):
        system, path = find(place)
        return system.cat_file(path, start=start, end=stop)  # by name: s3fs has another order
    with open(place, "rb") as file:
        file.seek(start or 0)
        return file.read(-1 if stop is None else stop - (start or 0))


def open_file(place: str) -> IO[bytes]:
    """A local or remote file, open to be read at any position.

    Raises:
        UsageError: there is none, or it cannot be reached.
    """
    with _Reaching(place):
        if is_remote(place):
            system, path = find(place)
            return system.open(path, "rb")
        return open(place, "rb")


class _Reaching:
    """Turns whatever a file system raises into one line."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError):
            raise UsageError(f"{self._place}: no such file or folder") from error
        if isinstance(error, Exception) and not isinstance(error, UsageError):
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            cure = "check the address, the network and your credentials" if is_remote(self._place) else "check the file"
            raise UsageError(f"{self._place}: cannot be read ({reason}): {cure}") from error


def _address(system: "fsspec.AbstractFileSystem", path: str) -> str:
    return _REMOTE.sub(r"\1://", system.unstrip_protocol(path), count=1).rstrip("/")


def _entry(system: "fsspec.AbstractFileSystem", path: str, about: dict[str, Any]) -> Entry:
    return Entry(_address(system, path), about["type"] == "directory", about.get("size"))


@dataclasses.dataclass(frozen=True)
class RemoteFile(Record):
    """One picture file at a remote place.

    Attributes:
        address: with its protocol.
        size: in bytes, if known.
    """

    address: str
    size: int | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return self.address

    @property
    def size_in_bytes(self) -> int | None:
        """As it was listed."""
        return self.size

    def read(self) -> bytes:
        """The whole file."""
        return read(self.address)

    def read_start(self, count: int) -> bytes:
        """The first bytes, asked for as a range."""
        return read(self.address, 0, count)


class RemoteFiles(Part):
    """Single remote files below one folder.

    Args:
        folder: what the names are relative to.
        names: of the files.
        sizes: of the files, in bytes, where they are known.
        labels: of the files.
    """

    def __init__(
        self, folder: str, names: Iterable[str], sizes: Iterator[int | None], labels: Labels | None = None
    ) -> None:
        self.place, self.labels = folder, labels
        self._names = Texts(names)
        self._sizes = np.array([-1 if size is None else size for size in sizes], np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """The file's path relative to the folder."""
        return self._names[number]

    def path(self, number: int) -> RemoteFile:
        """The file's address."""
        size = int(self._sizes[number])
        return RemoteFile(f"{self.place}/{self._names[number]}", None if size < 0 else size)
