"""Files at remote places (``gs://``, ``s3://``, ``https://``, …) through fsspec, and what their errors mean."""

import contextlib
import dataclasses
import errno
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from jaxloc.data.kinds import is_left_out
from jaxloc.data.sources import Files, Labels, Record
from jaxloc.errors import ImageError, PlaceError, UsageError

if TYPE_CHECKING:
    import fsspec

T = TypeVar("T")

PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each retry of a remote read. Of the file systems only those of S3 and Google retry by themselves."""

_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "abfs": "adlfs", "az": "adlfs"}
_PACKAGES |= {"http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko", "smb": "smbprotocol"}
_OPTIONS = {protocol: {"max_concurrency": 1} for protocol in ("s3", "s3a")}
"""One request an image: to read a file in several parts at once, s3fs first asks for its size."""
_AHEAD = 8 << 20
"""Bytes of read-ahead; s3fs's default of 50 MiB takes a gigabyte of memory for several archives at once."""

_WEB = ("http://", "https://")
_GONE = (404, 410)
_OWN = (403, *_GONE, 416)
"""HTTP answers about one file: forbidden, missing, and no bytes in the range asked for."""
_OTHERS = ("ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "NoSuchBucket")
"""S3 answers about the credentials or the bucket, which s3fs reports as a forbidden or missing file."""
_OUTAGES = tuple(
    getattr(errno, name, None)  # not every system has all of them
    for name in (
        *("ENOTCONN", "EREMOTEIO", "ESTALE", "ENODEV", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"),
        *("ENETUNREACH", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EMFILE", "ENFILE"),
    )
)
"""System errors of a lost disk or of too many open files, not of one file."""
_PAGE = "text/html"
"""Type of a web server's folder."""
_RESUME = "and run the same command again; finished shards are kept"

_REMOTE = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])")


def is_remote(path: str) -> bool:
    """Whether ``path`` is an address such as ``gs://bucket/photos`` (``gs:/bucket`` as a path object writes it)."""
    return _REMOTE.match(path) is not None


def find(address: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """File system of an address, and its path there."""
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
    """A file or folder, with the bytes of a file if a listing gave them."""

    place: str
    is_folder: bool
    size: int | None


def stat(address: str) -> Entry:
    """Look up an address."""
    system, path = find(address)
    with reaching(address):
        return _entry(system, path, system.info(path))


def walk(address: str) -> dict[str, int | None]:
    """All files below a folder except those that a search leaves out, each with its bytes if known."""
    system, path = find(address)
    root = _address(system, path)
    listed = _listed(system, system.find, address, path)
    found = {_address(system, place): about.get("size") for place, about in listed}
    return {place: size for place, size in found.items() if not is_left_out(place[len(root) :])}


def match(pattern: str) -> list[Entry]:
    """Files and folders that match a pattern with ``*``, in order."""
    system, path = find(pattern)
    return sorted(_entry(system, place, about) for place, about in _listed(system, system.glob, pattern, path))


def join(folder: str, entry: str) -> str:
    """Address of a file named relative to a folder, or by its own address."""
    if is_remote(entry):
        return entry
    protocol, _, rest = folder.partition("://")
    return f"{protocol}://{posixpath.normpath(f'{rest}/{entry}')}"


def read(place: str, start: int | None = None, stop: int | None = None) -> bytes:
    """Read a local or remote file, or its bytes from ``start`` to ``stop``; any error is an ``OSError``."""
    first = start or 0
    if not is_remote(place):
        with open(place, "rb") as file:
            file.seek(first)
            return file.read(-1 if stop is None else stop - first)
    system, path = find(place)
    try:
        data = system.cat_file(path, start=start, end=stop)  # by name: file systems differ in their order
    except (OSError, MemoryError):
        raise
    except Exception as error:  # file systems raise errors of their own
        raise OSError(_said(error)) from error
    is_whole = stop is not None and len(data) > stop - first  # from a web server without ranges
    return data[first:stop] if is_whole else data


def open_file(place: str, *, ahead: bool = True) -> IO[bytes]:
    """Open a file for reading at any position; ``ahead`` is for small reads of a remote file one after another."""
    if not is_remote(place):
        return open(place, "rb")
    system, path = find(place)
    return system.open(path, "rb", block_size=_AHEAD, cache_type="readahead" if ahead else "none")


def persist(place: str, work: Callable[[], T], *, alone: bool = False) -> T:
    """Read something; retry at a remote place after each of ``PAUSES``.

    ``alone`` says that the file is that of a single image, so that a missing or forbidden file is that image's fault.

    Raises:
        PlaceError: the place failed; the message names the file, the reason and the cure.
        OSError: the image's own file is missing or forbidden.
        ImageError: as raised by ``work``.
    """
    pauses = iter(PAUSES if is_remote(place) else ())
    while True:
        try:
            return work()
        except (ImageError, PlaceError, MemoryError):
            raise
        except Exception as error:  # archives and file systems raise errors of their own
            answered = _is_answer(place, error)
            if answered and alone:
                raise
            pause = None if answered else next(pauses, None)
            if pause is None:
                raise _lost(place, error) from error
        time.sleep(pause)


def check_place(place: str, error: OSError) -> None:
    """Raise ``PlaceError`` if an error on one image's file means a lost disk or too many open files."""
    if error.errno is not None and error.errno in _OUTAGES:
        raise _lost(place, error) from error


def lost(place: str, what: str, cure: str) -> PlaceError:
    """Error of a file, archive or address that failed, with the failure and the cure."""
    return PlaceError(f"{place}: {what}: {cure}, {_RESUME}")


def _lost(place: str, error: Exception) -> PlaceError:
    if isinstance(error, UsageError):
        return PlaceError(f"{error}, {_RESUME}")
    cure = "check the network and your credentials" if is_remote(place) else "see that the file and its disk are there"
    known = getattr(error, "strerror", None) or (str(error) if type(error) is OSError else _said(error))
    reason = "no such file" if isinstance(error, FileNotFoundError) else " ".join(known.split())
    return lost(place, f"cannot be read any more ({reason})", cure)


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _is_answer(place: str, error: BaseException) -> bool:
    """Whether a working place answered that this file is missing or forbidden, or a package is missing."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    codes = [_code(one) for one in chain]
    if any(code in _OTHERS for code in codes):
        return False
    if place.startswith(_WEB):  # fsspec reports every failure there as a missing file
        chain, codes = chain[-1:], codes[-1:]
    plain = (FileNotFoundError, PermissionError, ImportError)
    return any(isinstance(one, plain) or code in _OWN for one, code in zip(chain, codes, strict=True))


def _code(error: BaseException) -> Any:
    """A store's answer: a word of S3, an HTTP status, or ``None``."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        word = response.get("Error", {}).get("Code")
        return 416 if word == "InvalidRange" else word
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):  # from gcsfs
        return 403
    return next((code for name in ("status", "status_code", "code") if (code := getattr(error, name, None))), None)


@contextlib.contextmanager
def reaching(place: str) -> Iterator[None]:
    """Turn any error of a file system into a ``UsageError`` that names the file and what to check."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # file systems raise errors of their own
        reason = error.__cause__ or error if place.startswith(_WEB) else error
        if isinstance(reason, FileNotFoundError) or getattr(reason, "status", None) in _GONE:
            raise UsageError(f"{place}: no such file or folder") from error
        cure = "check the address, the network and your credentials" if is_remote(place) else "check the file"
        raise UsageError(f"{place}: cannot be read ({_said(reason)}): {cure}") from error


def _listed(
    system: "fsspec.AbstractFileSystem", listing: Callable[..., Any], address: str, path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """List anew, without the empty objects that stand for folders."""
    with reaching(address):
        system.invalidate_cache()
        found = listing(path, detail=True)
        system.invalidate_cache()  # else it stays in memory
    return ((place, about) for place, about in found.items() if not place.endswith("/"))


def _address(system: "fsspec.AbstractFileSystem", path: str) -> str:
    return _REMOTE.sub(r"\1://", system.unstrip_protocol(path), count=1).rstrip("/")


def _entry(system: "fsspec.AbstractFileSystem", path: str, about: dict[str, Any]) -> Entry:
    is_folder = about["type"] == "directory" or about.get("mimetype") == _PAGE
    return Entry(_address(system, path), is_folder, about.get("size"))


@dataclasses.dataclass(frozen=True)
class RemoteFile(Record):
    """One image file at a remote place, with its bytes if a listing gave them."""

    address: str
    size_in_bytes: int | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return self.address

    def read(self) -> bytes:
        """Read the whole file."""
        return persist(self.address, lambda: read(self.address), alone=True)

    def read_start(self, count: int) -> bytes:
        """Read the first bytes by a range request."""
        if self.size_in_bytes == 0:  # stores refuse any range of an empty file
            return b""
        return persist(self.address, lambda: read(self.address, 0, count), alone=True)


class RemoteFiles(Files):
    """Remote files below one folder, with their bytes if known."""

    def __init__(
        self, folder: str, names: Sequence[str], sizes: Iterable[int | None], labels: Labels | None = None
    ) -> None:
        for name in names:
            if name.startswith("/") or ".." in name.split("/"):
                raise UsageError(
                    f"{folder}/{name}: results cannot be named after it (// or .. in its name): rename it, or name the "
                    "folders or images to use"
                )
        super().__init__(folder, names, labels)
        self._sizes = np.array([-1 if size is None else size for size in sizes], np.int64)

    def path(self, number: int) -> RemoteFile:
        """Address of a file."""
        size = int(self._sizes[number])
        return RemoteFile(f"{self.place}/{self.name(number)}", None if size < 0 else size)
