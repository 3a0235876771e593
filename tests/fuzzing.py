"""A small file of every kind that is read from outside, ways to damage it, and what reads it."""

import io
import json
import pickle
import re
import struct
import sys
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from PIL import Image

import weights_convert
from jaxloc import ddt, moments
from jaxloc.data import find_sets, read_image, read_size
from jaxloc.data.annotations import read as read_annotations
from jaxloc.errors import ImageError
from jaxloc.models import weights_file
from jaxloc.report import parquet
from jaxloc.report.decisions import FORMAT
from jaxloc.report.records import Skipped
from jaxloc.run import model_file
from jaxloc.run.checkpoint import Checkpoint
from jaxloc.run.cleaning.by_hand import read_decisions
from jaxloc.run.fit_pass import load_fits
from jaxloc.run.model_file import FittedSet, ModelFile
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.vectors import SearchedVectors
from tests.data import test_array_records, test_video
from tests.data.encoded import write_tar
from tests.models import narrow
from tests.report.examples import image as finding
from tests.run.retrieval import synthetic
from tests.weights_convert import test_caffe_file, test_keras_file, test_matconvnet_file
from tests.weights_convert.conftest import as_pytorch, narrow_arrays

READ = 4
"""Images read of each set."""


class Kind(NamedTuple):
    """What to damage: ``write`` fills a folder and returns the files to damage; ``read`` reads the folder."""

    write: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], object]


ODD = (
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b'"x"',
    b"[]",
    b"{}",
    b"99999999999999999999",
    b"true",
    b"",
    b"\xff",
    b"[[[1]]]",
)


