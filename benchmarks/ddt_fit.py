"""The DDT fit of many descriptors beside its peers: seconds, and memory beyond the descriptors themselves.

    pip install scikit-learn torch
    python benchmarks/ddt_fit.py [PHOTOS] [--descriptors 120941] [--sides jaxloc torch …] [--repeats 5]

From the descriptors to the first principal direction: jaxloc's streaming moments, scikit-learn's PCA by its full SVD
and by its covariance solver, torch's ``cat``, ``mm`` and ``eigh``, and NumPy's ``cov`` and ``eigh``. Descriptors are
those of photographs where a folder is named (VGG-16 ``relu5_3`` at 336 × 448 pixels), otherwise random, non-negative
and correlated. All sides find them in memory: jaxloc takes a batch of maps at a time, torch a list of maps, the others
the whole matrix. The paper (section 4.3) takes 5.7 s for the aeroplanes of VOC 2007, 120,941 descriptors of 512
dimensions, on an Intel Xeon E5-2660 v3.

Each side runs in a process of its own, in turn (A B C A B C …), and fits a few times within it; its time is the fastest
of these, for on a shared machine anything slower is somebody else's work. Ratios are taken turn by turn. The first fit,
compilation included, is shown apart. Memory is the process's peak during the warm fits less what it held before them.
The angle is the one to the direction found in float64. A peer that is not installed is left out.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers import memory, reset_peak, run

PACKAGES = {
    "jaxloc": "jaxloc",
    "sklearn-svd": "sklearn",
    "sklearn-covariance": "sklearn",
    "torch": "torch",
    "numpy": "numpy",
}
DIMENSION = 512
CELLS = 588
BATCH = 2
FITS = 3


def main() -> None:
    """Run all sides and print the table, or, as a child process, one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--descriptors", type=int, default=120_941)
    parser.add_argument("--sides", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(arguments.sides[0], arguments.child, arguments.threads)
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "descriptors.npy")
        make = [sys.executable, "-c", "import ddt_fit, sys; ddt_fit.save(*sys.argv[1:])", str(path)]
        make += [str(arguments.descriptors), str(arguments.photos or "")]
        run(make, {"PYTHONPATH": str(Path(__file__).parent)})
        kind = "random descriptors" if arguments.photos is None else f"descriptors of {arguments.photos.name}"
        print(f"{arguments.descriptors} × {DIMENSION} {kind}, {arguments.threads} threads")
        compare([side for side in arguments.sides if is_installed(side)], path, arguments.repeats, arguments.threads)


def is_installed(side: str) -> bool:
    """Whether a side can run; say so if not."""
    found = importlib.util.find_spec(PACKAGES[side]) is not None
    if not found:
        print(f"  {side}: {PACKAGES[side]} is not installed, left out")
    return found


def compare(sides: list[str], path: Path, repeats: int, threads: int) -> None:
    """Time the sides in turn and print them."""
    direction = exact_direction(np.load(path, mmap_mode="r"))
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            command = [sys.executable, __file__, "--sides", side, "--threads", str(threads), "--child", str(path)]
            found = json.loads(run(command).output.splitlines()[-1])
            own = np.array(found.pop("direction"))
            apart = np.linalg.norm(own / np.linalg.norm(own) - np.sign(own @ direction) * direction)
            turns[side].append(found | {"degrees": float(np.degrees(apart))})
    for side, found in turns.items():
        middle = {name: statistics.median(turn[name] for turn in found) for name in found[0]}
        line = (
            f"  {side:18} {middle['seconds']:7.3f} s   processor {middle['processor']:7.3f} s   "
            f"first {middle['first']:7.3f} s   extra {middle['extra_mb']:6.1f} MB   {middle['degrees']:.1e}°"
        )
        if "jaxloc" in turns:
            pairs = zip(turns["jaxloc"], found, strict=True)
            line += f"   jaxloc / {side} {statistics.median(a['seconds'] / b['seconds'] for a, b in pairs):.2f}"
        print(line)


