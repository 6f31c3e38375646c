"""Fixtures for all tests: the library of real samples and recorded numbers that may lie beside the checkout."""

import gc
import importlib.util
import json
import math
import signal
import zlib
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


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is there stays: tests and modules, a million objects that every search for garbage went through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


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
    """The module that rebuilds the inputs of the golden numbers; its `weights`, made once, are not to be changed.

    `fresh_weights` are made anew, for those that are needed once and are large.
    """
    specification = importlib.util.spec_from_file_location("golden_arrays", shared / "golden" / "arrays.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    hash_in_pieces(module)
    make, made = module.weights, {}
    module.fresh_weights = make  # type: ignore[attr-defined]

    def weights(shapes: dict[str, tuple[int, ...]], seed: str, gain: float = 1.0) -> dict[str, np.ndarray]:
        key = (*shapes.items(), seed, gain)
        if key not in made:
            made[key] = make(shapes, seed, gain)
        return dict(made[key])

    module.weights = weights  # type: ignore[attr-defined]
    return module


PIECE = 1 << 14  # elements whose words stay in the processor's cache


def hash_in_pieces(module: ModuleType) -> None:
    """The same bits from `uniform64` and `uniform`, in a third of the time: a network has tens of millions."""

    def made(name: str, shape: tuple[int, ...], low: float, high: float, dtype: type) -> np.ndarray:
        found, size = np.empty(shape, dtype), math.prod(shape)
        flat, count = found.reshape(-1), min(size, PIECE)
        first = np.arange(count, dtype=np.uint64) + np.uint64((zlib.crc32(name.encode()) << 32) + 1)
        first *= module.GOLDEN_GAMMA
        further = PIECE * int(module.GOLDEN_GAMMA)  # from a word to the one that lies a piece behind it
        state, shifted, unit = np.empty_like(first), np.empty_like(first), np.empty(count)
        for number, start in enumerate(range(0, size, PIECE)):
            np.add(first, np.uint64(number * further % 2**64), out=state)
            for shift, factor in ((30, module.MIX_1), (27, module.MIX_2), (31, None)):
                np.right_shift(state, np.uint64(shift), out=shifted)
                state ^= shifted
                if factor is not None:
                    state *= factor
            state >>= np.uint64(11)
            np.multiply(state, 2.0**-53, out=unit)
            unit *= high - low
            unit += low
            flat[start : start + PIECE] = unit[: size - start]
        return found

    def uniform64(name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return made(name, shape, low, high, np.float64)

    def uniform(name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return made(name, shape, low, high, np.float32)

    module.uniform64, module.uniform = uniform64, uniform  # type: ignore[attr-defined]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both frameworks never share a process, so a run of the tests chooses one."""
    parser.addoption("--backend", default="torch", choices=["torch", "paddle"], help="the backend under test")