def damage(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip bits, overwrite, repeat, drop, or splice with another file, once or several times; or replace words."""
    if data.isascii() and rng.random() < 0.6:
        words = list(re.finditer(rb'[-+\w.]+|"[^"]*"', data))
        for word in sorted(
            rng.choice(len(words), min(len(words), int(rng.integers(1, 4))), replace=False), reverse=True
        ):
            start, end = words[word].span()
            data = data[:start] + ODD[int(rng.integers(len(ODD)))] + data[end:]
        return data
    damaged = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 4, 9]))):
        size = max(1, min(len(damaged), int(rng.choice([300, 4000, len(data) + 1]))))
        start, length = int(rng.integers(size)), int(rng.choice([1, 2, 8, 64, 500]))
        match int(rng.integers(8)):
            case 0:
                del damaged[start:]
            case 1 | 2:
                for place in rng.integers(size, size=length % 9 + 1).tolist():
                    damaged[place : place + 1] = bytes(one ^ 1 << start % 8 for one in damaged[place : place + 1])
            case 3:
                damaged[start : start + length] = rng.bytes(length)
            case 4:
                value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1]))
                damaged[start : start + 8] = value.to_bytes(8, "little")
            case 5:
                damaged[start:start] = damaged[start : start + length] * 3
            case 6:
                del damaged[start : start + length]
            case _:
                damaged[start:] = other[int(rng.integers(max(1, len(other)))) :]
    return bytes(damaged)


def pixels(number: int = 0) -> Image.Image:
    ramp = np.add.outer(np.arange(24), 3 * np.arange(32)) + 20 * number
    return Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], -1).astype(np.uint8))


def encoded(number: int = 0, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels(number).save(file, kind)
    return file.getvalue()


FORMATS = ("jpg", "png", "gif", "webp", "tif", "bmp", "ppm", "tga", "jp2", "avif", "heic", "pcx", "ico", "sgi")


def write_images(folder: Path) -> list[Path]:
    read_size(b"")  # registers HEIC
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [folder / f"image.{ending}" for ending in FORMATS]
    for path in paths:
        pixels().save(path, **({"exif": exif} if path.suffix in (".jpg", ".png", ".webp", ".tif") else {}))
    pixels().save(folder / "progressive.jpg", progressive=True)
    Image.fromarray(np.arange(600, dtype=np.float32).reshape(20, 30) - 300).save(folder / "float.tif")
    return [*paths, folder / "progressive.jpg", folder / "float.tif"]


def read_images(place: Path) -> None:
    failed, seen = None, 0
    for images in find_sets([place]):
        for source in [*images.sources[:READ], images.sources[len(images.sources) - 1]]:
            read_size(source.path, shorter_side=16)
            try:
                read_image(source.path, shorter_side=16, truncated="keep", alpha="grey")
                seen += 1
            except ImageError as error:
                failed = error
    if failed and not seen:
        raise failed


def read_labelled(folder: Path, file: Path) -> None:
    read_images(file)
    find_sets([file], per_label=True)


BOX = {"bbox": [4, 4, 9, 9], "area": 81, "iscrowd": 0}
COCO = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 24} for n in (1, 2)],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[4, 4, 13, 4, 13, 13]], **BOX},
        {"id": 2, "image_id": 2, "category_id": 1, "segmentation": {"size": [24, 32], "counts": [100, 5, 663]}, **BOX},
    ],
    "categories": [{"id": 1, "name": "dog"}],
}
VOC = (
    "<annotation><filename>1.png</filename><size><width>32</width><height>24</height><depth>3</depth></size><object>"
    "<name>dog</name><difficult>0</difficult><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    "</object></annotation>"
)


def texts(folder: Path, **files: object) -> list[Path]:
    """Write texts, or JSON of what is no text, and two images beside."""
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(encoded(number))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return [folder / name for name in files]


def write_coco(folder: Path) -> list[Path]:
    results = [{"image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} for n in (1, 2)]
    texts(folder, **{"truth.json": COCO})
    return texts(folder, **{"annotations.json": COCO, "results.json": results})


def read_coco(folder: Path, file: Path) -> None:
    truth = None if file.name == "annotations.json" else folder / "truth.json"
    for image in read_annotations(file, truth=truth).images.values():
        for one in image.annotations:
            if one.mask is not None:
                one.mask.read()
    if truth is None:
        find_sets([file], per_label=True)


def write_yolo(folder: Path) -> list[Path]:
    for number in (1, 2):
        path = folder / f"images/train/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    data = "path: .\ntrain: images/train\nval: images/train\nkpt_shape: [2, 3]\nnames:\n  0: dog\n"
    pose = "0 0.5 0.5 0.4 0.4 0.1 0.1 2 0.2 0.2 1\n" * 3
    return texts(folder, **{"labels/train/1.txt": pose, "labels/train/2.txt": pose, "data.yaml": data})


def write_voc(folder: Path) -> list[Path]:
    return texts(folder, **{"1.xml": VOC, "2.xml": VOC.replace("1.png", "2.png")})


DECISIONS = {"format": FORMAT, "images": {"number": 2, "digest": "ab"}, "decisions": [{"name": "1", "keep": True}]}


def write_archives(folder: Path) -> list[Path]:
    members = {f"{n}.{kind}": data for n in range(3) for kind, data in (("png", encoded(n)), ("cls", b"1"))}
    write_tar(folder / "a.tar", members | {"b.jpg!d": encoded(3, "JPEG"), "b.json": b'{"label": "x"}'})
    image = {"bytes": encoded(1), "path": "a.png"}
    rows = {"image": [image] * 3, "label": [0, 1, 1], "name": list("abc")}
    about = {b"huggingface": b'{"info": {"features": {"label": {"names": ["cat", "dog"]}}}}'}
    pq.write_table(pa.table(rows).replace_schema_metadata(about), folder / "a.parquet", row_group_size=2)
    test_array_records.write(folder / "a.array_record", [encoded(n) for n in range(3)])
    example = test_array_records.example(image=encoded(1), label=3)
    test_array_records.write(folder / "b.array_record", [example] * 3)
    return [folder / name for name in ("a.tar", "a.parquet", "a.array_record", "b.array_record")]


def write_videos(folder: Path) -> list[Path]:
    codecs = {"a.mp4": "libx264", "b.mkv": "libx264", "c.webm": "libvpx-vp9", "d.avi": "mpeg4", "e.mov": "mpeg4"}
    return [test_video.write(folder / name, codec, frames=6, options={}) for name, codec in codecs.items()]


class Calls:
    """Pickles as a call of a function, which must not happen."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('a file has run a program')",)


