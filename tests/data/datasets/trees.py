"""Small data sets in the layout their authors publish: images of bright blobs on noise, with everything said of them.

Each builder writes below a folder and returns what a spec's root would be. Image ``number`` of a set is of class
``number % classes``, shows its object in ``box_of(number, size)``, and is in the test split if ``is_test`` says so.
"""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image, ImageDraw

Size = tuple[int, int]
"""Rows and columns."""

VOC_CLASSES = ("aeroplane", "bicycle", "horse")
SIZE = (48, 64)


def box_of(number: int, size: Size = SIZE) -> tuple[int, int, int, int]:
    """Where the object of an image is: half-open corners in whole pixels, a good third of the image wide."""
    rows, columns = size
    x0, y0 = columns // 8 + number % 5, rows // 8 + number % 3
    return x0, y0, x0 + columns // 2, y0 + rows // 2


def is_test(number: int, classes: int) -> bool:
    """Whether an image is in the test split."""
    return number // classes % 2 == 1


def write_image(path: Path, number: int, size: Size = SIZE, *, empty: bool = False) -> Path:
    """A JPEG of noise with a bright ellipse in its box, unless ``empty``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 60, (*size, 3), np.uint8)
    image = Image.fromarray(noise)
    if not empty:
        x0, y0, x1, y1 = box_of(number, size)
        ImageDraw.Draw(image).ellipse((x0, y0, x1 - 1, y1 - 1), fill=(250, 200 - number % 7 * 10, 40))
    image.save(path, "JPEG", quality=95)
    return path


def write_mask(
    path: Path, number: int, size: Size = SIZE, *, inside: int = 255, outside: int = 0, border: int = -1
) -> Path:
    """A PNG whose object is the image's box; with a ring of ``border`` around it if that is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.full(size, outside, np.uint8)
    x0, y0, x1, y1 = box_of(number, size)
    if border >= 0:
        mask[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = border
    mask[y0:y1, x0:x1] = inside
    Image.fromarray(mask).save(path, "PNG")
    return path


def voc_xml(
    path: Path,
    objects: Sequence[tuple[str, tuple[float, float, float, float], str]],
    size: Size = SIZE,
    *,
    first_pixel: int = 1,
    filename: str = "",
) -> Path:
    """An XML file of PASCAL's kind.

    Args:
        path: to write.
        objects: class, half-open box, and flags: ``"difficult"``, ``"truncated"``, both or neither.
        size: as the file says it.
        first_pixel: 1 to count pixels from 1 and include both ends; 0 to write the corners as they are.
        filename: of the image.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    told = "".join(
        f"<object><name>{name}</name><pose>Left</pose><truncated>{int('truncated' in flags)}</truncated>"
        f"<difficult>{int('difficult' in flags)}</difficult><bndbox><xmin>{x0 + first_pixel}</xmin>"
        f"<ymin>{y0 + first_pixel}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1), flags in objects
    )
    path.write_text(
        f"<annotation><filename>{filename or path.stem}.jpg</filename><size><width>{size[1]}</width>"
        f"<height>{size[0]}</height><depth>3</depth></size>{told}</annotation>"
    )
    return path


def cub(folder: Path, *, classes: int = 2, images: int = 4, size: Size = SIZE, masks: bool = True) -> Path:
    """CUB-200-2011 with two parts, of which the tail is hidden in every third image."""
    root = folder / "CUB_200_2011"
    (root / "parts").mkdir(parents=True)
    names = [f"{label + 1:03}.Bird_{label + 1}" for label in range(classes)]
    (root / "classes.txt").write_text("".join(f"{label + 1} {name}\n" for label, name in enumerate(names)))
    (root / "parts" / "parts.txt").write_text("1 beak\n2 left leg\n")
    tables: dict[str, list[str]] = {}
    for number in range(classes * images):
        key, name = number + 1, names[number % classes]
        x0, y0, x1, y1 = box_of(number, size)
        file = f"{name}/Bird_{number:04}.jpg"
        write_image(root / "images" / file, number, size)
        if masks:
            write_mask((root / "segmentations" / file).with_suffix(".png"), number, size)
        shown = int(number % 3 != 2)
        told = {
            "images": f"{key} {file}",
            "image_class_labels": f"{key} {number % classes + 1}",
            "bounding_boxes": f"{key} {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}",
            "train_test_split": f"{key} {int(not is_test(number, classes))}",
            "parts/part_locs": f"{key} 1 {x0 + 2:.1f} {y0 + 3:.1f} 1\n{key} 2 {x1 * shown} {y1 * shown} {shown}",
        }
        for table, line in told.items():
            tables.setdefault(table, []).append(line)
    for table, lines in tables.items():
        (root / f"{table}.txt").write_text("\n".join(lines) + "\n")
    return root


def dogs(folder: Path, *, classes: int = 2, images: int = 4, size: Size = SIZE) -> Path:
    """Stanford Dogs."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(classes * images):
        wnid = f"n0208{number % classes:04}"
        file = f"{wnid}-Dog_{number % classes}/{wnid}_{number}.jpg"
        write_image(folder / "Images" / file, number, size)
        annotation = (folder / "Annotation" / file).with_suffix("")
        voc_xml(annotation, [(f"Dog_{number % classes}", box_of(number, size), "")], size, first_pixel=0)
        lists["test" if is_test(number, classes) else "train"].append(file)
    for split, files in lists.items():
        cells = np.array([[file] for file in files], object)
        scipy.io.savemat(folder / f"{split}_list.mat", {"file_list": cells, "labels": np.ones((len(files), 1))})
    return folder


def flowers(folder: Path, *, classes: int = 2, images: int = 6, size: Size = SIZE, masks: bool = True) -> Path:
    """Oxford Flowers 102; the splits train, val and test in turn."""
    parts: dict[str, list[int]] = {"trnid": [], "valid": [], "tstid": []}
    for number in range(classes * images):
        write_image(folder / "jpg" / f"image_{number + 1:05}.jpg", number, size)
        parts[list(parts)[number // classes % 3]].append(number + 1)
        if masks:
            screen = np.full((*size, 3), (0, 0, 254), np.uint8)
            x0, y0, x1, y1 = box_of(number, size)
            screen[y0:y1, x0:x1] = (250, 200, 40)
            (folder / "segmim").mkdir(exist_ok=True)
            Image.fromarray(screen).save(folder / "segmim" / f"segmim_{number + 1:05}.jpg", quality=95)
    labels = [number % classes + 1 for number in range(classes * images)]
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    scipy.io.savemat(folder / "setid.mat", {name: np.array([numbers], np.uint16) for name, numbers in parts.items()})
    return folder


def pets(folder: Path, *, classes: int = 2, images: int = 4, size: Size = SIZE) -> Path:
    """Oxford-IIIT Pet; the images of trainval have heads, in the upper left quarter of the animal."""
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    notes = folder / "annotations"
    for number in range(classes * images):
        key = f"Big_cat_{number % classes}_{number}" if number % classes else f"pug_{number}"
        test = is_test(number, classes)
        write_image(folder / "images" / f"{key}.jpg", number, size)
        write_mask(notes / "trimaps" / f"{key}.png", number, size, inside=1, outside=2, border=3)
        lists["test" if test else "trainval"].append(f"{key} {number % classes + 1} 1 1")
        if not test:
            voc_xml(notes / "xmls" / f"{key}.xml", [("cat", head_of(number, size), "")], size)
    for split, lines in lists.items():
        (notes / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def head_of(number: int, size: Size = SIZE) -> tuple[int, int, int, int]:
    """The box of a pet's head."""
    x0, y0, x1, y1 = box_of(number, size)
    return x0, y0, (x0 + x1) // 2, (y0 + y1) // 2


def aircraft(folder: Path, *, classes: int = 2, images: int = 3, size: Size = SIZE) -> Path:
    """FGVC-Aircraft; the splits train, val and test in turn."""
    root = folder / "data"
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    boxes = []
    for number in range(classes * images):
        key = f"{number + 34000:07}"
        write_image(root / "images" / f"{key}.jpg", number, size)
        x0, y0, x1, y1 = box_of(number, size)
        boxes.append(f"{key} {x0 + 1} {y0 + 1} {x1} {y1}")
        lists[list(lists)[number // classes % 3]].append(f"{key} Boeing 7{number % classes}7")
    (root / "images_box.txt").write_text("\n".join(boxes) + "\n")
    for split, lines in lists.items():
        (root / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def cars(folder: Path, *, classes: int = 2, images: int = 4, size: Size = SIZE, together: bool = False) -> Path:
    """Stanford Cars, in the layout with a devkit or, ``together``, in that of ``cars_annos.mat``."""
    names = np.array([f"Maker Model {label} 2012" for label in range(classes)], object)
    told: dict[str, list[tuple]] = {"train": [], "test": []}
    for number in range(classes * images):
        split = "test" if is_test(number, classes) else "train"
        file = f"{len(told[split]) + 1:05}.jpg"
        path = f"car_ims/{number + 1:06}.jpg" if together else f"cars_{split}/{file}"
        write_image(folder / path, number, size)
        x0, y0, x1, y1 = box_of(number, size)
        told[split].append((path if together else file, x0 + 1, y0 + 1, x1, y1, number % classes + 1, split == "test"))
    if together:
        fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
        entries = _records(told["train"] + told["test"], fields)
        scipy.io.savemat(folder / "cars_annos.mat", {"annotations": entries, "class_names": names})
        return folder
    fields = ["fname", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class"]
    (folder / "devkit").mkdir()
    scipy.io.savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    for split, file in (("train", "cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        entries = _records([one[:-1] for one in told[split]], fields)
        scipy.io.savemat(folder / "devkit" / file, {"annotations": entries})
    return folder


def _records(rows: Sequence[tuple], fields: Sequence[str]) -> np.ndarray:
    """A MATLAB array of structures."""
    return np.array([tuple(row) for row in rows], [(field, object) for field in fields])


def voc(
    folder: Path,
    *,
    year: int = 2007,
    classes: Sequence[str] = VOC_CLASSES,
    images: int = 4,
    size: Size = SIZE,
    masks: bool = True,
) -> Path:
    """PASCAL VOC; of each class the last image of trainval has only a difficult object.

    The first image of the set holds a second object, of the second class, in its lower right corner.
    """
    root = folder / "VOCdevkit" / f"VOC{year}"
    lists: dict[str, list[str]] = {"train": [], "val": [], "trainval": [], "test": []}
    for number in range(len(classes) * images):
        key, place = f"{number:06}", number // len(classes)
        category = classes[number % len(classes)]
        write_image(root / "JPEGImages" / f"{key}.jpg", number, size)
        flags = "difficult" if place == images - 1 else ""
        objects = [(category, box_of(number, size), flags)]
        if number == 0:
            objects.append((classes[1], corner_of(size), ""))
        voc_xml(root / "Annotations" / f"{key}.xml", objects, size, filename=key)
        test = place == images - 2
        for split in ("test",) if test else ("train" if place % 2 == 0 else "val", "trainval"):
            lists[split].append(key)
        if masks and not test:
            write_mask(root / "SegmentationObject" / f"{key}.png", number, size, inside=1, border=255)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, keys in lists.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(keys) + "\n")
    return root.parent


def corner_of(size: Size = SIZE) -> tuple[int, int, int, int]:
    """The lower right corner of an image."""
    rows, columns = size
    return columns * 3 // 4, rows * 3 // 4, columns, rows


def object_discovery(folder: Path, *, images: int = 4, noisy: int = 1, size: Size = SIZE) -> Path:
    """Object Discovery; the last ``noisy`` images of each class show nothing, and have an empty mask."""
    for label, name in enumerate(("Airplane100", "Car100", "Horse100")):
        for place in range(images):
            number, empty = label * images + place, place >= images - noisy
            write_image(folder / "Data" / name / f"{place + 1:04}.jpg", number, size, empty=empty)
            path = folder / "Data" / name / "GroundTruth" / f"{place + 1:04}.png"
            write_mask(path, number, size, inside=0 if empty else 255)
    return folder


def ecssd(folder: Path, *, images: int = 3, size: Size = SIZE) -> Path:
    """ECSSD: images without classes, and masks."""
    for number in range(images):
        write_image(folder / "images" / f"{number:04}.jpg", number, size)
        write_mask(folder / "ground_truth_mask" / f"{number:04}.png", number, size, inside=255)
    return folder


def imagenet_subsets(folder: Path, *, images: int = 2, size: Size = SIZE, by_name: bool = False) -> Path:
    """The six classes outside ILSVRC, and one image of each without boxes, which does not count."""
    from jaxloc.data.datasets.imagenet_subsets import SYNSETS

    for label, (category, wnid) in enumerate(SYNSETS.items()):
        place = category if by_name else wnid
        for number in range(images + 1):
            stem = f"{wnid}_{number}"
            write_image(folder / place / f"{stem}.JPEG", number + label, size)
            if number < images:
                path = folder / "Annotation" / place / f"{stem}.xml"
                voc_xml(path, [(wnid, box_of(number + label, size), "")], size, first_pixel=0)
    return folder


def imagenet(folder: Path, *, classes: int = 2, images: int = 3, size: Size = SIZE, boxes: bool = True) -> Path:
    """ImageNet in folders of synsets, to train and to validate with."""
    for split in ("train", "val"):
        for number in range(classes * images):
            wnid = f"n0144{number % classes:04}"
            write_image(folder / split / wnid / f"{wnid}_{number}.JPEG", number, size)
            if boxes:
                path = folder / "Annotations" / "CLS-LOC" / split / wnid / f"{wnid}_{number}.xml"
                voc_xml(path, [(wnid, box_of(number, size), "")], size, first_pixel=0)
    return folder


def coco(folder: Path, *, classes: Sequence[str] = ("cat", "dog"), images: int = 3, size: Size = SIZE) -> Path:
    """COCO 2017; the last annotation of each split is a crowd."""
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(classes)]
    for split in ("train2017", "val2017"):
        listed, annotations = [], []
        for number in range(len(classes) * images):
            write_image(folder / split / f"{number:012}.jpg", number, size)
            listed.append({"id": number, "file_name": f"{number:012}.jpg", "width": size[1], "height": size[0]})
            x0, y0, x1, y1 = box_of(number, size)
            one = {"id": number, "image_id": number, "category_id": number % len(classes) + 1, "iscrowd": 0}
            one |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            annotations.append(one | {"segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]})
        crowd = {
            "id": len(annotations),
            "iscrowd": 1,
            "segmentation": {"size": list(size), "counts": [0, size[0] * size[1]]},
        }
        annotations.append(annotations[-1] | crowd)
        (folder / "annotations").mkdir(exist_ok=True)
        content = {"images": listed, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def landmarks(folder: Path, *, landmarks: int = 2, images: int = 5, size: Size = SIZE, prefix: str = "oxc1_") -> Path:
    """Oxford 5k or, with an empty prefix, Paris 6k: of each landmark one query, two good, one ok, one junk image."""
    (folder / "groundtruth").mkdir(parents=True)
    for place in range(landmarks):
        stems = [f"hall_{place}_{number:06}" for number in range(images)]
        for number, stem in enumerate(stems):
            write_image(folder / "jpg" / f"{stem}.jpg", place * images + number, size)
        box = " ".join(f"{value:.1f}" for value in box_of(place * images, size))
        truth = {"query": [f"{prefix}{stems[0]} {box}"], "good": stems[:2], "ok": stems[2:3], "junk": stems[3:4]}
        for kind, lines in truth.items():
            (folder / "groundtruth" / f"hall_{place}_1_{kind}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def revisited(
    folder: Path, *, name: str = "roxford5k", queries: int = 2, images: int = 5, size: Size = SIZE, protocol: int = 2
) -> Path:
    """A revisited protocol: queries that are not in the database, and easy, hard and junk images as NumPy numbers."""
    listed = [f"hall_{number:06}" for number in range(queries * images)]
    asked = [f"query_{number:06}" for number in range(queries)]
    for number, stem in enumerate([*listed, *asked]):
        write_image(folder / "jpg" / f"{stem}.jpg", number, size)
    truth = []
    for place in range(queries):
        first = place * images
        box = np.array(box_of(len(listed) + place, size), np.float64)
        truth.append({"bbx": box.tolist(), "easy": np.array([first, first + 1]), "hard": [first + 2]})
        truth[-1]["junk"] = [np.int64(first + 3)]
    content = {"imlist": listed, "qimlist": asked, "gnd": truth}
    (folder / f"gnd_{name}.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    return folder


def instre(folder: Path, *, objects: int = 2, images: int = 3, size: Size = SIZE, protocol: bool = True) -> Path:
    """INSTRE: objects in S1, as many others in S2, and the first two of S1 together in M."""
    listed: list[str] = []
    for subset, count in (("INSTRE-S1", objects), ("INSTRE-S2", objects), ("INSTRE-M", 1)):
        for place in range(count):
            name = "01_pair" if subset == "INSTRE-M" else f"{place // 2 + 1:02}{'ab'[place % 2]}_{subset[-2:].lower()}"
            for number in range(images):
                path = folder / subset / name / f"{number + 1:03}.jpg"
                write_image(path, number, size)
                x0, y0, x1, y1 = box_of(number, size)
                boxes = [f"{x0} {y0} {x1 - x0} {y1 - y0}"]
                if subset == "INSTRE-M":
                    a0, b0, a1, b1 = corner_of(size)
                    boxes.append(f"{a0} {b0} {a1 - a0} {b1 - b0}")
                path.with_suffix(".txt").write_text("\n".join(boxes) + "\n")
                listed.append(path.relative_to(folder).as_posix())
    if protocol:
        asked = [f"INSTRE-S1/{name}/001.jpg" for name in sorted(path.name for path in (folder / "INSTRE-S1").iterdir())]
        found = [[1 + number for number, one in enumerate(listed) if one.startswith(name[:-7])] for name in asked]
        truth = _records([(np.array([places]), np.array([box_of(0, size)])) for places in found], ["ok", "bbx"])
        content = {"imlist": np.array([listed], object), "qimlist": np.array([asked], object), "gnd": truth}
        scipy.io.savemat(folder / "gnd_instre.mat", content)
    return folder
