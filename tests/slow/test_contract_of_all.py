"""The costly part of the contract, for every method: ONNX file, resumed training, a step on both backends: 4 min.

The rest is in tests/backends/test_contract.py.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from backends import installed_backends
from core.options import OPTIONS
from core.parity.bounds import SECTIONS
from core.parity.comparison import zero_scale
from core.parity.request import Request
from tests.backends.one_step import PRECISION, one_step
from tests.backends.test_contract import (
    METHODS,
    RESUMED,
    assert_resumed,
    batch,
    check_onnx_file,
    method,
    name,
    options,
    question,
    ran,
    runs,
)
from tests.scripts import ENVIRONMENT, ROOT
from tests.tolerances import assert_close

__all__ = ["batch", "method", "name", "options", "question", "ran", "runs"]  # fixtures
pytestmark = pytest.mark.usefixtures("tiny")


def test_the_onnx_file_gives_the_same(backend, method, options):
    check_onnx_file(backend, method, options)


@pytest.fixture(scope="module")
def epochs():
    """Of `runs`."""
    return 1


@pytest.mark.parametrize("name", [each for each in METHODS if each not in RESUMED], indirect=True)
def test_resumed_to_the_bit(backend, name, drive, runs, epochs, tmp_path, monkeypatch):
    """From a checkpoint inside an epoch."""
    assert_resumed(backend, name, drive, runs, epochs, tmp_path, monkeypatch, "middle")


@pytest.fixture(scope="module")
def answers(tiny, backend, tmp_path_factory):
    """What the other backend makes of the questions of all methods: one process, one start."""
    if backend.name != "torch":
        pytest.skip("the two are compared when PyTorch is under test")
    if "paddle" not in installed_backends():
        pytest.skip("paddle is not installed")
    folder = tmp_path_factory.mktemp("answers")
    files = {each: [folder / f"{each}.npz", folder / f"{each}_answer.npz"] for each in METHODS}
    for each, (request, _) in files.items():
        Request.make(OPTIONS[each](**OPTIONS[each].SMALL, device="cpu"), steps=1).save(request)
    words = [str(file) for pair in files.values() for file in pair]
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.one_step", "paddle", *words],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {each: dict(np.load(answer)) for each, (_, answer) in files.items()}


def test_one_step_is_that_of_the_other_backend(backend, name, question, answers):
    """Loss, terms, gradients and update in double precision, each backend in its own process."""
    own, other = one_step(backend.name, question), answers[name]
    assert own.keys() == other.keys()
    assert {key.partition("/")[0] for key in own} == {"training_terms", "losses", "loss_gradients", "update"}
    for key, array in own.items():
        bound = SECTIONS[key.partition("/")[0]].bounds[PRECISION]
        rounding = bound * min(zero_scale(key, result, bound) for result in (own, other))
        assert_close(array, other[key], (bound, rounding), label=key)
