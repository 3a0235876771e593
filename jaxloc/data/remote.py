"""Files at remote places (``gs://``, ``s3://``, ``https://``, …), through fsspec, and what to do when they fail."""

import contextlib
import dataclasses
import errno
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from jaxloc._interrupts import attended, check
from jaxloc.data.sources import Labels, Part, Record, Texts
from jaxloc.errors import ImageError, PlaceError, UsageError

if TYPE_CHECKING:
    import fsspec

T = TypeVar("T")

PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further try of a remote read that failed."""
_LOOK = 0.1
"""Seconds between two looks, in a pause, at whether the process is asked to end."""

_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "abfs": "adlfs", "az": "adlfs"}
_PACKAGES |= {"http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko", "smb": "smbprotocol"}
_OPTIONS = {protocol: {"max_concurrency": 1} for protocol in ("s3", "s3a")}
"""One request for an image: to read a file in several parts at once, s3fs would first ask how large it is."""
_AHEAD = 8 << 20
"""Bytes fetched beyond those asked for; s3fs's own 50 MiB, of several archives at once, take a gigabyte of memory."""

_WEB = ("http://", "https://")
_GONE = (404, 410)
_OWN = (403, *_GONE, 416)
"""What a store answers of one file: forbidden, not there, and that no bytes of it are where some were asked for."""
_OTHERS = ("ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "NoSuchBucket")
"""What S3 says of the credentials or the whole bucket, which s3fs takes for a file that is forbidden or not there."""
_OUTAGES = tuple(
    getattr(errno, name, None)  # not every system has all of them
    for name in (
        *("ENOTCONN", "EREMOTEIO", "ESTALE", "ENODEV", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"),
        *("ENETUNREACH", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EMFILE", "ENFILE"),
    )
)
"""What the system says of a disk that went away, or of too many open files: nothing of the one file asked for."""
_PAGE = "text/html"
"""What a web server shows of a folder."""

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
        return fsspec.core.url_to_fs(_REMOTE.sub(r"\1://", address, count=1), **_OPTIONS.get(protocol, {}))
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
    with reaching(address):
        return _entry(system, path, system.info(path))


def walk(address: str) -> dict[str, int | None]:
    """Every file below a folder, hidden ones left out, and its bytes where they are known.

    Raises:
        UsageError: it cannot be listed.
    """
    system, path = find(address)
    listed = _listed(system, system.find, address, path)
    found = {_address(system, place): about.get("size") for place, about in listed}
    root = _address(system, path)
    return {place: size for place, size in found.items() if "/." not in place[len(root) :]}


def match(pattern: str) -> list[Entry]:
    """The files and folders that a pattern with ``*`` names, in order.

    Raises:
        UsageError: the place cannot be listed.
    """
    system, path = find(pattern)
    return sorted(_entry(system, place, about) for place, about in _listed(system, system.glob, pattern, path))


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
        try:
            data = system.cat_file(path, start=start, end=stop)  # by name: file systems differ in their order
        except (OSError, MemoryError):
            raise
        except Exception as error:  # each kind of remote place has errors of its own
            raise OSError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        first = start or 0
        is_whole = stop is not None and len(data) > stop - first  # from a web server that knows no ranges
        return data[first:stop] if is_whole else data
    with open(place, "rb") as file:
        file.seek(start or 0)
        return file.read(-1 if stop is None else stop - (start or 0))


def open_file(place: str, *, ahead: bool = True) -> IO[bytes]:
    """A local or remote file, open to be read at any position.

    Args:
        place: the file.
        ahead: of a remote file, fetch more than is asked for, as suits small reads one after another; else each read
            fetches its own bytes alone.

    Raises:
        UsageError: there is none, or it cannot be reached.
    """
    with reaching(place):
        return open_plainly(place, ahead=ahead)


def open_plainly(place: str, *, ahead: bool = True) -> IO[bytes]:
    """As ``open_file``, with the errors of the place itself."""
    if is_remote(place):
        system, path = find(place)
        return system.open(path, "rb", block_size=_AHEAD, cache_type="readahead" if ahead else "none")
    return open(place, "rb")


def persist(place: str, work: Callable[[], T], *, alone: bool = False) -> T:
    """The result of a read; at a remote place a failure may pass, and it is tried again after each of ``PAUSES``.

    Args:
        place: the file.
        work: reads it.
        alone: whether the file is that of one image: that it is not there, or may not be read, is raised as it is.

    Raises:
        PlaceError: it failed to the end; the message names the file, the reason and the cure.
        OSError: the image's own file is not there, or may not be read.
        ImageError: as ``work`` raised it.
    """
    pauses = iter(PAUSES if is_remote(place) else ())
    while True:
        try:
            return work()
        except (ImageError, PlaceError, MemoryError):
            raise
        except Exception as error:  # each kind of archive and remote place has errors of its own
            answered = _is_answer(place, error)
            if answered and alone:
                raise
            pause = None if answered else next(pauses, None)
            if pause is None:
                raise _lost(place, error) from error
        _wait(pause)


def check_place(place: str, error: OSError) -> None:
    """Of an error on the file of one image, see that it tells nothing of all files there.

    Raises:
        PlaceError: the disk went away, or the process has too many files open.
    """
    if error.errno is not None and error.errno in _OUTAGES:
        raise _lost(place, error) from error


def lost(place: str, what: str, cure: str) -> PlaceError:
    """The error of a place that failed.

    Args:
        place: the file, archive or address.
        what: is the matter with it.
        cure: what to do.
    """
    return PlaceError(f"{place}: {what}: {cure}, and run the same command again; finished shards are kept")


def _lost(place: str, error: Exception) -> PlaceError:
    if isinstance(error, UsageError):  # says it all
        return PlaceError(f"{error}, and run the same command again; finished shards are kept")
    cure = "check the network and your credentials" if is_remote(place) else "see that the file and its disk are there"
    return lost(place, f"cannot be read any more ({_said(error)})", cure)


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    known = getattr(error, "strerror", None) or (str(error) if type(error) is OSError else "")
    return " ".join((known or f"{type(error).__name__}: {error}").split())


def _is_answer(place: str, error: BaseException) -> bool:
    """Whether a place that works said that this file is not there or may not be read; or a package is missing."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    codes = [_code(one) for one in chain]
    if any(code in _OTHERS for code in codes):
        return False
    if place.startswith(_WEB):  # there all failures are missing files
        chain, codes = chain[-1:], codes[-1:]
    plain = (FileNotFoundError, PermissionError, ImportError)
    return any(isinstance(one, plain) or code in _OWN for one, code in zip(chain, codes, strict=True))


def _code(error: BaseException) -> Any:
    """What a store answered: a word of S3, or a number of HTTP as each package keeps it; ``None`` if nothing."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        word = response.get("Error", {}).get("Code")
        return 416 if word == "InvalidRange" else word
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):  # so gcsfs says it
        return 403
    return next((code for name in ("status", "status_code", "code") if (code := getattr(error, name, None))), None)


def _wait(seconds: float) -> None:
    """Let time pass, unless the process is asked to end."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, _LOOK))


@contextlib.contextmanager
def reaching(place: str) -> Iterator[None]:
    """Turn whatever a file system raises in this block into one line.

    Raises:
        UsageError: naming the local or remote file, and what to check.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # each kind of remote place has errors of its own
        reason = error.__cause__ or error if place.startswith(_WEB) else error  # there all failures are missing files
        if isinstance(reason, FileNotFoundError) or getattr(reason, "status", None) in _GONE:
            raise UsageError(f"{place}: no such file or folder") from error
        said = " ".join(f"{type(reason).__name__}: {reason}".split())
        cure = "check the address, the network and your credentials" if is_remote(place) else "check the file"
        raise UsageError(f"{place}: cannot be read ({said}): {cure}") from error


def _listed(
    system: "fsspec.AbstractFileSystem", listing: Callable[..., Any], address: str, path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is there now, without the empty objects that stores keep in place of folders."""
    with reaching(address):
        system.invalidate_cache()  # what an earlier listing found may be gone
        found = attended(lambda: listing(path, detail=True))
        system.invalidate_cache()  # else it stays in memory
    return ((place, about) for place, about in found.items() if not place.endswith("/"))


def _address(system: "fsspec.AbstractFileSystem", path: str) -> str:
    return _REMOTE.sub(r"\1://", system.unstrip_protocol(path), count=1).rstrip("/")


def _entry(system: "fsspec.AbstractFileSystem", path: str, about: dict[str, Any]) -> Entry:
    is_folder = about["type"] == "directory" or about.get("mimetype") == _PAGE
    return Entry(_address(system, path), is_folder, about.get("size"))


@dataclasses.dataclass(frozen=True)
class RemoteFile(Record):
    """One image file at a remote place.

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
        return persist(self.address, lambda: read(self.address), alone=True)

    def read_start(self, count: int) -> bytes:
        """The first bytes, asked for as a range."""
        if self.size == 0:  # of which stores refuse any range
            return b""
        return persist(self.address, lambda: read(self.address, 0, count), alone=True)


class RemoteFiles(Part):
    """Single remote files below one folder.

    Args:
        folder: what the names are relative to.
        names: of the files.
        sizes: of the files, in bytes, where they are known.
        labels: of the files.

    Raises:
        UsageError: a name would lie outside a folder of results.
    """

    def __init__(
        self, folder: str, names: Iterable[str], sizes: Iterator[int | None], labels: Labels | None = None
    ) -> None:
        self.place, self.labels = folder, labels
        self._names = Texts(_checked(folder, name) for name in names)
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


def _checked(folder: str, name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        raise UsageError(
            f"{folder}/{name}: results cannot be named after it (// or .. in its name): rename it, or name the folders "
            "or images to use"
        )
    return name
