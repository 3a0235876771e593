"""A maker of COCO files, and small helpers for images."""

import pytest

from tests.run.evaluation.coco import Coco


@pytest.fixture
def coco(tmp_path):
    return lambda name, *arguments: Coco(tmp_path / f"{name}.json", *arguments)
