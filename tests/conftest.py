"""Set before jax starts: virtual devices, quick compilation, threads for host callbacks, a folder of compiled programs.

Workers, subprocesses and later runs share that folder: ``JAX_COMPILATION_CACHE_DIR`` names another one, and
``JAX_ENABLE_COMPILATION_CACHE=false`` does without. JAX is in its strict modes of promotion. Linear algebra and
FAISS have one thread: on busy cores threads wait for one another. Cyclic garbage is collected rarely: looking
through the many objects of a trace took an eighth of the time.
"""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "d" / "programs"))
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # traces are slower with them
FLAGS = {
    "xla_force_host_platform_device_count": "8",
    # Programs run only once or twice: with these four they compile in a third of the time.
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_use_fusion_emitters": "false",  # large networks run slower without them
    "xla_cpu_parallel_codegen_split_count": "1",
}
for flag, value in FLAGS.items():
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{flag}={value}".strip()

import hypothesis
import jax
import numpy as np
import pytest
import skimage.data
import threadpoolctl

hypothesis.settings.register_profile("no deadline", deadline=None)  # the first example of a test may compile
hypothesis.settings.load_profile("no deadline")
threadpoolctl.threadpool_limits(limits=1, user_api="blas")  # plugins of pytest have loaded NumPy already
gc.set_threshold(100_000)


def pytest_collection_finish() -> None:
    """What was imported stays, and no collection looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Nor do pytest's last collections look at all programs."""
    gc.freeze()


@pytest.fixture
def reading_threads() -> Callable[[], list[threading.Thread]]:
    """Threads that read for this test and still run: those of a reader that failed earlier wait to be collected."""
    before = set(threading.enumerate())
    return lambda: [one for one in threading.enumerate() if one.name.startswith("jaxloc-read") and one not in before]


@pytest.fixture(scope="session")
def photos_folder() -> Path:
    """The optional folder of real photographs with boxes."""
    folder = os.environ.get("JAXLOC_TEST_DATA")
    if not folder or not Path(folder, "voc07_left").is_dir():
        pytest.skip("JAXLOC_TEST_DATA does not name a folder with voc07_left")
    return Path(folder)


@pytest.fixture(scope="session")
def cat() -> np.ndarray:
    """A real photograph that ships inside scikit-image: uint8 ``[300, 451, 3]``."""
    return skimage.data.chelsea()


@pytest.fixture(scope="session")
def vgg16(weights_cache: Path):
    """The embedded default weights, from a cache shared by the session."""
    from jaxloc import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXLOC_CACHE", str(weights_cache))
        return models.load("vgg16")


@pytest.fixture(autouse=True, scope="session")
def weights_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the session's own, unless the environment names one."""
    if "JAXLOC_CACHE" not in os.environ:
        os.environ["JAXLOC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    return Path(os.environ["JAXLOC_CACHE"])


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drop compiled programs before they fill the process's table of mapped memory, at which XLA crashes.

    Each program on the CPU takes some ten entries of it, and Linux allows 65,530.
    """
    yield
    table = Path("/proc/self/maps")
    if table.exists() and table.read_bytes().count(b"\n") > 40_000:
        jax.clear_caches()
