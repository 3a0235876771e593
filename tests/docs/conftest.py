"""The documentation's own modules, found as the build finds them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="session")
def docs() -> Path:
    return DOCS


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch):
    """Import a module of ``docs/_extensions`` by its name."""
    monkeypatch.setattr(sys, "path", [str(DOCS / "_extensions"), *sys.path])

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load
