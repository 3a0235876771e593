"""``jaxloc index`` beside the script its users would otherwise write: SCDA vectors per second of the same photographs.

    pip install torch torchvision scikit-learn
    python benchmarks/index.py PHOTOS [--limit N] [--max-side PIXELS] [--repeats R]

Each side runs in processes of its own, in turn (A B A B …), and describes the photographs twice in each: "cold" is the
first pass, with weights and compilation but without imports, "warm" the second, for jaxloc into a new gallery. The
ratio is jaxloc's vectors per second over the script's, pair by pair. The vectors are compared by photograph, and by
the nearest other photograph of each.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import link_photos, run

from jaxloc import models
from jaxloc.options import IndexOptions
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.scoring import unit

HERE = Path(__file__).parent
PASSES = ("cold", "warm")


def main() -> None:
    """Run both sides and print the table, or jaxloc's side alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, help="number of photographs, evenly spaced")
    parser.add_argument("--max-side", type=int, default=700, help="shrink to this shorter side; 0 never shrinks")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true", help="give torch its faster memory layout")
    parser.add_argument("--batch", type=int, help="jaxloc's batch size")
    parser.add_argument(
        "--vectors", type=Path, help="run jaxloc's side alone, in this process, and keep its vectors here"
    )
    arguments = parser.parse_args()
    if arguments.vectors:
        options = IndexOptions(max_side=arguments.max_side, batch=arguments.batch)
        print(json.dumps({"passes": [once(arguments.photos, options, arguments.vectors) for _ in PASSES]}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = link_photos(arguments.photos, folder / "photos", arguments.limit)
        weights = folder / "vgg16.safetensors"
        models.save(weights, models.load("vgg16"))
        vectors = {name: folder / f"{name}.npy" for name in ("torch", "jaxloc")}
        shared = [str(folder / "photos"), "--max-side", str(arguments.max_side)]
        torch = [sys.executable, str(HERE / "plain_torch_scda.py"), *shared, "--vectors", str(vectors["torch"])]
        torch += ["--weights", str(weights)] + ["--channels-last"] * arguments.channels_last
        ours = [sys.executable, __file__, *shared, "--vectors", str(vectors["jaxloc"])]
        ours += ["--batch", str(arguments.batch)] if arguments.batch else []
        compare_speed(torch, ours, len(photos), arguments.repeats)
        compare_vectors(np.load(vectors["torch"]), np.load(vectors["jaxloc"]), photos)


def once(photos: Path, options: IndexOptions, vectors: Path) -> float:
    """Seconds of one job into a gallery of its own; its vectors are kept in the order of the file names."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "gallery")
        start = time.perf_counter()
        done = index([photos], out, options)
        seconds = time.perf_counter() - start
        if done.skipped:
            raise SystemExit(f"{done.skipped[0].name}: {done.skipped[0].reason}")
        gallery = Gallery.open(out)
        order = np.argsort([Path(name).name for name in gallery.whole_table()["name"].to_pylist()])
        np.save(vectors, np.concatenate([gallery.vectors(number) for number in gallery.shards])[order])
    return seconds


def compare_speed(torch: list[str], ours: list[str], count: int, repeats: int) -> None:
    """Run both sides in turn and print vectors per second and their ratios."""
    speeds: dict[str, list[np.ndarray]] = {"torch": [], "jaxloc": []}
    for _ in range(repeats):
        for name, command in (("torch", torch), ("jaxloc", ours)):
            seconds = json.loads(run(command).output.splitlines()[-1])["passes"]
            speeds[name].append(count / np.array(seconds))
    print(f"{count} photographs, vectors per second:")
    for place, title in enumerate(PASSES):
        here = {name: [float(speed[place]) for speed in some] for name, some in speeds.items()}
        for name, some in here.items():
            print(f"  {title} {name:8} {statistics.median(some):7.2f}   (of {', '.join(f'{one:.2f}' for one in some)})")
        ratios = [ours / theirs for ours, theirs in zip(here["jaxloc"], here["torch"], strict=True)]
        print(f"  {title} jaxloc / torch: {statistics.median(ratios):.2f}")


def compare_vectors(torch: np.ndarray, ours: np.ndarray, photos: list[Path]) -> None:
    """Say how alike the vectors of each photograph are, and for how many both sides find the same neighbour."""
    torch, ours = unit(torch), unit(ours)
    cosine = (torch.astype(np.float64) * ours).sum(1)
    worst = int(cosine.argmin())
    print(f"vectors: lowest cosine {cosine[worst]:.7f} ({photos[worst].name}), median {np.median(cosine):.7f}")
    print(f"         {(cosine < 0.9999).sum()} of {len(cosine)} below 0.9999")
    if len(photos) > 1:
        same = int((nearest(torch) == nearest(ours)).sum())
        print(f"nearest other photograph: the same for {same} of {len(photos)}")


def nearest(vectors: np.ndarray) -> np.ndarray:
    """The most similar other row of each."""
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -np.inf)
    return cosine.argmax(1)


if __name__ == "__main__":
    main()
