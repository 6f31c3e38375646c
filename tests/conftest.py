"""Fixtures for all tests: the library of real samples and recorded numbers that may lie beside the checkout."""

import importlib.util
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C counts, as in a terminal: a shell that starts the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real samples and golden numbers; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder `shared` (real samples, golden numbers) beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Any]:
    """`golden("monodepth2/geometry.npz")`: recorded arrays (or parsed JSON) of a published program."""

    def load(name: str) -> Any:
        path = shared / "golden" / name
        if path.suffix == ".json":
            return json.loads(path.read_text())
        return np.load(path, allow_pickle=False)

    return load


@pytest.fixture(scope="session")
def arrays(shared: Path) -> ModuleType:
    """The module that rebuilds the inputs of the golden numbers; its `weights`, made once, are not to be changed."""
    specification = importlib.util.spec_from_file_location("golden_arrays", shared / "golden" / "arrays.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    make, made = module.weights, {}

    def weights(shapes: dict[str, tuple[int, ...]], seed: str, gain: float = 1.0) -> dict[str, np.ndarray]:
        key = (*shapes.items(), seed, gain)
        if key not in made:
            made[key] = make(shapes, seed, gain)
        return dict(made[key])

    module.weights = weights  # type: ignore[attr-defined]
    return module


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both frameworks never share a process, so a run of the tests chooses one."""
    parser.addoption("--backend", default="torch", choices=["torch", "paddle"], help="the backend under test")
