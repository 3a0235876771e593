"""Accuracy of an image, of sentences about it, and of both on CUB-200-2011 (CVL: vision and language).

    python benchmarks/vision_language.py CUB_200_2011 CAPTIONS [--side 224] [--sentences 10] [--seed 0]

CAPTIONS holds CLASS/IMAGE.txt with a sentence a line, as Reed et al. (CVPR 2016) collected them. The vision stream is a
softmax classifier of pool5's average and maximum, VGG-16 as it is; the language stream is learnt from the training
images' sentences, and the scores of a test image's first ``--sentences`` are averaged; both are fused by
``jaxloc.fusion.late_fusion``. The original split. Prints accuracies and seconds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from jaxloc.data import Source
from jaxloc.data.annotations import read
from jaxloc.fusion import late_fusion
from jaxloc.grids import valid_cells
from jaxloc.inference import Extractor
from jaxloc.options import NetworkOptions
from jaxloc.pooling import average_max_pool
from jaxloc.report.tables import text_table
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.frozen import frozen_maps, read_within
from jaxloc.run.language import LanguageStream
from jaxloc.run.maskcnn.streams import learn_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cub", type=Path)
    parser.add_argument("captions", type=Path)
    parser.add_argument("--side", type=int, default=224, help="longer side of the images")
    parser.add_argument("--sentences", type=int, default=10, help="of a test image")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    images = read(f"cub200:{arguments.cub}").images.values()
    classes = sorted({image.category for image in images})
    targets = np.array([classes.index(image.category) for image in images], np.int32)
    test = np.array(["test" in image.splits for image in images])
    files = [arguments.captions / Path(image.name).relative_to("images").with_suffix(".txt") for image in images]
    sentences = [file.read_text().strip().splitlines() for file in files]
    common = {"classes": len(classes), "seed": arguments.seed}
    with tempfile.TemporaryDirectory() as folder:
        vectors = describe([Source(image.path, image.name) for image in images], arguments.side, folder)
        learnt = learn_classifier(
            vectors[~test], targets[~test], Path(folder, "vision"), steps=1000, settings={}, **common
        )
        vision = vectors[test] @ learnt["kernel"] + learnt["bias"]
        said = [(line, target) for lines, target in zip(sentences, targets, strict=True) for line in lines]
        among = np.repeat(~test, [len(lines) for lines in sentences])
        known = [one for one, learn in zip(said, among, strict=True) if learn]
        stream = LanguageStream(
            [line for line, _ in known], np.array([target for _, target in known]), Path(folder, "language"), **common
        )
        asked = [lines[: arguments.sentences] for lines, tested in zip(sentences, test, strict=True) if tested]
        language = np.stack([jax.nn.log_softmax(stream.scores(lines)).mean(0) for lines in asked])
        single = np.concatenate([stream.scores(lines[:1]) for lines in asked])
    right = targets[test]
    rows = [
        [name, f"{100 * float((np.asarray(scores).argmax(1) == right).mean()):.1f}"]
        for name, scores in (
            ("vision", vision),
            ("language, one sentence", single),
            (f"language, {arguments.sentences} sentences", language),
            ("both, one sentence", late_fusion([vision, single])),
            (f"both, {arguments.sentences} sentences", late_fusion([vision, language])),
        )
    ]
    print(text_table(["stream", "accuracy"], rows))
    print(f"{(~test).sum()} images to learn from, {test.sum()} to test on; {time.perf_counter() - begin:.0f} s")


def describe(sources: list[Source], side: int, folder: str) -> np.ndarray:
    """Average and maximum of pool5 of each image, float32 ``[n, 1024]``."""
    options = NetworkOptions()
    engine = Extractor(on_devices(load_weights(options), options), ["pool5"])
    names = [str(source.path) for source in sources]
    maps, skipped = frozen_maps(
        names, lambda n: read_within(sources[n], side, engine.minimum_side), engine, side, folder
    )
    assert not skipped, skipped
    features, sizes = maps["pool5"]
    pool = jax.jit(jax.vmap(lambda x, size: average_max_pool(x, valid_cells(size, x.shape[:2]))))
    return np.asarray(pool(np.asarray(features), sizes))


if __name__ == "__main__":
    main()