def torch_files(folder: Path, tensors: Mapping[str, np.ndarray]) -> list[Path]:
    """What torch writes, without torch: the zip format and the plain one."""
    made = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    storage = type("FloatStorage", (), {"__module__": "torch"})
    made["torch"].FloatStorage = storage
    exec("def _rebuild_tensor_v2(*_): pass", vars(made["torch._utils"]))
    rebuild = made["torch._utils"]._rebuild_tensor_v2

    class Tensor:
        def __init__(self, key: str, array: np.ndarray) -> None:
            self.key, self.array = key, array

        def __reduce__(self) -> tuple[object, ...]:
            strides = tuple(step // self.array.itemsize for step in self.array.strides)
            return rebuild, (Stored(self.key, self.array.size), 0, self.array.shape, strides, False, {})

    class Stored(NamedTuple):
        key: str
        size: int

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", storage, value.key, "cpu", value.size) if isinstance(value, Stored) else None

    def pickled(value: object) -> bytes:
        file = io.BytesIO()
        Pickler(file, 2).dump(value)
        return file.getvalue()

    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        tree = {name: Tensor(str(n), np.ascontiguousarray(array)) for n, (name, array) in enumerate(tensors.items())}
        state, hostile = pickled(tree), pickled(tree | {"x": Calls()})
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)
    arrays = [one.array for one in tree.values()]
    for name, one in (("zip.pth", state), ("hostile.pth", hostile)):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("net/data.pkl", one)
            archive.writestr("net/byteorder", "little")
            for number, array in enumerate(arrays):
                archive.writestr(f"net/data/{number}", array.tobytes())
    keys = sorted(map(str, range(len(arrays))))
    heads = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    plain = b"".join(pickle.dumps(head, 2) for head in heads) + state + pickle.dumps(keys, 2)
    plain += b"".join(struct.pack("<q", arrays[int(key)].size) + arrays[int(key)].tobytes() for key in keys)
    (folder / "plain.pth").write_bytes(plain)
    return [folder / name for name in ("zip.pth", "hostile.pth", "plain.pth")]


def write_weights(folder: Path) -> list[Path]:
    """A file for each reader; of the real network's layers, with few channels."""
    flat = narrow_arrays(top=False)
    tensors = as_pytorch(flat)
    paths = [folder / name for name in ("5.mat", "73.mat", "a.npz", "a.safetensors", "a.ckpt", "hostile.ckpt")]
    test_matconvnet_file.write_5(paths[0], test_matconvnet_file.network(flat))
    test_matconvnet_file.write_73(paths[1], test_matconvnet_file.network(flat))
    np.savez(paths[2], **{f"{n}/{key}": array for n, (key, array) in enumerate(flat.items())})
    safetensors.numpy.save_file(tensors, paths[3])
    layers = sorted({name.split("/")[0] for name in flat})
    tree = {f"Conv_{n}": {kind: flat[f"{name}/{kind}"] for kind in ("kernel", "bias")} for n, name in enumerate(layers)}
    paths[4].write_bytes(pickle.dumps({"VGG16_0": tree}, 4))
    paths[5].write_bytes(pickle.dumps({"VGG16_0": tree | {"x": Calls()}}, 4))
    for name, write in (("legacy.h5", test_keras_file.write_legacy), ("keras3.h5", test_keras_file.write_keras3)):
        with h5py.File(folder / name, "w") as file:
            write(file, flat)
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.write(folder / "keras3.h5", "model.weights.h5")
        archive.writestr("config.json", "{}")
    messages = test_caffe_file.message_classes()
    for generation in (1, 2):
        test_caffe_file.write(folder / f"{generation}.caffemodel", flat, messages, generation)
    others = ["legacy.h5", "keras3.h5", "a.keras", "1.caffemodel", "2.caffemodel"]
    return [*paths, *(folder / name for name in others), *torch_files(folder, tensors)]


