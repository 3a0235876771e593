"""The layout of the house: who may import whom, and what importing costs."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import jaxloc

ROOT = Path(jaxloc.__file__).parent
SHARED = {"_checks", "_descriptors", "_sharding", "boxes", "clustering", "components", "encoding", "errors", "grids"}
SHARED |= {
    "_derivatives",
    "_jit",
    "crops",
    "localization",
    "graphs",
    "metrics",
    "mixture",
    "moments",
    "pooling",
    "refinement",
    "signs",
    "tracks",
    "whitening",
}
METHODS = {"attributes", "beam", "cam", "crow", "ddt", "eiss", "lost", "parts", "rmac", "scda", "spoc", "svm"}
METHODS |= {"bilinear", "fusion", "centers", "losses", "maskcnn", "piecewise", "spreading", "tokencut"}
ROOMS = ("data", "models", "run", "report")


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Full names of everything a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def rooms(names: frozenset[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("jaxloc.")}


def modules(folder: str = "") -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods_know_neither_rooms_nor_each_other(name):
    assert rooms(imported(ROOT / f"{name}.py")) <= SHARED


@pytest.mark.parametrize("name", sorted(SHARED - {"metrics", "refinement"}))
def test_shared_operations_know_only_shared_operations(name):
    assert rooms(imported(ROOT / f"{name}.py")) <= SHARED


def test_folders_of_functions_know_only_themselves_and_shared_operations():
    for folder in ("metrics", "ranking", "refinement"):
        for path in modules(folder):
            assert rooms(imported(path)) <= SHARED | {folder}, path


def test_object_discovery_is_built_on_descriptors_and_the_ranking_s_graph():
    for path in modules("discovery"):
        assert rooms(imported(path)) <= SHARED | {"discovery", "crow", "ranking", "rmac"}, path


def test_nothing_walks_back():
    may = {
        "data": {"data"} | SHARED | {"_files", "_interrupts", "_unpickle"},
        "models": {"models"} | SHARED | {"_files"},
        "inference": {"inference", "data", "models"} | SHARED,
        "report": {"report"} | SHARED | {"_files", "_interrupts", "__version__"},
    }
    for room, allowed in may.items():
        for path in modules(room):
            writers = {"data"} if path.parent.name == "exports" else set()
            assert rooms(imported(path)) <= allowed | writers, path


def imported_at_once(path: Path, known: set[str]) -> set[str]:
    """Modules among ``known`` that importing a module imports; not those in functions or for type checkers."""
    found: set[str] = set()

    def look(nodes: Iterable[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found.update(name if name in known else node.module for name in names)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
                look(node.body + node.orelse)
            elif isinstance(node, ast.Try | ast.With):
                look(node.body)

    look(ast.parse(path.read_text()).body)
    return found & known


def test_imports_run_in_no_circle():
    names = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in modules()}
    paths = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {name: imported_at_once(path, set(paths)) - {name} for name, path in paths.items()}
    assert "jaxloc.run.runner" in graph["jaxloc.run.jobs"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("library", "room"),
    [
        ("flax", "models"),
        ("tqdm", "run api"),
        ("typer", "cli"),
        ("skimage", "components.py data"),
        ("cv2", "refinement"),
    ],
)
def test_only_one_room_knows_a_library(library, room):
    for path in modules():
        if any(name.split(".")[0] == library for name in imported(path)):
            assert path.relative_to(ROOT).parts[0] in room.split(), path


def test_only_data_opens_images():
    opening = [p for p in modules() if any(word in p.read_text() for word in ("Image.open", "imread"))]
    assert {path.relative_to(ROOT).parts[0] for path in opening} == {"data"}


def test_no_module_grows_past_four_hundred_lines():
    folder = ROOT.parent
    long = {
        path.name: count
        for part in ("jaxloc", "weights_convert", "tests", "benchmarks")
        for path in (folder / part).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 420
    }
    assert not long


def test_help_does_not_load_jax():
    code = "import sys, jaxloc.cli; print(sorted({'jax', 'flax', 'matplotlib', 'skimage'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_methods_load_without_flax_or_pillow():
    code = "import sys, jaxloc.ddt, jaxloc.scda; print(sorted({'flax', 'PIL', 'tqdm', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