def measure(side: str, path: Path, threads: int) -> None:
    """Fit a few times with one side, and print its times, memory and direction."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    prepare = {
        "jaxloc": prepare_jaxloc,
        "sklearn-svd": prepare_sklearn_svd,
        "sklearn-covariance": prepare_sklearn_covariance,
        "torch": prepare_torch,
        "numpy": prepare_numpy,
    }[side]
    descriptors = np.load(path)
    fit = prepare(descriptors, threads)
    seconds, processor = [], []
    for _ in range(FITS + 1):
        start, used = time.perf_counter(), time.process_time()
        direction = fit()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
        if len(seconds) == 1:
            before = reset_peak()
    print(
        json.dumps(
            {
                "first": seconds[0],
                "seconds": min(seconds[1:]),
                "processor": min(processor[1:]),
                "extra_mb": memory("VmHWM") - before,
                "direction": np.asarray(direction, np.float64).tolist(),
            }
        )
    )


def prepare_jaxloc(descriptors: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    import functools

    import jax

    from jaxloc import ddt, moments

    @functools.partial(jax.jit, donate_argnums=0)
    def add(total: moments.Moments, batch: jax.Array) -> moments.Moments:
        return moments.merge(total, moments.of(batch))

    finish = jax.jit(functools.partial(ddt.fit, components=1))
    batches = split(descriptors, BATCH * CELLS)

    def fit() -> np.ndarray:
        total = moments.empty(DIMENSION)
        for batch in batches:
            on_device = jax.device_put(batch)
            total = jax.block_until_ready(add(total, on_device))
            on_device.delete()  # Else the memory is freed some time later, and several batches are held.
        return np.asarray(finish(total).components[0])

    return fit


def prepare_sklearn_svd(descriptors: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    from sklearn.decomposition import PCA

    return lambda: PCA(1, svd_solver="full").fit(descriptors).components_[0]


def prepare_sklearn_covariance(descriptors: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    from sklearn.decomposition import PCA

    return lambda: PCA(1, svd_solver="covariance_eigh").fit(descriptors).components_[0]


def prepare_torch(descriptors: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    import torch

    torch.set_num_threads(threads)
    maps = [torch.from_numpy(part) for part in split(descriptors, CELLS)]

    def fit() -> np.ndarray:
        stacked = torch.cat(maps)
        centred = stacked - stacked.mean(0)
        return torch.linalg.eigh(centred.T @ centred / len(centred))[1][:, -1].numpy()

    return fit


def prepare_numpy(descriptors: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    return lambda: np.linalg.eigh(np.cov(descriptors, rowvar=False))[1][:, -1]


def split(descriptors: np.ndarray, rows: int) -> list[np.ndarray]:
    return [descriptors[start : start + rows] for start in range(0, len(descriptors), rows)]


def exact_direction(descriptors: np.ndarray) -> np.ndarray:
    """The first principal direction in float64."""
    total, square = np.zeros(DIMENSION), np.zeros((DIMENSION, DIMENSION))
    for part in split(descriptors, 8192):
        block = part.astype(np.float64)
        total += block.sum(0)
        square += block.T @ block
    return np.linalg.eigh(square - np.outer(total, total) / len(descriptors))[1][:, -1]


def save(path: str, count: str, photos: str) -> None:
    """Write a number of descriptors to a file, of photographs if a folder is given."""
    number = int(count)
    np.save(path, from_photos(Path(photos), number) if photos else random_descriptors(number))


def random_descriptors(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((32, DIMENSION), np.float32)
    descriptors = np.empty((count, DIMENSION), np.float32)
    for part in split(descriptors, 8192):
        shared = rng.standard_normal((len(part), 32), np.float32) @ mixing
        np.maximum(shared + 4 * rng.standard_normal(part.shape, np.float32) - 3, 0, out=part)
    return descriptors


def from_photos(folder: Path, count: int) -> np.ndarray:
    """Descriptors of the first photographs of a folder, until there are enough."""
    import functools

    import jax
    from PIL import Image

    from jaxloc import models

    weights = models.load("vgg16")
    extract = jax.jit(
        functools.partial(models.extract_features, backbone=weights.backbone, layers=("relu5_3",)),
        compiler_options=models.compiler_options(weights.backbone),
    )
    maps: list[np.ndarray] = []
    for path in sorted(folder.rglob("*.jpg"))[: -(-count // CELLS)]:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((448, 336), Image.Resampling.BILINEAR))
        maps.append(np.asarray(extract(weights.params, pixels)["relu5_3"].features).reshape(-1, DIMENSION))
    found = np.concatenate(maps)
    if len(found) < count:
        raise SystemExit(f"{folder}: {len(maps)} photographs give {len(found)} descriptors, {count} were asked for")
    return found[:count]


if __name__ == "__main__":
    main()
