"""jaxloc beside the script its users would otherwise write: seconds and peak memory on the same photographs.

    pip install torch torchvision scikit-learn
    python benchmarks/against_torch.py PHOTOS [--limit N] [--repeats R]

Each side runs in processes of its own, in turn (A B A B …). "Warm" is the second pass within a process. One pass in a
fresh process counts imports too: of jaxloc the first time, when everything is compiled, and later, when the command's
folder holds the compiled programs. The ratio is jaxloc's warm pass over the script's, pair by pair. Memory is
the whole process's peak, from a process that makes one pass. Boxes are compared by image.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from peers import link_photos, run

from jaxloc import metrics, models

HERE = Path(__file__).parent


def main() -> None:
    """Run both sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, help="number of photographs, evenly spaced")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true", help="give torch its faster memory layout")
    parser.add_argument("--torch-bfloat16", action="store_true", help="cast torch's network")
    parser.add_argument("--batch", type=int, help="jaxloc's batch size")
    parser.add_argument("--dtype", default="float32", help="that jaxloc computes in")
    parser.add_argument("--engine", default="auto", help="jaxloc's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = link_photos(arguments.photos, folder / "photos", arguments.limit)
        weights = folder / "vgg16.safetensors"
        models.save(weights, models.load("vgg16"))
        torch = [sys.executable, str(HERE / "plain_torch_ddt.py"), str(folder / "photos"), "--weights", str(weights)]
        torch += ["--boxes", str(folder / "torch.json")] + ["--channels-last"] * arguments.channels_last
        torch += ["--bfloat16"] * arguments.torch_bfloat16
        ours = [
            sys.executable,
            str(HERE / "jaxloc_ddt.py"),
            str(folder / "photos"),
            "--boxes",
            str(folder / "ours.json"),
        ]
        ours += ["--dtype", arguments.dtype, "--engine", arguments.engine]
        ours += ["--batch", str(arguments.batch)] if arguments.batch else []
        compare(torch, ours, len(photos), arguments.repeats, folder / "programs")
        compare_boxes(json.loads((folder / "torch.json").read_text()), json.loads((folder / "ours.json").read_text()))


def compare(torch: list[str], ours: list[str], count: int, repeats: int, cache: Path) -> None:
    """Time both sides in turn and print stages, ratios and memory."""
    kept = [*ours, "--cache", str(cache)]
    commands = {"torch": torch, "jaxloc, first": kept, "jaxloc, later": kept}
    one_pass = {name: run([*command, "--passes", "1"]) for name, command in commands.items()}
    print(f"{count} photographs; one pass in a process of its own, imports and compilation included:")
    for name, done in one_pass.items():
        of_torch = f"{done.seconds / one_pass['torch'].seconds:.2f}", f"{done.peak_mb / one_pass['torch'].peak_mb:.2f}"
        print(
            f"  {name:14} {done.seconds:7.1f} s   processor {done.processor_seconds:7.1f} s   "
            f"peak {done.peak_mb:7.1f} MB   of torch: time {of_torch[0]}, memory {of_torch[1]}"
        )
    warm: dict[str, list[float]] = {"torch": [], "jaxloc": []}
    stages: dict[str, dict[str, float]] = {}
    for repeat in range(repeats):
        result = json.loads(run([*torch, "--passes", "2"]).output.splitlines()[-1])
        warm["torch"].append(sum(result["passes"][1].values()))
        stages["torch"] = result["passes"][1]
        last = ["--stages"] if repeat == repeats - 1 else []
        result = json.loads(run([*ours, "--passes", "2", *last]).output.splitlines()[-1])
        warm["jaxloc"].append(result["passes"][1])
        stages["jaxloc"] = result["stages"]
    print("warm pass:")
    for name, seconds in warm.items():
        print(f"  {name:8} {statistics.median(seconds):7.1f} s   (of {', '.join(f'{value:.1f}' for value in seconds)})")
        print("           " + ", ".join(f"{stage} {value:.1f}" for stage, value in stages[name].items()))
    ratios = [ours / theirs for ours, theirs in zip(warm["jaxloc"], warm["torch"], strict=True)]
    print(f"  time, jaxloc / torch: {statistics.median(ratios):.2f}")


def compare_boxes(torch: dict[str, list], ours: dict[str, list]) -> None:
    """Say in how many images the boxes agree."""
    same = sum(torch.get(name) == box for name, box in ours.items())
    overlaps = [float(metrics.box_iou(box, torch[name])[0, 0]) for name, box in ours.items() if name in torch]
    print(f"boxes: {same} of {max(len(ours), len(torch))} identical, lowest IoU {np.min(overlaps):.3f}")


if __name__ == "__main__":
    main()
