"""The backend under test: `pytest tests/backends --backend paddle`. One process tests one backend."""

import fcntl
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import BACKENDS, installed_backends
from tests.backends.adapter import Adapter
from tests.backends.drive import make_drive, tiny_training, training, weights_of
from tests.backends.initial_values import draw_less
from tests.backends.narrow import make_narrow, make_whole
from tests.backends.starts import Starter
from tests.scripts import ENVIRONMENT, succeeds
from tests.tiny.register import SITE, registered


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `every_device`, those of recorded numbers, run on the GPU as well where there is one."""
    name = metafunc.config.getoption("--backend")
    marked = metafunc.definition.get_closest_marker("every_device") is not None
    if (
        marked
        and "backend" in metafunc.fixturenames
        and name in installed_backends()
        and Adapter(name).has_gpu()
    ):
        metafunc.parametrize("backend", ["cpu", "cuda"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Adapter:
    """The chosen backend on the CPU, behind an array interface; skipped where its framework is not installed."""
    name = request.config.getoption("--backend")
    if name not in installed_backends():
        pytest.skip(f"{name} is not installed")
    adapter = Adapter(name, getattr(request, "param", "cpu"))
    gc.freeze()  # the framework's own objects, see tests/conftest.py
    return adapter


@pytest.fixture(scope="session", autouse=True)
def few_random_numbers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Large networks get their initial values at a fraction of the time; see `initial_values.py`."""
    name = request.config.getoption("--backend")
    with pytest.MonkeyPatch.context() as patch:
        if name in installed_backends():
            draw_less(Adapter(name), patch)
        yield


@pytest.fixture(scope="session")
def starter(backend: Adapter) -> Iterator[Starter]:
    """Starts scripts in processes of their own that have imported the framework of the backend under test."""
    adam = {"torch": ["torch._dynamo"], "paddle": []}  # what it imports when one is made
    starter = Starter(f"backends.{backend.name}.trainer", *adam[backend.name])
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def other_starter(backend: Adapter) -> Iterator[Starter]:
    """The same of the other backend; skipped where its framework is not installed."""
    (other,) = set(BACKENDS) - {backend.name}
    if other not in installed_backends():
        pytest.skip(f"{other} is not installed")
    starter = Starter(f"backends.{other}.outputs")
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny rendered data set with its lists and ground truth in `splits/`; not to be changed.

    tests/run.sh names a folder for it, so that it is rendered once for both backends.
    """
    if "TESTS_DRIVE" not in os.environ:
        return make_drive(tmp_path_factory.mktemp("drive") / "drive")
    folder = Path(os.environ["TESTS_DRIVE"])
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "splits" / "gt_depths.npz").exists():  # written last
            make_drive(folder)
    return folder


@pytest.fixture(scope="session")
def narrow_weights(backend: Adapter, drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of two steps of mono+stereo by small networks, trained by `train.py`; not to be changed."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        make_narrow(backend, patch)
        succeeds("train.py", *training(backend.name, drive, runs, "narrow", "mono+stereo"), here=True)
    return weights_of(runs, "narrow")


@pytest.fixture(scope="module")
def trained(narrow: None, narrow_weights: Path) -> Path:
    """These weights, in a module whose networks are small ones; not to be changed."""
    return narrow_weights


@pytest.fixture(scope="session")
def trained_whole(backend: Adapter, drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same by networks as they are, for processes of their own and where shapes tell what a file holds."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        make_whole(backend, patch)  # the module that asks first may have others
        succeeds("train.py", *training(backend.name, drive, runs, "trained", "mono+stereo"), here=True)
    yield weights_of(runs, "trained")
    shutil.rmtree(runs)


@pytest.fixture(scope="module")
def narrow(backend: Adapter) -> Iterator[None]:
    """ResNet-18 is a small one here, in the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        make_narrow(backend, patch)
        yield


@pytest.fixture
def whole_networks(backend: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are as they are, for a test with `trained_whole` among others that are `narrow`."""
    make_whole(backend, monkeypatch)


@pytest.fixture(scope="module")
def tiny() -> Iterator[None]:
    """`tiny` is a method here, and in the processes that are started."""
    with registered(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "PYTHONPATH", str(SITE))
        patch.setenv("PYTHONPATH", str(SITE))
        yield


@pytest.fixture(scope="module")
def tiny_trained(tiny: None, backend: Adapter, drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of two steps of `tiny`, trained by `train.py`; not to be changed."""
    runs = tmp_path_factory.mktemp("runs")
    succeeds("train.py", *tiny_training(backend.name, drive, runs, "trained"), here=True)
    return weights_of(runs, "trained")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A folder for run folders, emptied afterwards: weights are large."""
    yield tmp_path / "runs"
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
