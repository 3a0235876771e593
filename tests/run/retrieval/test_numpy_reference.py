"""Vectors that ``index`` keeps of photographs people took, against the plain transcription in float64."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxloc.options import IndexOptions
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from tests.reference import descriptors, scda_ddt
from tests.run import helpers
from tests.run.retrieval import small

SIDE, ALPHA, COUNT = 160, 0.5, 12


@pytest.fixture(scope="module")
def photographs(photos_folder, tmp_path_factory):
    """Two photographs of each of six kinds, of several shapes; most are padded on their way through the network."""
    kinds = sorted(path for path in (photos_folder / "voc07_left").iterdir() if path.is_dir())
    files = [file for kind in kinds for file in sorted(kind.iterdir())[:2]]
    assert len(files) == COUNT
    return helpers.plant(tmp_path_factory.mktemp("photographs") / "mixed", files)


@pytest.fixture(scope="module")
def expected(photographs, small_vgg16, tmp_path_factory):
    """The vectors by descriptor, in order of name: features one by one, unpadded; all that follows in NumPy."""
    folder = tmp_path_factory.mktemp("small")
    upright, mirrored = [], []
    for path in sorted(photographs.iterdir()):
        with Image.open(path) as image:
            scale = SIDE / min(image.size)
            small = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
        for made, prefix, photo in ((upright, "upright", small), (mirrored, "mirrored", ImageOps.mirror(small))):
            made.append(folder / f"{prefix}-{path.stem}.png")
            photo.save(made[-1])
    maps = helpers.features(small_vgg16, [*upright, *mirrored], ["pool5", "relu5_2"])
    masks = [scda_ddt.scda_mask(top) for top in maps["pool5"]]
    single = [scda_ddt.scda_descriptor(top, mask) for top, mask in zip(maps["pool5"], masks, strict=True)]
    plus = [
        np.concatenate([above, ALPHA * scda_ddt.scda_descriptor(low, descriptors.lower_mask(mask, low))])
        for above, low, mask in zip(single, maps["relu5_2"], masks, strict=True)
    ]
    both = [np.concatenate(pair) for pair in zip(plus[:COUNT], plus[COUNT:], strict=True)]
    return {"scda": np.stack(single[:COUNT]), "scda+": np.stack(plus[:COUNT]), "scda_flip+": np.stack(both)}


@pytest.mark.photos
@pytest.mark.parametrize(("name", "times"), [("scda", 1), ("scda+", 2), ("scda_flip+", 4)])
def test_vectors_are_those_of_the_transcription(name, times, photographs, expected, tmp_path):
    index([photographs], tmp_path / "gallery", IndexOptions(descriptor=name, max_side=SIDE, weight=ALPHA))
    gallery = Gallery.open(tmp_path / "gallery")
    table = gallery.whole_table()
    names = [Path(path).name for path in table["path"].to_pylist()]
    assert names == sorted(path.name for path in photographs.iterdir())
    found = np.concatenate([gallery.vectors(number) for number in gallery.shards])
    assert found.shape == (COUNT, times * small.DIMENSION)
    assert all(table["found"].to_pylist())
    np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-4)
