"""One step of training in double precision as a backend computes it: `test_contract.py` compares the two.

python -m tests.backends.one_step BACKEND REQUEST.npz RESULT.npz [REQUEST.npz RESULT.npz ...]
"""

import importlib
import sys
from pathlib import Path

import numpy as np

from backends import load_backend
from core.parity.request import Request

PRECISION = "float64"
RATE = 1e-3


def one_step(backend: str, request: Request) -> dict[str, np.ndarray]:
    """Terms, loss, its gradients and what the optimiser makes of them in units of the rate, by `section/item`."""
    parity, tensors = load_backend(backend, "parity"), load_backend(backend, "tensors")
    dtype = getattr(importlib.import_module(backend), PRECISION)
    batch = tensors.to_batch(request.batch, tensors.choose_device("cpu"), dtype=dtype)
    method = parity.build(request, PRECISION)
    method.progress = 0.5
    method.train()
    parameters = parity.trained_parameters(method)
    before = {name: tensors.to_array(parameter).copy() for name, parameter in parameters.items()}
    losses = method.losses(method.prepare(batch))
    found = {f"training_terms/{name}": tensors.to_array(term) for name, term in losses.terms.items()}
    found |= {"losses/loss": tensors.to_array(losses.loss)}
    optimizer = load_backend(backend, "trainer").make_optimizer(method.parameter_groups(), RATE)
    losses.loss.backward()
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            found[f"loss_gradients/{name}"] = tensors.to_array(parameter.grad).copy()
    optimizer.step()
    for name, parameter in parameters.items():
        found[f"update/{name}"] = (tensors.to_array(parameter) - before[name]) / RATE
    return found


def main() -> None:
    """Answers every request in one process: its start costs more than the step of a small method."""
    backend, *files = sys.argv[1:]
    for request, result in zip(files[::2], files[1::2], strict=True):
        np.savez(result, **one_step(backend, Request.load(Path(request))))


if __name__ == "__main__":
    main()