def write_model(folder: Path) -> list[Path]:
    """A model of two sets, and jaxloc's own weights."""
    sums = moments.of(np.random.default_rng(0).random((50, 6), np.float32))
    fitted = FittedSet({"relu5_3": ddt.fit(sums)}, {"relu5_3": sums})
    made = ModelFile({"dogs": fitted, "cats": fitted}, "ddt", ("relu5_3",), "minority", 640, "vgg16", "ab" * 32)
    model_file.save(folder / "model.safetensors", made)
    return [folder / "model.safetensors", narrow.write(folder / "weights.safetensors")]


def read_model(folder: Path, file: Path) -> None:
    if file.name == "weights.safetensors":
        weights_file.read(file)
        return
    for one in model_file.load(file).sets.values():
        dict(one.moments)


def write_gallery(folder: Path) -> list[Path]:
    synthetic.write(folder, [synthetic.vectors(5, 4, seed=n) for n in range(2)])
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_gallery(folder: Path, file: Path) -> None:
    gallery = Gallery.open(folder)
    gallery.whole_table().to_pylist()
    gallery.skipped()
    vectors = SearchedVectors(gallery)
    vectors.digest()
    vectors.all()


def write_run(folder: Path) -> list[Path]:
    """The checkpoint of a run: manifest, a shard's findings, fits."""
    kept = Checkpoint(folder)
    manifest = {"format": "jaxloc-run-1", "settings": {"a": "b"}, "pictures": {"number": 2, "digest": "ab"}}
    manifest |= {"step": 32, "padding": 0.1, "shapes": [[64, 64, 2]]}
    kept.folder.mkdir()
    (kept.folder / "_run.json").write_text(json.dumps(manifest))
    parquet.write(kept.file("found", 0), [finding("a.jpg"), finding("b.jpg")], [Skipped("c.jpg", "cat", "cut")])
    [model, _] = write_model(folder)
    model.rename(kept.file("fitted", 0))
    (folder / "weights.safetensors").unlink()
    return [kept.folder / "_run.json", kept.file("found", 0), kept.file("fitted", 0)]


def read_run(folder: Path, file: Path) -> None:
    kept = Checkpoint(folder)
    kept.manifest()
    list(parquet.Images([kept.file("found", 0)]))
    list(parquet.SkippedImages([kept.file("found", 0)]))
    for one in load_fits(kept.file("fitted", 0)).values():
        dict(one.moments)


KINDS = {
    "images": Kind(write_images, lambda folder, file: read_images(file)),
    "COCO": Kind(write_coco, read_coco),
    "VOC": Kind(write_voc, lambda folder, file: read_annotations(folder)),
    "YOLO": Kind(write_yolo, lambda folder, file: read_annotations(folder)),
    "decisions": Kind(
        lambda folder: texts(folder, **{"decisions.json": DECISIONS}),
        lambda folder, file: read_decisions(file, {"number": 2, "digest": "ab"}),
    ),
    "lists": Kind(
        lambda folder: texts(folder, **{"list.txt": "1.png\n2.png 3\n# no\n", "b.lst": "0\t1.0\t1.png\n"}),
        lambda folder, file: read_images(file),
    ),
    "archives": Kind(write_archives, read_labelled),
    "videos": Kind(write_videos, lambda folder, file: read_images(file)),
    "weights": Kind(write_weights, lambda folder, file: weights_convert.read(file)),
    "models": Kind(write_model, read_model),
    "galleries": Kind(write_gallery, read_gallery),
    "runs": Kind(write_run, read_run),
}
