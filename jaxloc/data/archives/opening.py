"""Opening of archives by their kind."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from jaxloc.data.archives.array_records import ArrayRecords
from jaxloc.data.archives.parquet import FOUND, Columns, Parquet
from jaxloc.data.archives.tar import Tar
from jaxloc.data.archives.video import Video
from jaxloc.data.kinds import archive_kind
from jaxloc.data.sources import Part
from jaxloc.errors import UsageError

_KINDS: dict[str, Callable[[str], Part]] = {"tar": Tar, "arrayrecord": ArrayRecords}
_THREADS = 8


def open_archive(place: str, *, every: int = 1, columns: Columns = FOUND) -> Part:
    """Index the images of one archive, local or remote; of a video take every N-th frame only, of a table a column."""
    kind = archive_kind(place) or ""
    if kind == "compressed":
        raise UsageError(
            f"{place}: a compressed tar file cannot be read from the middle: unpack it, or write it again as .tar "
            "(images are compressed already)"
        )
    if kind == "parquet":
        return Parquet(place, columns)
    return Video(place, every=every) if kind == "video" else _KINDS[kind](place)


def open_archives(places: Sequence[str], *, every: int = 1, columns: Columns = FOUND) -> list[Part]:
    """Index several archives in threads; ``every`` and ``columns`` as for ``open_archive``."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="jaxloc-index") as pool:
        return list(pool.map(lambda place: open_archive(place, every=every, columns=columns), places))
