"""Peak memory of ``jaxloc colocalize`` as the number of images grows tenfold.

    python benchmarks/memory.py PHOTOS [--counts 200 2000] [options of jaxloc colocalize]

The photographs are repeated under other names, so that only the number changes. The feature cache is on, as by
default: it is a file, not memory.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from peers import run


def repeat(photos: list[Path], count: int, folder: Path) -> None:
    """Fill a folder with ``count`` links to the photographs."""
    folder.mkdir()
    for number in range(count):
        source = photos[number % len(photos)].resolve()
        (folder / f"{number:06d}{source.suffix}").symlink_to(source)


def main() -> None:
    """Print one line for each count, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs=2, default=[200, 2000])
    parser.add_argument("--distinct", type=int, default=200, help="different photographs among them")
    arguments, options = parser.parse_known_args()
    photos = sorted(arguments.photos.rglob("*.jpg"))[: arguments.distinct]
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in arguments.counts:
            folder = Path(scratch, f"photos{count}")
            repeat(photos, count, folder)
            command = [sys.executable, "-c", "from jaxloc.cli import main; main()", "colocalize", str(folder)]
            done = run([*command, "--out", str(Path(scratch, f"out{count}")), *options])
            peaks.append(done.peak_mb)
            print(f"{count:6d} images: peak {done.peak_mb:7.1f} MB, {done.seconds:7.1f} s", flush=True)
    growth = peaks[1] - peaks[0]
    print(f"difference: {growth:+.1f} MB ({100 * growth / peaks[0]:+.1f} %)")


if __name__ == "__main__":
    main()
