"""Recognition of photographs people took."""

import pytest

from jaxloc.options import ClassifyOptions, IndexOptions
from jaxloc.run.recognition import recognize
from tests.run import helpers


@pytest.mark.soak
@pytest.mark.photos
@pytest.mark.usefixtures("vgg16")
def test_flowers_are_recognised(photos_folder, tmp_path):
    for name in ("daisy", "pansy", "sunflower"):
        paths = sorted((photos_folder / "flowers17_small" / name).iterdir())[:8]
        helpers.plant_squares(tmp_path / "in" / name, paths, 128)
    describing = IndexOptions(descriptor="scda_flip+", weight=1.0, max_side=128)
    done = recognize([tmp_path / "in"], tmp_path / "out", ClassifyOptions(describing=describing, test_share=0.5))
    assert (done.train, done.test, done.skipped) == (12, 12, {})
    assert done.classified.evaluation.accuracy >= 8 / 12
    assert done.classified.converged
