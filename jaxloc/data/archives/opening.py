"""Open an archive by its kind."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from jaxloc.data.archives.array_records import ArrayRecords
from jaxloc.data.archives.parquet import Parquet
from jaxloc.data.archives.tar import Tar
from jaxloc.data.kinds import archive_kind
from jaxloc.data.sources import Part
from jaxloc.errors import UsageError

_KINDS: dict[str, Callable[[str], Part]] = {"tar": Tar, "parquet": Parquet, "arrayrecord": ArrayRecords}
_AT_ONCE = 8


def open_archive(place: str) -> Part:
    """Index the pictures of one archive, local or remote.

    Raises:
        UsageError: it is missing, truncated, damaged, compressed as a whole, or holds no picture.
    """
    kind = archive_kind(place) or ""
    if kind == "compressed":
        raise UsageError(
            f"{place}: a compressed tar file cannot be read from the middle: unpack it, or write it again as .tar "
            "(pictures are compressed already)"
        )
    return _KINDS[kind](place)


def open_archives(places: Sequence[str]) -> list[Part]:
    """Index several archives, a few at once, for remote ones answer slowly."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jaxloc-index") as pool:
        return list(pool.map(open_archive, places))
