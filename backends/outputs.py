"""Runs the networks of weight files on fixed inputs, in a process of its own; `core/weights/verification.py` starts it.

python -m backends.outputs torch|paddle RESULT.npz FILE ...
"""

import sys
from pathlib import Path

import numpy as np

from backends import load_backend
from core.cores import end_with_parent
from core.errors import run


def main(argv: list[str] | None = None) -> None:
    """Writes `{"<network>/<number>": array}`."""
    if argv is None:
        end_with_parent()
    backend, result, *files = sys.argv[1:] if argv is None else argv
    load_backend(backend, "tensors").choose_device("cpu")  # where the bound of the comparison holds
    outputs = load_backend(backend, "outputs").network_outputs([Path(file) for file in files])
    np.savez(result, **outputs)


if __name__ == "__main__":
    run(main)
