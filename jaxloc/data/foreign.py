"""Files that are not read as images: what they are, by their ending or first bytes, and what can be done about it."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jaxloc.data import remote
from jaxloc.data.ahead import read_ahead
from jaxloc.data.formats import starts_as_image
from jaxloc.data.kinds import archive_kind, suffix
from jaxloc.data.sources import escaped

START = 512
"""Number of first bytes that tell what a file is."""
_THREADS = 8
_SHOWN = 4


class Kind(NamedTuple):
    """What files are, in the plural, and the cure, if there is one."""

    what: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}" if self.cure else self.what


_CONVERT = "convert them to JPEG or PNG"
_UNPACK = "unpack them"
_TO_MP4 = "convert them to MP4 (ffmpeg -i CLIP CLIP.mp4)"
_ALONE = "give them by their own path"
HEIC = Kind("HEIC photographs", "pip install 'jaxloc[heif]'")
RAW = Kind("RAW photographs", "develop them to JPEG or TIFF")
_AVIF = Kind("AVIF images", "install a Pillow that reads them (11.3 or later), or convert them to JPEG")
_JXL = Kind("JPEG XL images", _CONVERT)
_OTHER_IMAGES = Kind("images of a format that is not read", _CONVERT)
_DRAWINGS = Kind("drawings or documents", _CONVERT)
_VIDEOS = Kind("videos of a format that is not read", _TO_MP4)
_PACKED = Kind("packed archives", _UNPACK)
_DATA = Kind("arrays or other data")
_WEB_PAGES = Kind("web pages", "fetch the images again")
_POINTERS = Kind("pointers of Git LFS in place of files", "run git lfs pull")
_UNKNOWN = Kind("of no known kind")
_EMPTY = Kind("empty")
TABLE = Kind("tables about archives of their name")
MASK = Kind("images that belong to another of their sample, such as masks", "unpack the archive to read them")
LINK = Kind("links to no file before them", "write the tar file again with files in place of links (tar --dereference)")
UNMARKED = Kind("images without an ending beside archives", _ALONE)
_BESIDE = {
    "video": Kind("videos beside images", f"{_ALONE} to take their frames"),
    "tar": Kind("archives beside images", _ALONE),
    "parquet": Kind("tables beside images", f"{_ALONE} if they hold images"),
    "arrayrecord": Kind("archives beside images", _ALONE),
    "compressed": _PACKED,
}

_BY_ENDING = {
    HEIC: "heic heif heics heifs hif",
    RAW: "3fr ari arw bay cap cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf ori pef ptx raf raw "
    "rw2 rwl sr2 srf srw x3f",
    _AVIF: "avif avifs",
    _JXL: "jxl",
    _OTHER_IMAGES: "bpg dcm dicom djvu exr flif hdp jxr pcd wdp xcf",
    _DRAWINGS: "ai cdr doc docx dwg emf eps pdf ppt pptx ps svg svgz wmf",
    _VIDEOS: "3g2 3gp asf divx f4v flv m2ts m2v mpeg mpg mts mxf ogm ogv rm rmvb vob wmv",
    _PACKED: "7z bz2 gz lzma rar tbz xz zip zst",
    _DATA: "bufr ckpt grb grib grib2 h5 hdf hdf5 mat nc npy npz pickle pkl pt pth",
}
_KINDS = {f".{ending}": kind for kind, endings in _BY_ENDING.items() for ending in endings.split()}
_NOT_OPENED = {RAW, _VIDEOS, _PACKED}
"""Kinds that the ending alone tells; RAW photographs start like TIFF, with a thumbnail."""

_TEXT_ENDINGS = (
    "aae bak cfg css csv data db geojson htm html ini ipynb js json jsonl lnk log lst list md names ndjson part py rst "
    "safetensors sh thm tmp toml tsv txt url xml xmp yaml yml"
)
_TEXT = frozenset(f".{ending}" for ending in _TEXT_ENDINGS.split())
"""Endings of text, annotations, results of jobs and side files, which are beside images without being missed."""

_BRANDS = {b"avif": _AVIF, b"avis": _AVIF, b"crx ": RAW}
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), HEIC)
_STARTS = (
    (0, b"\xff\x0a", _JXL),
    (0, b"\0\0\0\x0cJXL ", _JXL),
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"%PDF", _DRAWINGS),
    (0, b"%!PS", _DRAWINGS),
    (0, b"\xd7\xcd\xc6\x9a", _DRAWINGS),
    (0, b"FLV\x01", _VIDEOS),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEOS),
    (0, b"\0\0\x01\xba", _VIDEOS),
    (0, b"\0\0\x01\xb3", _VIDEOS),
    (0, b"OggS", _VIDEOS),
    (0, b"\x1a\x45\xdf\xa3", Kind("Matroska or WebM videos", "name them .mkv")),
    (8, b"AVI ", Kind("AVI videos", "name them .avi")),
    (0, b"PK\x03\x04", _PACKED),
    (0, b"\x1f\x8b", _PACKED),
    (0, b"7z\xbc\xaf\x27\x1c", _PACKED),
    (0, b"Rar!", _PACKED),
    (0, b"\xfd7zXZ", _PACKED),
    (0, b"\x28\xb5\x2f\xfd", _PACKED),
    (257, b"ustar", Kind("tar files", "name them .tar")),
    (0, b"PAR1", Kind("Parquet files", "name them .parquet")),
    (0, b"\x89HDF\r\n\x1a\n", Kind("HDF5 data")),
    (0, b"GRIB", _DATA),
    (0, b"BUFR", _DATA),
    (0, b"\x93NUMPY", _DATA),
    (0, b"version https://git-lfs", _POINTERS),
)
_LINE = 188
"""Bytes of a packet of an MPEG transport stream, each of which starts with ``G``."""


def kind_of(start: bytes) -> Kind | None:
    """What a file that is no image is, by its first ``START`` bytes; ``None`` if unknown."""
    if not start:
        return _EMPTY
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        return _BRANDS.get(brand, _VIDEOS if brand[:2] == b"3g" else Kind("MP4 or MOV videos", "name them .mp4"))
    for offset, sign, kind in _STARTS:
        if start.startswith(sign, offset):
            return kind
    if start[:1] == start[_LINE : _LINE + 1] == b"G":
        return _VIDEOS
    return _WEB_PAGES if start.lstrip().lower().startswith((b"<!doctype html", b"<html")) else None


def look(places: Iterable[str]) -> dict[str, Kind | None]:
    """What the files are that have no ending of an image or archive; ``None`` for an image, by its first bytes.

    Text, annotations and the like are left out.
    """
    wanted = [place for place in places if not is_text(place)]
    return dict(zip(wanted, read_ahead(_look, wanted, workers=_THREADS, ahead=8 * _THREADS), strict=True))


def _look(place: str) -> Kind | None:
    try:
        return look_at(place, lambda: read_start(place))
    except OSError as error:
        return Kind(f"not readable ({error.strerror or error})")


def is_text(name: str) -> bool:
    """Whether a name is that of text, annotations or a side file."""
    return suffix(name) in _TEXT


def look_at(name: str, read: Callable[[], bytes]) -> Kind | None:
    """What one file is, as ``look`` tells; ``read`` returns its first bytes, and is not always called."""
    known = _KINDS.get(suffix(name))
    if known in _NOT_OPENED:
        return known
    start = read()
    if starts_as_image(start):
        return None
    return known if known is not None and known is not _DATA else kind_of(start) or known or _UNKNOWN


def read_start(place: str) -> bytes:
    """The first bytes of a local or remote file; none of a pipe or the like, which would block."""
    if not remote.is_remote(place) and not stat.S_ISREG(os.stat(place).st_mode):
        return b""
    return remote.read(place, 0, START)


def beside(place: str) -> Kind:
    """What an archive or video is that lies beside images."""
    return _BESIDE[archive_kind(place) or ""]


def told(files: Mapping[str, Kind]) -> list[str]:
    """A line for each ending and kind of the files, the most frequent first."""
    counts = Counter((escaped(suffix(place)), kind) for place, kind in files.items())
    return [
        f"{number:,} {ending or 'other'} {'file' if number == 1 else 'files'} not read: {kind}"
        for (ending, kind), number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def but(files: Mapping[str, Kind]) -> str:
    """The files in parentheses for the message that nothing else is there, or nothing."""
    lines = told(files)
    return f" ({'; '.join(lines[:_SHOWN])}{' …' if len(lines) > _SHOWN else ''})" if lines else ""
